"""A campaign of damaged files and killed processes, which looks for what no report has shown yet.

python benchmarks/robustness.py files results.jsonl
python benchmarks/robustness.py kills results.jsonl
python benchmarks/robustness.py again results.jsonl
python benchmarks/robustness.py table results.jsonl
python benchmarks/robustness.py show voc-xml 17

Every input depends on its target, its number and the seed alone. Allowed are a right answer and an `IncdetError`.
Started again with the same file of results, the campaign goes on where it stopped.
"""

import json
import shutil
import tempfile
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from robustness_kills import run_chain, run_whole
from robustness_mutations import Mutated
from robustness_targets import Target, all_targets
from robustness_workers import OUTCOMES, input_of, outcome_of, prepared, run_inputs

from incdet.cli.console import call_with_sentence, notes, progress_bar
from incdet.errors import ConfigurationError, DataError
from incdet.runtime.files import append_text
from incdet.runtime.text_files import read_text

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

CHUNK = 500
"""Number of inputs between two lines of the file of results."""

Results = Annotated[Path, typer.Argument(help="File of results, one line of JSON for every 500 inputs.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the inputs.")]


def _lines(results: Path) -> list[dict[str, Any]]:
    text = read_text(results, "the results of the campaign", "check the path") if results.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def _add(results: Path, line: dict[str, Any]) -> None:
    append_text(results, json.dumps(line) + "\n", create=True)


def _chosen(names: list[str] | None) -> list[Target]:
    targets = all_targets()
    for name in names or ():
        if name not in targets:
            raise ConfigurationError(f"there is no target '{name}'; known are {', '.join(targets)}")
    return [target for name, target in targets.items() if not names or name in names]


@app.command()
def files(
    results: Results,
    seed: Seed = 31,
    targets: Annotated[list[str] | None, typer.Option("--target", help="Target; repeatable (default: all).")] = None,
    share: Annotated[float, typer.Option(min=0, help="Share of the whole number of inputs.")] = 1.0,
) -> None:
    """Tries mutated files, each in a child process with limits of time and memory."""
    done = {(line["target"], line["seed"], line["start"]) for line in _lines(results) if "start" in line}
    for target in _chosen(targets):
        total = round(target.num_inputs * share)
        missing = [start for start in range(0, total, CHUNK) if (target.name, seed, start) not in done]
        if not missing:
            continue
        with prepared(target) as ready, progress_bar(target.name, total) as update:
            for place, seed_content in enumerate(ready.seeds):
                # a good file that is refused would make the rest meaningless
                ready.check(Mutated(seed_content, "none", place))
            for start in missing:
                update(start, "")
                end = min(start + CHUNK, total)
                chunk = run_inputs(target, ready, seed, range(start, end))
                place_of = {"target": target.name, "seed": seed, "start": start, "end": end}
                _add(results, place_of | {"counts": chunk.counts, "faults": chunk.faults})
            update(total, "")


@app.command()
def kills(
    results: Results,
    seed: Seed = 31,
    targets: Annotated[list[str] | None, typer.Option("--target", help="Job; repeatable (default: all).")] = None,
    share: Annotated[float, typer.Option(min=0, help="Share of the whole number of kills.")] = 1.0,
    together: Annotated[int, typer.Option(min=1, help="Kills before a run may end.")] = 4,
    keep: Annotated[Path | None, typer.Option(help="Folder that keeps what was left wrong.")] = None,
) -> None:
    """Kills jobs at random moments, lets them go on, and compares what they write with that of a run in one go."""
    from robustness_jobs import jobs, make_data

    done = [line for line in _lines(results) if "chain" in line and line["seed"] == seed]
    for job in jobs():
        if targets and job.name not in targets:
            continue
        own = [line for line in done if line["target"] == job.name]
        num_kills, chain = sum(line["kills"] for line in own), len(own)
        wanted = round(job.num_kills * share)
        if num_kills >= wanted:
            continue
        with tempfile.TemporaryDirectory() as place, progress_bar(job.name, wanted) as update:
            data, whole = Path(place) / "data", Path(place) / "whole"
            make_data(data)
            shutil.copytree(data, whole, copy_function=shutil.copy2)
            seconds, code = run_whole(job, whole)
            if code:
                raise DataError(f"'{job.name}' fails without a kill: {whole.with_name('whole.log').read_text()[-900:]}")
            while num_kills < wanted:
                update(num_kills, f"{seconds:.1f} s in one go")
                generator = np.random.default_rng([seed, zlib.crc32(job.name.encode()), chain])
                folder = Path(place) / f"cut{chain}"
                made = run_chain(job, (data, whole, folder), seconds, min(together, wanted - num_kills), generator)
                if not made.is_right and keep is not None:
                    shutil.copytree(place, keep / job.name.replace(" ", "-"), dirs_exist_ok=True)
                line = {"target": job.name, "seed": seed, "chain": chain, "kills": made.num_kills}
                _add(results, line | {"ended": made.num_ended, "code": made.code, "differences": made.differences})
                num_kills, chain = num_kills + made.num_kills, chain + 1
            update(wanted, "")


