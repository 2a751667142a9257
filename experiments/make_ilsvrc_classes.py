r"""The table of ILSVRC's 200 detection classes with the ImageNet synsets that belong to each: makes the package's file.

    python experiments/make_ilsvrc_classes.py --class-map ILSVRC/devkit/data/map_det.txt --synsets synset_words.txt \
        --wordnet wordnet/data.noun --output incdet/data/ilsvrc_classes.tsv

A synset of the 1000 classification classes belongs to a detection class where WordNet 3.0 has a path of hypernyms from
the one to the other, or where they are the same. The development kit of 2015 does not list children, so the paths are
read from WordNet's own file (Debian's package `wordnet-base` has it). Some classes are found in photos of synsets that
hang elsewhere in WordNet: the photos of "monitor" show what is annotated as "tv or monitor". Those are listed here.
"""

from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.console import run_program
from incdet.data.ilsvrc import read_class_map
from incdet.errors import DataError
from incdet.runtime.files import atomic_file
from incdet.runtime.text_files import read_text

SIMILAR = {
    "airplane": ("n04552348",),  # warplane
    "cup_or_mug": ("n07930864",),  # cup
    "elephant": ("n01871265",),  # tusker
    "hat_with_a_wide_brim": ("n04259630",),  # sombrero
    "laptop": ("n03832673",),  # notebook computer
    "maillot": ("n03710637",),  # the other synset of that name
    "motorcycle": ("n03791053",),  # motor scooter
    "rabbit": ("n02326432",),  # hare
    "sunglasses": ("n04355933",),  # sunglass
    "table": ("n03201208",),  # dining table
    "train": ("n03272562", "n04310018"),  # electric and steam locomotive
    "tv_or_monitor": ("n03782006", "n04404412"),  # monitor, television
}
"""Detection class -> synsets that WordNet puts elsewhere, although their photos show the class."""

HEADER = """\
# The 200 classes of ILSVRC's detection task in the development kit's order, from map_det.txt of ILSVRC 2015.
# synsets: those of the 1000 classification classes below the class in WordNet 3.0 (hypernyms), itself included.
# similar: synsets that WordNet puts elsewhere, although their photos show the class; chosen by hand; - is none.
# Made by experiments/make_ilsvrc_classes.py. WordNet 3.0 Copyright 2006 by Princeton University.
"""


def main(
    class_map: Annotated[Path, typer.Option(help="map_det.txt of the development kit.")],
    synsets: Annotated[Path, typer.Option(help="The 1000 classification classes, a WordNet id first in each line.")],
    wordnet: Annotated[Path, typer.Option(help="WordNet 3.0's data.noun.")],
    output: Annotated[Path, typer.Option(help="The table.")],
) -> None:
    """Writes the table of the 200 classes."""
    wordnet_ids, names = read_class_map(class_map)
    known = [line.split()[0] for line in read_text(synsets, "the synsets", "check --synsets").splitlines() if line]
    members = members_of(wordnet_ids, known, read_hypernyms(wordnet))
    lines = ["\t".join(("number", "wordnet_id", "name", "synsets", "similar"))]
    for number, (wordnet_id, name) in enumerate(zip(wordnet_ids, names, strict=True), 1):
        similar = SIMILAR.get(name, ())
        lines.append(
            "\t".join((str(number), wordnet_id, name, " ".join(members[wordnet_id]), " ".join(similar) or "-"))
        )
    with atomic_file(output) as stream:
        stream.write((HEADER + "\n".join(lines) + "\n").encode())
    print(f"wrote {output}: {sum(len(own) for own in members.values())} synsets of {len(wordnet_ids)} classes")


def read_hypernyms(file: Path) -> dict[str, list[str]]:
    """Returns the hypernyms of every noun's synset, as WordNet ids.

    Raises:
        DataError: The file is missing or not in WordNet's format.
    """
    hypernyms = {}
    for line in read_text(file, "WordNet", "give data.noun of WordNet 3.0").splitlines():
        # lines of the licence begin with two blanks
        if line.startswith("  "):
            continue
        words = line.split(" | ")[0].split()
        try:
            # offset, file, type, number of words in hexadecimal, each with its sense, number of pointers
            first_pointer = 5 + 2 * int(words[3], 16)
            pointers = words[first_pointer : first_pointer + 4 * int(words[first_pointer - 1])]
        except (ValueError, IndexError):
            raise DataError(f"{file} is not WordNet's data.noun: cannot read '{line[:60]}'") from None
        # a pointer is its symbol, an offset, a part of speech and which words it joins
        own = []
        for symbol, offset, part_of_speech in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=True):
            if symbol in ("@", "@i") and part_of_speech == "n":
                own.append(f"n{offset}")
        hypernyms[f"n{words[0]}"] = own
    return hypernyms


def members_of(
    wordnet_ids: tuple[str, ...], synsets: list[str], hypernyms: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Returns the synsets at or below each class, in their order."""
    members: dict[str, list[str]] = {wordnet_id: [] for wordnet_id in wordnet_ids}
    for synset in synsets:
        for ancestor in _ancestors(synset, hypernyms):
            if ancestor in members:
                members[ancestor].append(synset)
    return members


def _ancestors(synset: str, hypernyms: dict[str, list[str]]) -> set[str]:
    """The synset and everything above it."""
    found, waiting = set(), [synset]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += hypernyms.get(current, [])
    return found


if __name__ == "__main__":
    run_program(main)
