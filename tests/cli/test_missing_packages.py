"""The core alone: what works without the packages of the extras, and the sentence where it does not."""

import json
import subprocess
import sys

import pytest
from command_line import FEW, ONE, one_sentence

from incdet.data.voc import VOC_CLASSES
from incdet.networks.importers import caffemodel

OF_EXTRAS = (
    "matplotlib", "scipy", "pycocotools", "faster_coco_eval", "tensorboard", "google.protobuf", "openvino",
    "webdataset", "skimage", "fastapi", "uvicorn", "python_multipart",
)  # fmt: skip


ALONE = """
import sys
sys.path[:0] = {path!r}
sys.modules |= dict.fromkeys({packages!r})
from incdet.cli.app import app
from incdet.cli.console import call_with_sentence
codes = []
for command in {commands!r}:
    try:
        call_with_sentence(app, command)
    except SystemExit as ended:
        codes.append(ended.code)
print(codes)
"""


@pytest.fixture
def core_alone(monkeypatch):
    """No package of an extra can be imported, nor found; what was imported of them is forgotten."""
    for name in list(sys.modules):
        if name.partition(".")[0] in {package.partition(".")[0] for package in OF_EXTRAS} and name != "google":
            monkeypatch.delitem(sys.modules, name)
    for package in OF_EXTRAS:
        monkeypatch.setitem(sys.modules, package, None)
    # a test before this one in the same process may have made the messages
    caffemodel._net_parameter.cache_clear()


@pytest.fixture
def predictions(small_voc, tmp_path):
    """A cat in each photo of `small_voc`."""
    cat = {"label": "cat", "class_id": VOC_CLASSES.index("cat"), "score": 0.9, "box": [0, 0, 400, 300]}
    sides = (("first", 451), ("second", 512))
    lines = [{"image": name, "width": width, "height": 300, "detections": [cat]} for name, width in sides]
    (tmp_path / "found.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ["evaluate", "--dataset", "voc", "--root", small_voc, "--predictions", "found.jsonl"]


@pytest.mark.slow
def test_detect_propose_and_evaluate_need_the_core_alone(small_voc, tmp_path):
    """In a process of its own, where nothing was imported before."""
    photo = str(small_voc / "JPEGImages" / "first.jpg")
    data = "--dataset", "voc", "--root", str(small_voc), "--quiet"
    commands = (
        ("detect", photo, *ONE, "--save", "image,json,coco,csv,voc"),
        ("propose", photo, *FEW, "--save", "image,json,hierarchy"),
        ("evaluate", *data, *ONE),
        ("coverage", *data, *FEW[:2]),
    )
    program = ALONE.format(path=sys.path, packages=OF_EXTRAS, commands=commands)
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1] == "[0, 0, 0, 0]", result.stderr
    report = (tmp_path / "runs" / "evaluation" / "report.html").read_text()
    assert "There are no plots, because they need matplotlib" in report


def test_a_report_without_matplotlib_says_what_is_missing(incdet, core_alone, predictions, tmp_path):
    code, out, err = incdet(*predictions, "--output", "report")
    assert code == 0
    assert "cat" in out
    assert "warning: there are no plots, because they need matplotlib" in err
    assert "pip install 'incdet[eval]'" in err
    assert not list((tmp_path / "report").glob("*.png"))
    page = (tmp_path / "report" / "report.html").read_text()
    assert "There are no plots" in page
    code, out, err = incdet(*predictions)
    assert (code, "matplotlib" in err) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["evaluate", "--dataset", "voc", "--root", "nowhere", "--rules", "coco"], "eval"),
        (["evaluate", "--dataset", "coco", "--root", "nowhere", "--coco-backend", "faster-coco-eval"], "coco"),
        (["coverage", "--dataset", "voc", "--root", "nowhere", "--beside", "earlier.json"], "eval"),
        (["coverage", "--dataset", "voc", "--root", "nowhere", "--method", "priors"], "eval"),
        (["train", "plot", "nowhere"], "train"),
        (["train", "regions", "regions_voc", "--tensorboard", "--set", "data.root=nowhere"], "train"),
        (["train", "multibox", "multibox_voc", "--tensorboard", "--set", "data.root=nowhere"], "train"),
        (["train", "multibox", "multibox_voc", "--set", "loss.matching=bipartite"], "train"),
        (["train", "multibox", "multibox_voc", "--set", "form=pooled"], "train"),
        (["train", "classifier", "classifier_voc", "--tensorboard", "--set", "data.root=nowhere"], "train"),
        (["serve"], "web"),
        (["weights", "import", "n.caffemodel", "--class-list", "words.txt", "--output", "w"], "caffe"),
    ],
)
def test_a_missing_package_is_said_before_any_work(incdet, core_alone, tmp_path, arguments, extra):
    (tmp_path / "n.caffemodel").write_bytes(b"\x0a\x04name")
    (tmp_path / "words.txt").write_text("n1 one\n")
    code, _, err = incdet(*arguments)
    assert code == 3
    assert f"pip install 'incdet[{extra}]'" in one_sentence(err)
