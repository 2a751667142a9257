"""Imports run downwards only, no two modules share a name, and files and functions are short."""

import ast
from pathlib import Path

import pytest

import incdet

PACKAGE = Path(incdet.__file__).parent

LAYERS = [
    {"errors", "config"},
    {"structures"},
    {"ops", "runtime"},
    {"networks"},
    {"proposers"},
    {"images", "proposals", "regions", "scores", "detections"},
    {"pipeline"},
    {"detector", "classifier"},
    {"data"},
    {"output"},
    {"evaluation"},
    {"training"},
    {"web", "cluster"},
    {"cli"},
]
"""From the lowest to the highest: a module imports from its own layer and those below."""

HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}


def modules() -> dict[str, Path]:
    """Dotted name inside the package -> file; `__init__` and `__main__` stand above all layers."""
    files = sorted(PACKAGE.rglob("*.py"))
    names = {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in files}
    return {name: file for name, file in names.items() if not name.rpartition(".")[2].startswith("__")}


def imports_of(file: Path) -> set[str]:
    """Modules of the package that a file imports anywhere, functions and type checking included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("incdet."):
            module = node.module.removeprefix("incdet.")
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("incdet.") for alias in node.names if alias.name.startswith("incdet.")}
    return found & modules().keys()


@pytest.mark.parametrize("name", modules())
def test_imports_run_downwards(name):
    own = HEIGHT[name.split(".")[0]]
    upwards = {other for other in imports_of(modules()[name]) if HEIGHT[other.split(".")[0]] > own}
    assert not upwards


def test_there_are_no_circles():
    """Modules can be put in an order in which each imports only those before it."""
    left = {name: imports_of(file) - {name} for name, file in modules().items()}
    while ready := {name for name, imports in left.items() if not imports & left.keys()}:
        for name in ready:
            del left[name]
    assert not left, "these modules import one another"


def test_no_two_modules_share_a_name():
    names = [name.rpartition(".")[2] for name in modules()]
    assert sorted(names) == sorted(set(names))


def test_the_top_shows_the_pipeline():
    top = {name for name in modules() if "." not in name}
    stages = {"images", "proposals", "regions", "scores", "detections"}
    assert stages | {"detector", "classifier", "structures", "errors"} == top


def test_files_and_functions_stay_short():
    long_files = {name for name, file in modules().items() if len(file.read_text().splitlines()) > 300}
    assert not long_files
    long_functions = [
        f"{name}.{node.name}"
        for name, file in modules().items()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and _length_of_body(node) > 50
    ]
    assert not long_functions


def _length_of_body(function: ast.FunctionDef) -> int:
    """Lines of a function without its signature, docstring and decorators."""
    body = function.body
    has_docstring = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    first = body[1] if has_docstring and len(body) > 1 else body[0]
    return (function.end_lineno or 0) - first.lineno + 1
