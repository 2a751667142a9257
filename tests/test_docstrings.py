"""Docstrings as strangers need them: entries begin with what the thing is, and private words stay out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import incdet

ROOT = Path(incdet.__file__).parents[1]
FOLDERS = ("incdet", "tools", "benchmarks", "experiments")

BARE = {"of", "in", "on", "at", "to", "by", "for", "from", "with", "without", "under", "over", "beside", "behind"}
BARE |= {"between", "before", "after", "as", "like", "than", "that", "which", "who", "whom", "whose", "where", "when"}
BARE |= {"what", "how", "why", "if", "likewise", "see", "so", "ditto"}
"""Words that cannot open an entry, because the reader would have to complete them."""

SECTIONS = {"Args:", "Attributes:", "Returns:", "Yields:"}

PRIVATE_WORDS = {
    r"coarse look": "half-resolution stage",
    r"first stage": "rejection network",
    r"\bgates?\b": "threshold",
    r"\bcompanions?\b": "sidecar file",
    r"\bsqueez\w+": "photo crops",
    r"\bso many\b": "number of",
    r"\breads? ahead\b": "prefetch",
}
"""Words of one house -> the field's term."""


def python_files() -> list[Path]:
    return [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]


def docstrings(file: Path) -> Iterator[tuple[str, str]]:
    """(name, docstring) of a module and everything in it."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield getattr(node, "name", file.stem), text


def entries(docstring: str) -> Iterator[tuple[str, str]]:
    """(section, first line of the description) of every entry under Args, Attributes and Returns."""
    section = None
    previous_blank = True
    for line in docstring.splitlines():
        if line.strip() in SECTIONS and not line.startswith(" "):
            section, previous_blank = line.strip(), True
            continue
        if line and not line.startswith(" "):
            section = None
        if section is None or not line.strip():
            continue
        if section in ("Returns:", "Yields:"):
            if previous_blank:
                yield section, line.strip()
                previous_blank = False
        elif (match := re.match(r"^ {4}(\*{0,2}\w+(?:, \w+)*): (.+)$", line)) is not None:
            yield section, match[2]


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_entries_begin_with_what_the_thing_is(file):
    bare = [
        f"{name}: {text}"
        for name, docstring in docstrings(file)
        for _, text in entries(docstring)
        if re.split(r"\W", text, maxsplit=1)[0].lower() in BARE
    ]
    assert not bare


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_words_are_those_of_the_field(file):
    # old names of settings stay as aliases for one version
    text = re.sub(r"old_names[^=]*= \{.*?\}", "", file.read_text(), flags=re.DOTALL)
    found = [f"{word} (say: {term})" for word, term in PRIVATE_WORDS.items() if re.search(word, text, re.IGNORECASE)]
    assert not found


def test_entries_are_found():
    """The test above looks at what it should."""
    (argument, attribute, returned) = entries(
        "Does.\n\nArgs:\n    boxes: of the photo,\n        in pixels.\n\nAttributes:\n    a, b: numbers.\n\n"
        "Returns:\n    For each box\n    a number.\n"
    )
    assert argument == ("Args:", "of the photo,")
    assert attribute == ("Attributes:", "numbers.")
    assert returned == ("Returns:", "For each box")
    assert sum(len(list(entries(text))) for file in python_files() for _, text in docstrings(file)) > 500


@pytest.mark.parametrize("folder", ["pipeline", "networks", "proposers", "training", "evaluation"])
def test_dense_code_is_explained(folder):
    """Four or more comments for every 100 lines of code."""
    comments = code = 0
    for file in (ROOT / "incdet" / folder).rglob("*.py"):
        lines = [line.strip() for line in _without_docstrings(file)]
        comments += sum(line.startswith("#") or "  # " in line for line in lines)
        code += sum(bool(line) and not line.startswith("#") for line in lines)
    assert comments / code * 100 >= 4, f"{comments} comments in {code} lines"


def _without_docstrings(file: Path) -> list[str]:
    """The lines of a file that are no part of a string that stands by itself."""
    lines = file.read_text().splitlines()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return lines
