"""Progress where no bar can move: a line from time to time."""

from incdet.cli import console
from incdet.cli.progress_lines import FIRST_SECONDS, SECONDS, ProgressLines


def test_lines_come_from_time_to_time_and_at_the_end():
    lines, now = [], [100.0]
    progress = ProgressLines("training", 216, lines.append, lambda: now[0])
    for step, seconds in enumerate((1, FIRST_SECONDS, FIRST_SECONDS + 1, FIRST_SECONDS + SECONDS), 1):
        now[0] = 100 + seconds
        progress.update(step, f"loss {step}.5")
    progress.finish()
    assert lines == [
        "training: 2 of 216 after 5 s, loss 2.5",
        "training: 4 of 216 after 25 s, loss 4.5",
    ]
    progress.update(216)
    progress.finish()
    assert lines[2:] == ["training: 216 of 216 after 25 s"]


def test_without_a_terminal_lines_are_written_and_quiet_writes_nothing(capsys):
    for quiet in (True, False):
        with console.progress_bar("photos", 2, quiet) as update:
            update(1, "a.jpg")
            update(2)
    assert capsys.readouterr().err == "photos: 2 of 2 after 0 s\n"


def test_a_bar_within_the_block_of_another_is_shown_below_it(monkeypatch):
    monkeypatch.setattr(console.notes, "_force_terminal", True)
    with console.progress_bar("training", 10) as outer:
        outer(5, "")
        with console.progress_bar("validation", 4) as inner:
            inner(2, "")
            bars = console._bars[0]
            assert [(task.description, task.completed) for task in bars.tasks] == [("training", 5), ("validation", 2)]
        assert [task.description for task in bars.tasks] == ["training"]
    assert not console._bars
