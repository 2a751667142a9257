"""Weights, sidecar files, checkpoints, caches and shards: damaged, foreign, well-formed and wrong."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_training import CONFIGURATION, make_trainer, trained

from incdet.config.sections import ProposalsConfig
from incdet.data.shards import ShardPhotos
from incdet.errors import DataError, WeightsError
from incdet.evaluation.stored_evaluation import FILE_NAME, load_evaluation
from incdet.networks.importers.foreign_files import read_foreign_tensors
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import activation_ranges_file, load_activation_ranges, save_activation_ranges
from incdet.networks.weights import RECORD_KEY, load_network, load_record, read_tensors, save_weights
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.files import save_arrays
from incdet.runtime.forks import ProcessMark
from incdet.runtime.private_folders import is_private
from incdet.training.photo_proposals import PhotoProposals


def flip_bit(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A copy of shipped weights with a checksum."""
    shipped = find_weights("googlenet-voc")
    file = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_weights(file, read_tensors(shipped), load_record(shipped))
    return file


def test_a_flipped_bit_anywhere_is_noticed(tmp_path, weights):
    load_network(weights)
    size = weights.stat().st_size
    for place in (size - 1, size // 2, size // 3):
        file = tmp_path / "flipped.safetensors"
        file.write_bytes(weights.read_bytes())
        flip_bit(file, place)
        with pytest.raises(WeightsError, match=r"flipped\.safetensors"):
            load_network(file)
    changed = tmp_path / "renamed.safetensors"
    changed.write_bytes(weights.read_bytes().replace(b"aeroplane", b"aeroplang"))
    with pytest.raises(WeightsError, match="checksum"):
        load_network(changed)


@pytest.mark.parametrize("number", [2_000_000, 3])
def test_a_record_of_other_classes_than_the_tensors_is_refused_before_a_network_is_made(tmp_path, weights, number):
    record = load_record(weights).model_dump(mode="json") | {
        "classes": [f"c{i}" for i in range(number)],
        "checksum": None,
    }
    file = tmp_path / "many.safetensors"
    save_file(read_tensors(weights), file, {RECORD_KEY: json.dumps(record)})
    with pytest.raises(WeightsError, match=f"needs {number + 1:,} columns"):
        load_network(file)


@pytest.mark.parametrize("value", [1e39, float("inf"), float("nan")])
def test_numbers_that_float32_cannot_hold_are_damage(tmp_path, weights, value):
    tensors = read_tensors(weights)
    tensors["conv1.bias"] = tensors["conv1.bias"].double()
    tensors["conv1.bias"][3] = value
    file = tmp_path / "large.safetensors"
    save_weights(file, tensors, load_record(weights))
    with pytest.raises(WeightsError, match=r"'conv1\.bias' holds NaN or infinity"):
        load_network(file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, -1, True, 1e39, "1", None, [1]], ids=str)
def test_ranges_of_no_use_are_refused(weights, value):
    beside = save_activation_ranges(weights, {"crops": 2.0, "norm1": 1.0}, "a test")
    assert load_activation_ranges(weights) == {"crops": 2.0, "norm1": 1.0}
    content = json.loads(beside.read_text())
    content["activation_ranges"]["norm1"] = value
    beside.write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="norm1"):
        load_activation_ranges(weights)
    content["activation_ranges"]["norm1"] = 1.5
    beside.write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="checksum"):
        load_activation_ranges(weights)
    activation_ranges_file(weights).unlink()


def test_foreign_files_that_are_no_state_dicts_are_named_without_inner_words(tmp_path):
    file = tmp_path / "model.pth"
    dense = torch.zeros(2, 2)
    cases = {
        "whole pickled model": torch.nn.Linear(2, 2),
        "something else than tensors": {"epoch": 3},
        "which is no text": {1: dense},
        "sparse": {"a": dense.to_sparse()},
        "without data": {"a": torch.zeros(2, device="meta")},
    }
    for words, content in cases.items():
        torch.save(content, file)
        with pytest.raises(WeightsError, match=words) as caught:
            read_foreign_tensors(file)
        for inner in ("weights_only", "\x1b", "pickle.", "WeightsUnpickler", "\n"):
            assert inner not in str(caught.value)
    parts = zipfile_of_parts(dense)
    for content in (b"", b"PK\x03\x04" + bytes(60), b"\x80\x02.", pickle.dumps(os.getcwd), parts, b"x" + parts):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=r"model\.pth"):
            read_foreign_tensors(file)


