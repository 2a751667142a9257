"""SHA-256 of files."""

import hashlib

from incdet.runtime.file_hashes import named_hashes


def test_files_of_one_name_keep_hashes_of_their_own(tmp_path):
    files = []
    for folder, content in (("a", b"1"), ("b", b"2"), ("c", b"3")):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / ("other" if folder == "c" else "weights.safetensors"))
        files[-1].write_bytes(content)
    hashes = named_hashes([*files, files[0]])
    assert list(hashes) == [str(files[0]), str(files[1]), "other"]
    assert list(hashes.values()) == [hashlib.sha256(content).hexdigest() for content in (b"1", b"2", b"3")]
