"""Every command line in README, docs, recipes and helps has the options that the program knows."""

import re
import shlex
from pathlib import Path

import pytest
from command_line import require_parsing

from incdet.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "configs").glob("*.yaml"))]


EAGER = ("--help", "--version", "--install-completion", "--show-completion")
"""Options that act while the command line is read."""


def parts_of(line):
    """The commands of a line, without what only a shell or a look at the whole program understands."""
    parts = [part.strip() for part in re.split(r" \| | && | > ", line)]
    return [part for part in parts if "$(" not in part and not any(option in part for option in EAGER)]


def commands_in(page):
    """Commands of `incdet` in the blocks of a page, or in the head of a recipe; lines that go on are joined."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".yaml":
        blocks = [re.sub(r"^# ?", "", text, flags=re.MULTILINE)]
    else:
        blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        yield from (part for part in parts_of(line) if part.startswith("incdet "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_pages_parse(page):
    for command in commands_in(page):
        require_parsing(command)


def test_examples_of_helps_parse():
    for _, _, _, examples in app.COMMANDS:
        for example in examples:
            for part in parts_of(example):
                if part.startswith("incdet "):
                    require_parsing(part)


def test_evaluating_the_result_of_a_training_has_one_form_everywhere():
    forms = set()
    for page in (ROOT / "README.md", ROOT / "docs" / "training.md"):
        for command in commands_in(page):
            if command.startswith("incdet evaluate") and "runs/own" in command:
                forms.add(tuple(shlex.split(command)))
    assert len(forms) == 1
    (words,) = forms
    options = [word for word in words if word.startswith("--")]
    assert options == ["--dataset", "--root", "--split", "--rules", "--weights", "--output"]