def zipfile_of_parts(tensor):
    """A state dict whose archive claims to be the first of several, which Python refuses with an error of its own."""
    stream = io.BytesIO()
    torch.save({"a": tensor}, stream)
    content = bytearray(stream.getvalue())
    # the locator of the long form, which torch always writes: its last field is the number of parts
    place = content.index(b"PK\x06\x07") + 16
    content[place : place + 4] = (3).to_bytes(4, "little")
    return bytes(content)


@pytest.fixture
def finished(tmp_path):
    trained(tmp_path, steps=12)
    return tmp_path / "checkpoint.safetensors"


def test_a_checkpoint_belongs_to_its_classes_and_data(tmp_path):
    identity = {"name": "pets train", "classes": ["cat", "dog"], "photos": "1", "annotations": "2"}
    trainer = make_trainer(tmp_path)
    trainer.resume(CONFIGURATION | {"data_set": identity})
    trainer.checkpoint()
    for change, words in (
        (
            {"classes": ["dog", "cat"]},
            r"belongs to 2 classes \(cat, dog\), but the data set has 2 classes \(dog, cat\)",
        ),
        ({"classes": ["cat"]}, r"but the data set has 1 class \(cat\)"),
        ({"annotations": "3"}, "belongs to other data: annotations of pets train"),
        ({"photos": "3"}, "belongs to other data: photos of pets train"),
    ):
        with pytest.raises(WeightsError, match=words) as caught:
            make_trainer(tmp_path).resume(CONFIGURATION | {"data_set": identity | change})
        assert caught.value.exit_code == 3
    make_trainer(tmp_path).resume(CONFIGURATION | {"data_set": identity})


@pytest.mark.parametrize(
    "metadata",
    [
        *({"step": text} for text in ("x", "-1", "9" * 400)),
        *({"configuration": text} for text in ("{", "3", "[" * 99_999)),
    ],
    ids=lambda change: str(change)[:30],
)
def test_wrong_metadata_of_a_checkpoint_is_a_sentence(finished, metadata):
    with safe_open(finished, "pt") as stored:
        known = dict(stored.metadata())
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    known.pop("checksum")
    save_file(tensors, finished, known | metadata)
    with pytest.raises(WeightsError, match=r"checkpoint\.safetensors"):
        make_trainer(finished.parent, steps=12).resume(CONFIGURATION)


def test_wrong_tensors_of_a_checkpoint_are_a_sentence_and_change_nothing(finished):
    with safe_open(finished, "pt") as stored:
        metadata = dict(stored.metadata())
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    flip_bit(finished, finished.stat().st_size - 5)
    with pytest.raises(WeightsError, match="damaged: its checksum"):
        make_trainer(finished.parent, steps=12).resume(CONFIGURATION)
    metadata.pop("checksum")
    for name, tensor in (
        ("network.output.weight", torch.zeros(3, 3)),
        ("momentum.output.weight", torch.zeros(1)),
        ("average.output.bias", None),
    ):
        changed = {key: value for key, value in tensors.items() if key != name} | (
            {name: tensor} if tensor is not None else {}
        )
        save_file(changed, finished, metadata)
        with pytest.raises(WeightsError, match=f"'{name}'"):
            make_trainer(finished.parent, steps=12).resume(CONFIGURATION)


def test_damaged_lines_of_a_log_are_dropped(finished):
    log = finished.parent / "log.jsonl"
    good = log.read_text()
    log.write_text('3\n[1]\n{"a": 1}\n{"step": "x"}\n' + "[" * 9999 + "\n" + good + '{"step": 12, "lo')
    make_trainer(finished.parent, steps=12).resume(CONFIGURATION)
    assert log.read_text() == good


