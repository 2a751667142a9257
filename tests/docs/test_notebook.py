"""The notebook runs from the first cell to the last, and its stored outputs are those of its code."""

import ast
import json
from pathlib import Path

import PIL.Image
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "pipeline.ipynb"


def stored_cells():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def run_cell(source, names):
    """Runs a cell, and returns the value of its last line, where that is an expression."""
    statements = ast.parse(source).body
    last = statements.pop() if isinstance(statements[-1], ast.Expr) else None
    exec(compile(ast.Module(statements, []), str(NOTEBOOK), "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


@pytest.mark.slow
def test_every_cell_runs(capsys):
    """Without a kernel, which the tests then need not install."""
    names, pictures = {}, 0
    for cell in stored_cells():
        if cell["cell_type"] != "code":
            continue
        value = run_cell("".join(cell["source"]), names)
        is_picture = any("image/png" in output.get("data", {}) for output in cell["outputs"])
        assert isinstance(value, PIL.Image.Image) == is_picture
        pictures += is_picture
    assert pictures == 5
    assert names["shown"].labels == ["person"]
    assert "proposed by" in capsys.readouterr().out


@pytest.mark.slow
def test_a_kernel_runs_the_notebook():
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300).execute()
    texts = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    assert any("1: person" in text for text in texts)


def test_stored_outputs_are_complete_and_name_no_place():
    cells = [cell for cell in stored_cells() if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not any(place in text for place in ("/opt/", "/home/", "/tmp/", "site-packages"))
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    assert NOTEBOOK.stat().st_size < 1_000_000
