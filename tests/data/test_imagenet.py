"""ImageNet's list of classes."""

import pytest
from annotation_files import write

from incdet.data.imagenet import read_synset_words
from incdet.errors import DataError


def test_synset_words(tmp_path):
    file = write(tmp_path / "words.txt", "n01 tench, Tinca\nn02 goldfish\n")
    assert read_synset_words(file) == [("n01", "tench, Tinca"), ("n02", "goldfish")]
    for content in ("n01\n", "cat n01\n", b"n01 caf\xe9\n"):
        with pytest.raises(DataError, match=r"words\.txt"):
            read_synset_words(write(file, content))
