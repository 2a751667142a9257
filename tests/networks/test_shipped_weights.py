"""Names of shipped weights."""

from weights_files import refused

from incdet.data.ilsvrc_classes import ilsvrc_classes
from incdet.networks.record_files import load_record
from incdet.networks.shipped_weights import find_weights


def test_an_unknown_name_lists_the_shipped_ones():
    refused(lambda: find_weights("googlenet-vok"), "googlenet-vok", "googlenet-voc")


def test_names_may_lack_their_beginning_but_a_file_wins(tmp_path, monkeypatch):
    assert find_weights("voc-shared") == find_weights("googlenet-voc-shared")
    assert find_weights("ilsvrc200").name == "googlenet-ilsvrc200.safetensors"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voc-shared").touch()
    assert find_weights("voc-shared").resolve() == (tmp_path / "voc-shared").resolve()


def test_the_weights_of_ilsvrc_know_its_200_classes_in_the_order_of_submissions():
    record = load_record(find_weights("ilsvrc200"))
    assert record.classes == tuple(kind.name for kind in ilsvrc_classes())
    assert record.features == "shared"
    assert record.background
    assert {"ILSVRC val2-here mAP", "ILSVRC val2-here mAP, classes outside VOC"} <= record.measured.keys()
