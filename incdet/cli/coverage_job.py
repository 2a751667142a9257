"""One run of `incdet coverage`: the proposer that was chosen, coverage, tables, curves and numbers."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incdet.cli.console import failures_told, notes, reporter, table_console, warning, write_numbers
from incdet.config.class_choice import find_classes, split_names
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.collection import Collection
from incdet.data.dataset import Dataset
from incdet.data.readers import read_dataset
from incdet.errors import ConfigurationError
from incdet.evaluation.dataset_coverage import (
    Propose,
    cover_dataset,
    read_coverage_numbers,
    seconds_per_photo,
    write_coverage_curves,
)
from incdet.evaluation.plots import missing_plots
from incdet.evaluation.recall import Coverage
from incdet.evaluation.report import coverage_table
from incdet.networks.chosen_weights import check_proposers
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.proposals import Proposers
from incdet.proposers.prior_clusters import PriorsProposer, unit_boxes
from incdet.runtime.files import require_writable_file, require_writable_folder
from incdet.runtime.folder_lock import lock_folder
from incdet.runtime.gpu_presence import refuse_missing_gpu
from incdet.runtime.json_files import json_text
from incdet.runtime.optional_packages import require_package
from incdet.runtime.worker_processes import num_cores

METHODS = {
    "selective-search": ["proposals.methods=[selective_search]"],
    "multibox": ["proposals.methods=[multibox]"],
    # whatever the configuration has
    "merged": [],
    "priors": [],
}
"""Choice of --method -> the settings that it stands for."""


@dataclass(frozen=True)
class CoverageJob:
    """The arguments of `incdet coverage`, see its help.

    Attributes:
        collection: Layout of the data set.
        root: Folder of the data set.
        split: Split of the data set.
        classes: Names of the classes whose objects count, between commas; None is all.
        limit: Number of photos; None is all.
        cache: Folder that keeps proposals and parsed annotations.
        output: Folder of the curves.
        json_file: File of the numbers; "-" is stdout.
        beside: Numbers of earlier runs.
        method: One of `METHODS`.
        superpixel_scale: Setting of selective search; None is the configuration's.
        config: Configuration file.
        settings: Settings over the file's.
        quiet: Whether progress bars are left out.
    """

    collection: Collection
    root: Path
    split: str
    classes: str | None
    limit: int | None
    cache: Path
    output: Path
    json_file: Path | None
    beside: tuple[Path, ...]
    method: str
    superpixel_scale: float | None
    config: Path | None
    settings: tuple[str, ...]
    quiet: bool

    def run(self) -> int:
        """Measures the coverage and returns the exit code: 0, or 1 where a photo failed.

        Raises:
            IncdetError: The options exclude each other, a package is missing, or the data cannot be used.
        """
        config = self._checked_config()
        self._check_files(config)
        with lock_folder(self.output):
            return self._measure(config)

    def _measure(self, config: Config) -> int:
        earlier = self._earlier()
        data, judged = self._read()
        propose, cached = self._proposers(data, config)
        # crowds are no single objects; VOC's difficult ones are, and R-CNN counted them
        coverage, failures = cover_dataset(data, cached, config.images, self.collection != Collection.coco)
        if judged is not None:
            coverage = coverage.subset(np.isin(coverage.class_ids, judged))
        numbers = coverage.to_json() | {
            "seconds_per_image": seconds_per_photo(data, propose, config.images),
            "dataset": data.name,
            "method": self.method,
        }
        self._report(coverage, numbers, config, earlier)
        return failures_told(failures)

    def _earlier(self) -> dict[str, dict[str, Any]]:
        """The numbers of earlier runs by the names of their files, with folders where those do not tell them apart."""
        stems = Counter([self.method, *(file.stem for file in self.beside)])
        names = [file.stem if stems[file.stem] == 1 else str(file) for file in self.beside]
        if len({self.method, *names}) <= len(names):
            raise ConfigurationError(
                f"two curves would have one name ({', '.join(names)}); give each --beside once, by a path of its own"
            )
        return dict(zip(names, map(read_coverage_numbers, self.beside), strict=True))

    def _checked_config(self) -> Config:
        if any(setting.startswith("proposals.methods") for setting in self.settings):
            raise ConfigurationError("--method says what proposes; leave out --set proposals.methods")
        if self.beside:
            require_package("matplotlib", "curves beside each other (--beside)", "eval")
        if self.method == "priors":
            require_package("scipy", "the clusters of --method priors", "eval")
        settings = METHODS[self.method].copy()
        if self.superpixel_scale is not None and self.method in ("multibox", "priors"):
            raise ConfigurationError(
                f"--superpixel-scale belongs to selective search, which --method {self.method} leaves out; leave out "
                "one of them"
            )
        if self.superpixel_scale is not None:
            settings.append(f"proposals.selective_search.superpixel_scale={self.superpixel_scale}")
        return load_config(Config, self.config, [*settings, *self.settings])

    def _check_files(self, config: Config) -> None:
        """Refuses places that cannot be written to, a device that is not there and weights that are wrong."""
        require_writable_folder(self.output)
        if self.json_file is not None and self.json_file != Path("-"):
            require_writable_file(self.json_file)
        refuse_missing_gpu(config.device)
        if self.method != "priors":
            check_proposers(config.proposals)

    def _read(self) -> tuple[Dataset, list[int] | None]:
        """The photos, and the ids of the classes whose objects count, None for all."""
        ground_truth = self.cache / "ground_truth"
        data = read_dataset(
            self.collection, self.root, self.split, cache=ground_truth, num_processes=num_cores(), warn=warning
        )
        if self.limit is not None:
            data = data.subset(list(range(min(self.limit, len(data)))))
        if self.classes is None:
            return data, None
        return data, find_classes(split_names(self.classes), data.class_names, data.name)

    def _proposers(self, data: Dataset, config: Config) -> tuple[Propose, Propose]:
        """The proposer, whose time is taken, and the same with proposals that are kept."""
        if self.method == "priors":
            training = read_dataset(self.collection, self.root, "train", cache=self.cache / "ground_truth")
            priors = PriorsProposer(unit_boxes(training.ground_truths))
            return priors, priors
        stored = ProposalCache(self.cache / "proposals", config.proposals, config.device, config.scores)
        listener = reporter(self.quiet)
        listener.note(stored.describe())
        listener.follow("proposals", stored.fill(data.image_paths, config.images), len(data))
        return Proposers(config.proposals, config.device, scores=config.scores), stored

    def _report(
        self, coverage: Coverage, numbers: dict[str, Any], config: Config, earlier: dict[str, dict[str, Any]]
    ) -> None:
        """Prints tables, draws the curves and writes the numbers."""
        screen = table_console(self.json_file)
        screen.print(coverage_table(coverage, f"{numbers['dataset']}: {self.method}"))
        screen.print(
            f"{numbers['proposals_per_image']:.0f} proposals per image, {numbers['seconds_per_image']:.3f} s per "
            f"image, {numbers['num_images']} images"
        )
        missing = missing_plots()
        if missing is None:
            files = write_coverage_curves(self.output, coverage, self.method, numbers, earlier)
            notes.print(f"wrote {', '.join(map(str, files))}", markup=False)
        else:
            warning(missing)
        text = json_text(numbers | {"configuration": config.proposals.model_dump(mode="json")})
        write_numbers(self.json_file, text)