@app.command()
def again(results: Results) -> None:
    """Tries the inputs that were faults again, to see which of them are mended."""
    lines = _lines(results)
    for target in all_targets().values():
        faults = list(_faults(lines, target.name))
        if not faults:
            continue
        with prepared(target) as ready:
            for seed, number, _, _ in faults:
                chunk = run_inputs(target, ready, seed, range(number, number + 1))
                is_mended = not chunk.faults
                _add(results, {"target": target.name, "seed": seed, "number": number, "mended": is_mended})
                if chunk.faults:
                    notes.print(f"{target.name} {number}: {chunk.faults[0][1]}, {chunk.faults[0][2]}", markup=False)


def _faults(lines: list[dict[str, Any]], target: str) -> Iterator[tuple[int, int, str, str]]:
    """Yields seed, number, outcome and details of the faults of a target."""
    for line in lines:
        if line["target"] == target:
            for number, outcome, details in line.get("faults", ()):
                yield line["seed"], number, outcome, details


@app.command()
def show(
    target: Annotated[str, typer.Argument(help="Name of the target.")],
    number: Annotated[int, typer.Argument(min=0, help="Number of the input.")],
    seed: Seed = 31,
) -> None:
    """Prints one input and what becomes of it, in this process, with the traceback of a fault."""
    (chosen,) = _chosen([target])
    with prepared(chosen) as ready:
        mutated = input_of(chosen, ready, seed, number)
        print(mutated.kind, mutated.seed, len(mutated.content), repr(mutated.content[:2000]))
        print(*outcome_of(ready, mutated))
        try:
            ready.check(mutated)
        except Exception:
            traceback.print_exc()


@app.command()
def table(results: Results) -> None:
    """Prints what was tried, what was found, and what is mended."""
    lines = _lines(results)
    shown = Table("target", "inputs", "right", "refused", "faults", "mended", "seed")
    totals = [0, 0, 0, 0, 0]
    for name in dict.fromkeys(line["target"] for line in lines if "chain" not in line):
        own = [line for line in lines if line["target"] == name]
        counts = [sum(line["counts"].get(outcome, 0) for line in own if "counts" in line) for outcome in OUTCOMES]
        faults = {(seed, number) for seed, number, _, _ in _faults(own, name)}
        newest = {(line["seed"], line["number"]): line["mended"] for line in own if "mended" in line}
        mended = sum(newest.get(fault, False) for fault in faults)
        # a guided search notes every kind of fault once, so that its faults are no number of inputs
        num_inputs = sum(sum(line["counts"].values()) for line in own if "counts" in line)
        row = [num_inputs, *counts, len(faults), mended]
        totals = [total + value for total, value in zip(totals, row, strict=True)]
        seeds = ", ".join(str(seed) for seed in sorted({line["seed"] for line in own}))
        shown.add_row(name, *(f"{value:,}" for value in row), seeds)
    shown.add_section()
    shown.add_row("all", *(f"{total:,}" for total in totals))
    console = Console(highlight=False)
    console.print(shown)
    console.print(_kill_table([line for line in lines if "chain" in line]))


def _kill_table(lines: list[dict[str, Any]]) -> Table:
    """Shows the kills of each job, and the runs afterwards that lost something."""
    shown = Table("killed job", "kills", "runs that ended first", "chains", "same bytes", "seed")
    for name in dict.fromkeys(line["target"] for line in lines):
        own = [line for line in lines if line["target"] == name]
        right = sum(line["code"] == 0 and not line["differences"] for line in own)
        sums = (sum(line[key] for line in own) for key in ("kills", "ended"))
        seeds = ", ".join(str(seed) for seed in sorted({line["seed"] for line in own}))
        shown.add_row(name, *map(str, sums), str(len(own)), str(right), seeds)
    shown.add_section()
    shown.add_row("all", str(sum(line["kills"] for line in lines)))
    return shown


def main() -> None:
    """Runs the program; an error is one sentence."""
    call_with_sentence(app)


if __name__ == "__main__":
    main()