def test_well_formed_and_wrong_proposals_are_computed_anew(tmp_path, chelsea_file):
    cache = ProposalCache(tmp_path, ProposalsConfig(methods=("selective_search",)))
    key = "0" * 24
    good = {"boxes": np.zeros((2, 4), np.float32), "scores": np.zeros(2, np.float32), "sources": np.array(["a", "b"])}
    save_arrays(cache._file(key), **good)
    assert len(cache.load(key)) == 2
    wrongs = (
        *(
            {"boxes": boxes}
            for boxes in (np.zeros((2, 3), np.float32), np.full((2, 4), np.nan, np.float32), np.float32(3))
        ),
        {"scores": np.zeros(3, np.float32)},
        {"sources": np.zeros(2)},
    )
    for wrong in wrongs:
        save_arrays(cache._file(key), **good | wrong)
        assert cache.load(key) is None
    photos = PhotoProposals(cache)
    for wrong in (
        {"key": np.array("../x")},
        {"size": np.array([1, 2, 3])},
        {"size": np.array("wide")},
        {"size": np.array([-1, 5])},
    ):
        save_arrays(photos._note_of(chelsea_file), **{"key": np.array(key), "size": np.array([4, 3])} | wrong)
        assert photos._load(photos._note_of(chelsea_file)) is None


def test_a_stored_evaluation_that_is_well_formed_and_wrong_is_a_data_error(tmp_path):
    head = {"rules": "voc", "dataset": "d", "classes": ["cat"], "images": 2, "ground_truth": "x"}
    good = {"object_images": np.array([0]), "object_classes": np.array([0]), "detection_images": np.array([1]),
            "detection_classes": np.array([0]), "scores": np.array([0.5]), "verdicts": np.array([1]),
            "average_precision": np.array([0.0])}  # fmt: skip
    save_arrays(tmp_path / FILE_NAME, head=np.array(json.dumps(head)), **good)
    load_evaluation(tmp_path)
    wrongs = (
        *({"head": np.array(text)} for text in ("{", "3")),
        {"scores": np.zeros(3)},
        {"detection_images": np.array([7])},
        {"object_classes": np.array([0.5])},
        {"average_precision": np.zeros(2)},
    )
    for wrong in wrongs:
        save_arrays(tmp_path / FILE_NAME, **{"head": np.array(json.dumps(head))} | good | wrong)
        with pytest.raises(DataError, match="is damaged"):
            load_evaluation(tmp_path)


def test_shards_of_impossible_sizes_end_in_a_sentence(tmp_path):
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w") as archive:
        for name in ("1.jpg", "1.cls"):
            archive.addfile(tarfile.TarInfo(name))
    content = bytearray(file.read_bytes())
    # a negative size in base 256, and a checksum that fits
    content[124:136] = (-1024).to_bytes(12, "big", signed=True)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tar"):
        ShardPhotos(tmp_path, ("cat",))
    for text in ("x", "-5", "1e9", "9" * 30):
        with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
            entry = tarfile.TarInfo("1.jpg")
            entry.pax_headers = {"size": text}
            archive.addfile(entry)
        with pytest.raises(DataError, match=r"a\.tar"):
            ShardPhotos(tmp_path, ("cat",))


def test_a_forked_process_is_told_to_make_its_own():
    mark = ProcessMark()
    mark.require_same("a detector")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            mark.require_same("a detector")
        except RuntimeError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    assert b"start processes by spawn" in os.read(reading, 999)


def test_code_of_others_is_not_loaded(tmp_path):
    assert is_private(tmp_path / "missing")
    tmp_path.chmod(0o700)
    assert is_private(tmp_path)
    tmp_path.chmod(0o777)
    assert not is_private(tmp_path)


WAIT = """
import time
import typer
from incdet.cli.console import call_with_sentence
app = typer.Typer(pretty_exceptions_enable=False)
@app.command()
def wait():
    print("waiting", flush=True)
    time.sleep(60)
call_with_sentence(app)
"""


DEFAULT_HANDLERS = {signal.SIGTERM: "SIG_DFL", signal.SIGHUP: "SIG_DFL", signal.SIGINT: "default_int_handler"}


@pytest.mark.parametrize("number", list(DEFAULT_HANDLERS))
def test_signals_end_a_program_like_an_interruption(number):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    # a signal that these tests were started to ignore, as by nohup, would be ignored by the program, too
    program = f"import signal; signal.signal({int(number)}, signal.{DEFAULT_HANDLERS[number]})\n{WAIT}"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout.readline() == b"waiting\n"
    time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"run the same command again" in err
    assert b"Traceback" not in err
