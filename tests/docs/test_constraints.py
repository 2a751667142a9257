"""The file of versions that passed, and the notice that travels in the wheel."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_constraints_are_names_and_versions_of_all_that_is_needed() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in pinned)
    names = {line.partition("==")[0] for line in pinned}
    wanted = list(PROJECT["dependencies"])
    for requirements in PROJECT["optional-dependencies"].values():
        wanted += requirements
    needed = {re.split(r"[^A-Za-z0-9-]", requirement)[0].lower() for requirement in wanted} - {"incdet"}
    assert needed <= names


def test_the_wheel_brings_the_terms_of_the_weights() -> None:
    assert "NOTICE" in PROJECT["license-files"]
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert all(word in notice for word in ("incdet/weights", "PASCAL VOC", "BVLC"))
