"""The options of commands that run on a cluster, and which other options go together with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from incdet.errors import ConfigurationError

CLUSTER = "Cluster"
"""Title of the panel of options."""


class ResultFormat(StrEnum):
    """Form of the results."""

    parquet = "parquet"
    jsonl = "jsonl"


ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Work on a Ray cluster: auto finds the one that runs here, local starts one on this machine; or its "
        "address. Inputs may be list files (.txt), tar shards and addresses such as s3://bucket/photos, too.",
        rich_help_panel=CLUSTER,
    ),
]
ResultFormatOption = Annotated[
    ResultFormat | None,
    typer.Option("--format", help="Form of the results (default: parquet).", rich_help_panel=CLUSTER),
]
CpusPerWorker = Annotated[
    int | None,
    typer.Option(
        "--cpus-per-worker", min=1, metavar="N", help="CPUs of each worker (default: 1).", rich_help_panel=CLUSTER
    ),
]
ClusterWorkers = Annotated[
    int | None,
    typer.Option(
        "--cluster-workers",
        min=1,
        metavar="N",
        help="Workers (default: as many as fit); Ray's autoscaler starts nodes for those that do not fit.",
        rich_help_panel=CLUSTER,
    ),
]
PartSize = Annotated[
    int | None,
    typer.Option(
        "--part-size",
        min=1,
        max=1_000_000,
        metavar="N",
        help="Photos in a file of results, which are done again together when a machine dies (default: up to 256).",
        rich_help_panel=CLUSTER,
    ),
]


@dataclass(frozen=True)
class ClusterOptions:
    """The cluster's options of one command.

    Attributes:
        address: Address of the cluster, "auto" or "local"; None works on this machine without one.
        form: Form of the results; None is Parquet.
        cpus_per_worker: CPUs of each worker; None is one.
        num_workers: Number of workers; None is as many as fit.
        part_size: Number of photos of a part; None fits it to the number of photos.
    """

    address: str | None
    form: ResultFormat | None = None
    cpus_per_worker: int | None = None
    num_workers: int | None = None
    part_size: int | None = None

    def check(self, others: Mapping[str, bool]) -> None:
        """Refuses options that do not go together.

        Args:
            others: Name of an option that only makes sense on one machine -> whether it was given.

        Raises:
            ConfigurationError: One of them was given with --cluster, or an option of the cluster without it.
        """
        own = {
            "--format": self.form,
            "--cpus-per-worker": self.cpus_per_worker,
            "--cluster-workers": self.num_workers,
            "--part-size": self.part_size,
        }
        if self.address is None:
            for name, value in own.items():
                if value is not None:
                    raise ConfigurationError(f"{name} belongs to --cluster; add --cluster or leave {name} out")
            return
        for name, is_given in others.items():
            if is_given:
                raise ConfigurationError(f"{name} works on one machine only; leave out {name} or --cluster")

    def check_place(self, output: str | None) -> str:
        """Returns the place of the results.

        Raises:
            ConfigurationError: None was given.
        """
        if output is None:
            raise ConfigurationError(
                "--cluster needs a place for the results that all machines see; give --output FOLDER or an address "
                "such as --output s3://bucket/found"
            )
        return output
