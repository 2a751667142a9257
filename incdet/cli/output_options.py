"""The options of a command that say where results go, and what is said about them."""

from dataclasses import dataclass
from pathlib import Path

from incdet.cli.console import failures_told, warning
from incdet.cli.given_photos import GivenPhotos
from incdet.cli.output_checks import DEFAULT_FOLDER, check_folder, check_json_file, refuse_address, refuse_own_name
from incdet.errors import ConfigurationError
from incdet.output.result_pictures import stored_run
from incdet.runtime.files import require_writable_folder


@dataclass(frozen=True)
class OutputOptions:
    """Places of the results, and what is said about them; None is the default of the command line.

    Attributes:
        folder: Folder of the results.
        save: Kinds of files, between commas.
        json_file: File of JSON lines, or "-" for stdout.
        overwrite: Whether an earlier result may be replaced.
        timing: Whether seconds per stage are told.
        quiet: Whether nothing but errors is told.
        show: Whether pictures are shown in the terminal.
    """

    folder: Path | None = None
    save: str | None = None
    json_file: str | None = None
    overwrite: bool = False
    timing: bool = False
    quiet: bool = False
    show: bool = False

    def kinds(self, known: tuple[str, ...]) -> tuple[str, ...]:
        """The kinds of files that are written; none where the JSON lines alone were asked for.

        Args:
            known: Kinds that the command can write.

        Raises:
            ConfigurationError: A kind is unknown.
        """
        if self.save is None:
            alone = self.json_file is not None and self.folder is None
            return () if alone else tuple(kind for kind in ("image", "json") if kind in known)
        kinds = tuple(kind.strip() for kind in self.save.split(","))
        for kind in kinds:
            if kind not in known:
                raise ConfigurationError(f"--save knows no '{kind}'; give some of {','.join(known)}")
        return kinds

    def check(self, given: GivenPhotos, kinds: tuple[str, ...]) -> None:
        """Makes sure, before anything is loaded or computed, that the results can be written, and names wrong paths.

        Args:
            given: The photos, which must not be replaced.
            kinds: Kinds of files that are written.

        Raises:
            OutputError: A place cannot be written to, or holds something of the user's.
        """
        refuse_address(self.folder, "--output")
        if self.json_file not in (None, "-"):
            file = Path(str(self.json_file))
            refuse_address(file, "--json")
            if kinds:
                refuse_own_name(file, self.folder or DEFAULT_FOLDER)
            # a killed run may have written it before
            described = [stored_run(place) or {} for place in (self.folder, state_folder(file)) if place]
            is_own = str(file.resolve()) in [run.get("json_file") for run in described]
            check_json_file(file, given.files, self.overwrite or is_own)
        if kinds:
            check_folder(self.folder or DEFAULT_FOLDER, given)
            require_writable_folder(self.folder or DEFAULT_FOLDER)
        failures_told(given.failures)
        for sentence in [] if self.quiet else given.notes:
            warning(sentence)


def state_folder(json_file: Path) -> Path:
    """The folder beside a file of JSON lines that keeps what an interrupted run has done."""
    return json_file.with_name(f"{json_file.name}.unfinished")
