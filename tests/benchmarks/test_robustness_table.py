"""The table of benchmarks/robustness.py, whose inputs are those of the counts in both kinds of lines."""

import json

import robustness


def test_inputs_are_counted_once_whatever_their_faults(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = [
        {"target": "voc-xml", "seed": 31, "start": 0, "end": 500, "counts": {"right": 490, "refused": 8, "hang": 2}}
        | {"faults": [[7, "hang", ""], [9, "hang", ""]]},
        {"target": "voc-xml", "seed": 31, "number": 7, "mended": True},
        # one kind of fault, which 40 inputs have shown
        {"target": "voc-xml, guided", "seed": 31, "counts": {"right": 50, "refused": 10, "traceback": 40}}
        | {"faults": [[0, "traceback: KeyError", "00"]]},
    ]
    results = tmp_path / "results.jsonl"
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    robustness.table(results)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    # the table of kills follows, with a line of that name, too
    by_name = {row[0]: row[1:] for row in reversed(rows) if row}
    assert by_name["voc-xml"] == ["500", "490", "8", "2", "1", "31"]
    assert by_name["voc-xml, guided"] == ["100", "50", "10", "1", "0", "31"]
    assert by_name["all"][:2] == ["600", "540"]
