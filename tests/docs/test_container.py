"""The Dockerfile agrees with the package: its extras and commands are there, and it does not run as root."""

import re
import tomllib
from pathlib import Path

from incdet.cli.app import ORDER

ROOT = Path(__file__).parents[2]


def test_the_container_uses_what_the_package_has():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", text)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    commands = re.findall(r'^CMD \["(\w+)"', text, re.MULTILINE) + re.findall(r"^RUN incdet (\w+)", text, re.MULTILINE)
    assert commands
    assert set(commands) <= set(ORDER)
    # whatever runs after the installation runs without rights
    assert text.index("\nUSER incdet\n") < text.index("\nENTRYPOINT")
    assert "USER root" not in text
