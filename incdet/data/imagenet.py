"""ImageNet classification: the class list and the sample layout `<wnid>.jpg` beside `synset_words.txt`."""

from pathlib import Path

from incdet.errors import DataError


def read_synset_words(file: Path) -> list[tuple[str, str]]:
    """(WordNet id, names) per class, in the order of the network's columns.

    Raises:
        DataError: missing, or a line that is not '<wnid> <names>'.
    """
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise DataError(f"cannot read the class list {file}: {(error.strerror or str(error)).lower()}") from None
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2 or not pair[0].startswith("n"):
            raise DataError(
                f"the class list {file}, line {number}: expected '<wnid> <names>', found {' '.join(pair)!r}"
            )
    return [(wnid, words) for wnid, words in pairs]
