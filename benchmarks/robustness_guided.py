"""Coverage-guided changes of the files that hand-written parsers read, by atheris, which is no dependency of incdet.

python benchmarks/robustness_guided.py voc-xml 20000 31 results.jsonl

Every target needs a process of its own, because libFuzzer takes it over.
"""

import json
import os
import sys
import tempfile
import warnings
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from incdet.runtime.files import append_text


def main(name: str, num_inputs: int, seed: int, results: Path) -> None:
    """Tries inputs that libFuzzer makes out of the good files, and notes every kind of fault once.

    Args:
        name: Name of the target.
        num_inputs: Number of inputs.
        seed: Seed of libFuzzer.
        results: File of results, as of `robustness.py`.
    """
    atheris = import_module("atheris")

    # only code that is loaded inside is measured
    with atheris.instrument_imports(
        include=["incdet.data", "incdet.output", "incdet.evaluation", "incdet.networks.importers"]
    ):
        from robustness_targets import all_targets

        target = all_targets()[name]
    from robustness_mutations import Mutated
    from robustness_workers import outcome_of, prepared

    warnings.simplefilter("ignore")
    counts: dict[str, int] = {}
    faults: dict[str, bytes] = {}
    with ExitStack() as folders:
        ready = folders.enter_context(prepared(target))
        corpus = folders.enter_context(tempfile.TemporaryDirectory())
        for number, content in enumerate(ready.seeds):
            (Path(corpus) / str(number)).write_bytes(content)
            ready.check(Mutated(content, "none", number))

        def try_one(content: bytes) -> None:
            # seed 1 is a good file without checksums, where a target has one
            outcome, details = outcome_of(ready, Mutated(content, "guided", len(ready.seeds) - 1))
            counts[outcome] = counts.get(outcome, 0) + 1
            if outcome not in ("right", "refused"):
                faults.setdefault(f"{outcome}: {details}", content)
            if sum(counts.values()) == num_inputs:
                _note(results, name, seed, counts, faults)
                # libFuzzer ends the process without Python's own end
                folders.close()
                os._exit(0)

        options = [f"-seed={seed}", "-timeout=60", "-rss_limit_mb=4000"]
        atheris.Setup([sys.argv[0], *options, "-max_len=4096", "-verbosity=0", corpus], try_one)
        atheris.Fuzz()


def _note(results: Path, name: str, seed: int, counts: dict[str, int], faults: dict[str, bytes]) -> None:
    found = [[number, kind, content.hex()] for number, (kind, content) in enumerate(faults.items())]
    line: dict[str, Any] = {"target": f"{name}, guided", "seed": seed, "counts": counts, "faults": found}
    append_text(results, json.dumps(line) + "\n", create=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
