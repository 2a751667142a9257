"""Packages of extras that are missing: one sentence with the command that installs them."""

import pytest

from incdet.errors import PackageError
from incdet.runtime.optional_packages import require_package


def test_a_package_that_is_there_is_no_error():
    require_package("json", "the plots", "eval")


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(PackageError, match="the plots need nothing_such, which is not installed") as caught:
        require_package("nothing_such", "the plots", "eval")
    assert str(caught.value).endswith("run: pip install 'incdet[eval]'")
