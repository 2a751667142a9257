"""A command that is repeated although nothing is missing: told from the folder of results, before torch is loaded."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from incdet.cli.console import notes
from incdet.cli.given_photos import GivenPhotos
from incdet.cli.output_checks import DEFAULT_FOLDER
from incdet.cli.output_options import OutputOptions
from incdet.cli.photo_batch import FILES, SHARED
from incdet.errors import OutputError
from incdet.output.photo_records import STATE
from incdet.output.result_folder import ResultFolder
from incdet.output.result_pictures import stored_run
from incdet.output.tables import summary_table
from incdet.runtime.counted_words import counted
from incdet.runtime.provenance import run_text
from incdet.runtime.visible_text import visible


def nothing_to_do(
    given: GivenPhotos, kinds: tuple[str, ...], name: str, options: OutputOptions, known: Mapping[str, Any]
) -> bool:
    """Tells that everything is done, with the results, and returns whether it is.

    A folder that was given and holds results of other settings is refused here, before a network is loaded.

    Args:
        given: Photos.
        kinds: Kinds of files that are written.
        name: Name of the results: "detections", "proposals" or "classifications".
        options: Places of the results.
        known: Values that decide the results, as far as they are known without loading a network. Others that the run
            before noted, such as the library that computes, follow from them.

    Raises:
        OutputError: The folder that was given holds results of other settings.
    """
    if not kinds or options.overwrite:
        return False
    photos = {str(photo): given.identity(photo) for photo in given.files}
    folder = _folder_of(options, name, photos, known)
    if options.show or options.json_file is not None or given.failures:
        return False
    if folder is None or not _is_complete(folder, kinds, photos):
        return False
    if not options.quiet:
        notes.print(summary_table([folder.done[photo] for photo in photos], name))
        whole = "all " if len(photos) > 1 else ""
        is_are = "are" if len(photos) > 1 else "is"
        done = f"nothing to do: {whole}{counted(len(photos), 'photo')} {is_are} in {visible(str(folder.path))}"
        notes.print(done, markup=False)
    return True


def _folder_of(
    options: OutputOptions, name: str, photos: Mapping[str, str], known: Mapping[str, Any]
) -> ResultFolder | None:
    """The folder that a run with these options would continue; None where it would make one.

    Raises:
        OutputError: The folder that was given holds results of other settings.
    """
    for path in _candidates(options.folder):
        stored = stored_run(path)
        if stored is None:
            return None
        # what the run before noted besides is taken over, so that only what is known is compared
        now = json.loads(run_text({**known, "timing": options.timing}))
        description = {key: value for key, value in stored.items() if key not in STATE} | now
        # so are files of networks that only loading tells, such as the one whose feature maps MultiBox reads
        if isinstance(stored.get("weights"), dict):
            description["weights"] = stored["weights"] | now.get("weights", {})
        if options.folder is not None:
            return ResultFolder(path, name, description, photos)
        # without --output, a numbered folder with other results is passed over
        with suppress(OutputError):
            folder = ResultFolder(path, name, description, photos)
            if folder.records.keys() <= photos.keys():
                return folder
    return None


def _candidates(folder: Path | None) -> Iterator[Path]:
    """The folder that was given, or the numbered ones that are there where none was."""
    path, number = folder or DEFAULT_FOLDER, 1
    while path.is_dir():
        yield path
        if folder is not None:
            return
        number += 1
        path = DEFAULT_FOLDER.with_name(f"{DEFAULT_FOLDER.name}-{number}")


def _is_complete(folder: ResultFolder, kinds: tuple[str, ...], photos: Mapping[str, str]) -> bool:
    """Whether every photo has its line and its files, and no run was interrupted."""
    if (folder.path / f"{folder.name}.unfinished.jsonl").exists() or not photos.keys() <= folder.done.keys():
        return False
    shared = [SHARED[kind] for kind in kinds if kind in SHARED]
    if "json" in kinds:
        shared.append(f"{folder.name}.jsonl")
    forms = [FILES[kind] for kind in kinds if kind in FILES]
    own = [form.format(folder.records[photo].file) for photo in photos for form in forms if photo in folder.records]
    return all((folder.path / file).exists() for file in (*shared, *own))
