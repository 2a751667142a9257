"""README and docs: links and anchors lead somewhere, commands and files exist, the README stays short."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from generate_configuration import ROOTS, slug

from incdet.cli.app import app
from incdet.config.sections import Section, is_section

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
MAX_README_LINES = 150
PACKAGE_FOLDERS = "training|pipeline|ops|networks|config|data|cli|evaluation|output|proposers|runtime|web"
REMAINING_TOOLS = {"tools/eval_map.py", "tools/train_multibox.py"}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {slug(heading.replace("`", "")) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_relative_links_and_anchors_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        file, _, anchor = target.partition("#")
        assert not re.match(r"[a-z]+:", target), f"{target}: pages link to files of the repository only"
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_the_readme_is_short_and_begins_with_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_README_LINES
    first_block = re.search(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert first_block is not None
    assert first_block[0].startswith("```bash\n")
    assert len(first_block[1].splitlines()) == 2


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "README.md" and f"{page.name})" not in text] == []


def command_names() -> set[str]:
    """All commands, groups' ones as "train regions"."""
    names = set()
    for name, command in getattr(typer.main.get_command(app), "commands", {}).items():
        names |= {name, *(f"{name} {inner}" for inner in getattr(command, "commands", ()))}
    return names


def named_commands(text: str) -> Iterator[str]:
    """What follows `incdet` in code, as far as it may be the name of a command."""
    code = re.findall(r"^```(?:sh|bash)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    code += re.findall(r"`([^`\n]+)`", without_code(text))
    for piece in code:
        yield from re.findall(r"(?:^|&& |-m )incdet ([a-z][a-z-]*(?: [a-z][a-z-]*\b(?![._/]))?)", piece, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_named_commands_exist(page: Path) -> None:
    known = command_names()
    groups = {name.split()[0] for name in known if " " in name}
    for named in named_commands(page.read_text(encoding="utf-8")):
        first, _, second = named.partition(" ")
        assert first in known, f"incdet {named}"
        if first in groups and second:
            assert named in known, f"incdet {named}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_named_programs_and_recipes_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tools = set(re.findall(r"tools/\w+\.py", text))
    assert tools <= REMAINING_TOOLS
    programs = set(re.findall(r"(?:benchmarks|experiments|docs|incdet)/[\w/]+\.py", text))
    # pages leave out `incdet/` where they tell the way of a photo
    programs |= {f"incdet/{name}" for name in re.findall(rf"(?<![\w/.-])(?:{PACKAGE_FOLDERS})/[\w/]+\.py\b", text)}
    assert [name for name in sorted(programs | tools) if not (ROOT / name).is_file()] == []
    recipes = re.findall(r"incdet train (?:regions|multibox|classifier) (\w+)", text)
    assert [name for name in recipes if not (ROOT / "configs" / f"{name}.yaml").is_file()] == []


def old_setting_names(section: type[Section]) -> set[str]:
    """The old names of a section's settings, and of the sections in it."""
    inner = [info.annotation for info in section.model_fields.values() if is_section(info.annotation)]
    return set(section.old_names).union(*(old_setting_names(part) for part in inner))


OLD_NAMES = sorted(set().union(*(old_setting_names(root) for _, _, root in ROOTS)))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_examples_use_the_new_names_of_settings(page: Path) -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    # `--set section.name=value` on a command line, `name: value` in YAML
    used = re.findall(rf"(?:--set '?(?:\w+\.)*|^ *)({'|'.join(OLD_NAMES)})[=:]", "\n".join(blocks), re.MULTILINE)
    assert used == []


def test_old_names_are_found_in_every_kind_of_section() -> None:
    # of a detector, of every training, of one training, and of a section in it
    assert {"gate", "compare_averaging", "held_out", "overlap"} <= set(OLD_NAMES)
