"""ImageNet classification: the class list and the sample layout `<wnid>.jpg` beside `synset_words.txt`."""

from pathlib import Path

from incdet.errors import DataError
from incdet.storage import read_text


def read_synset_words(file: Path) -> list[tuple[str, str]]:
    """(WordNet id, names) per class, in the order of the network's columns.

    Raises:
        DataError: missing, or a line that is not '<wnid> <names>'.
    """
    lines = read_text(file, "the class list", "check the path").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2 or not pair[0].startswith("n"):
            raise DataError(
                f"the class list {file}, line {number}: expected '<wnid> <names>', found {' '.join(pair)!r}"
            )
    return [(wnid, words) for wnid, words in pairs]
