"""Wrong arguments of every command are told before torch is loaded, which takes longer than everything else."""

import json
import shutil
import subprocess
import sys

import pytest

PROGRAM = f"""
import contextlib, io, json, sys
sys.path[:0] = {sys.path!r}
from incdet.cli.app import app
from incdet.cli.console import call_with_sentence

for arguments in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        try:
            call_with_sentence(app, arguments, "incdet")
        except SystemExit as stopped:
            code = stopped.code
    print(json.dumps([code, stderr.getvalue(), "torch" in sys.modules]))
"""

DATA = "--dataset voc --root voc"
NOWHERE = "photo.png/x"
"""A place that cannot be made, because a file is in its way."""

CASES = {
    "detect missing.jpg": (1, "missing.jpg: there is no such file"),
    "detect missing/": (1, "missing/: there is no such file or folder"),
    "detect missing*.jpg": (1, "matches no file"),
    "detect https://example.org/cat.jpg": (1, "it is a URL"),
    f"detect photo.png --output {NOWHERE}": (2, "photo.png/x"),
    f"detect photo.png --json {NOWHERE}": (2, "photo.png/x"),
    "detect photo.png --save pdf": (2, "'pdf'"),
    "detect photo.png --output s3://bucket/found": (2, "--output s3://bucket/found is an address"),
    "propose photo.png --json s3://bucket/found.jsonl": (2, "--json s3://bucket/found.jsonl is an address"),
    "detect photo.png --output found --json found/run.json": (2, "a file of the run itself"),
    "detect clip.mp4 --output boxes.mp4 --save json": (2, "no place beside the one video boxes.mp4"),
    "detect clip.mp4 --output found --json found/run.json": (2, "a file of the run itself"),
    "detect clip.mp4 --show": (2, "--show shows photos"),
    "detect photo.png --classes kitten": (2, "did you mean 'cat'"),
    "detect photo.png --set scores.round=1": (2, "did you mean 'scores.rounds'"),
    "detect photo.png --set detections.iou_threshold=7": (2, "setting 'detections.iou_threshold=7'"),
    "detect photo.png --config missing.yaml": (2, "missing.yaml"),
    "detect photo.png --weights missing": (3, "no weights 'missing'"),
    "detect photo.png --weights voc-sharde": (3, "did you mean voc-shared?"),
    "detect photo.png --weights https://example.org/w": (3, "it is a URL"),
    "detect photo.png --weights photo.png": (3, "photo.png"),
    "detect photo.png --weights multibox-voc": (3, "propose boxes"),
    "detect photo.png --weights googlenet-voc --weights googlenet-voc-shared": (3, "differ in features"),
    "detect photo.png --members 9 --set scores.features=cropped": (2, "9 members"),
    "detect photo.png --cascade": (2, "cascade"),
    "detect photo.png --weights googlenet-voc --cascade": (3, "at least one network"),
    "detect photo.png --set proposals.multibox.weights=googlenet-voc": (3, "propose no boxes"),
    "propose missing.jpg": (1, "missing.jpg"),
    f"propose photo.png --output {NOWHERE}": (2, "photo.png/x"),
    "propose photo.png --set proposals.multibox.weights=missing": (3, "no weights 'missing'"),
    "classify photo.png --weights missing": (3, "no weights 'missing'"),
    "classify photo.png": (3, "needs weights of whole photos"),
    "classify photo.png --weights googlenet-voc": (3, "classify regions"),
    "classify photo.png --weights googlenet-voc --crops 3": (2, "expected 1, 10 or 144"),
    "serve --weights missing": (3, "no weights 'missing'"),
    "serve --classes kitten": (2, "did you mean 'cat'"),
    "serve --crops 10": (2, "--crops belongs to --classifier"),
    f"evaluate {DATA} --coco-backend faster-coco-eval": (2, "--coco-backend belongs to coco's rules, not voc's"),
    "serve --classifier googlenet-voc": (3, "classify regions"),
    "serve --crops 3": (2, "expected 1, 10 or 144"),
    "serve --host 192.0.2.1": (2, "cannot listen on 192.0.2.1, port 8000"),
    "serve --token \u00e4": (2, "no header of HTTP holds"),
    "evaluate --dataset voc --root missing": (3, "no such folder"),
    f"evaluate {DATA} --split vla": (3, "vla"),
    f"evaluate {DATA} --output {NOWHERE}": (2, "photo.png/x"),
    f"evaluate {DATA} --json {NOWHERE}": (2, "photo.png/x"),
    f"evaluate {DATA} --weights missing": (3, "no weights 'missing'"),
    f"evaluate {DATA} --set detections.classes=[kitten]": (2, "did you mean 'cat'"),
    f"evaluate {DATA} --set x=1": (2, "unknown key 'x'"),
    f"evaluate {DATA} --predictions missing.jsonl": (3, "missing.jsonl"),
    "coverage --dataset voc --root missing": (3, "no such folder"),
    f"coverage {DATA} --method multibox --superpixel-scale 1": (2, "--superpixel-scale belongs to selective search"),
    f"coverage {DATA} --output {NOWHERE}": (2, "photo.png/x"),
    # --set wins over the option, so that it is the setting that is wrong
    "detect photo.png --classes cat --set detections.classes=[kitten]": (2, "no class 'kitten'"),
    f"coverage {DATA} --superpixel-scale 2 --set proposals.selective_search.superpixel_scale=0": (2, "scale=0'"),
    f"evaluate {DATA.replace('voc --', 'coco --')} --split val": (3, "instances_val.json"),
    f"coverage {DATA} --classes kitten --output curves": (2, "did you mean 'cat'"),
    "compare missing other": (3, "missing"),
    "evaluate-classification --root voc --weights missing": (3, "no weights 'missing'"),
    "evaluate-classification --root voc --weights googlenet-voc": (3, "classify regions"),
    "train regions own_dota": (2, "did you mean 'own_data'"),
    "train regions own_data": (3, "give yours: --root FOLDER"),
    "train regions own_data --root missing": (3, "no such folder"),
    "train regions own_data --root voc --split vla": (3, "vla"),
    f"train regions own_data --root voc --split val --output {NOWHERE}": (2, "photo.png/x"),
    "train regions own_data --root voc --weights missing": (3, "no weights 'missing'"),
    "train regions own_data --root voc --set context=90": (2, "context of 90 pixels"),
    "train multibox multibox_voc --root missing": (3, "no such folder"),
    "train multibox multibox_voc --root voc --split val --set left_out_classes=[kitten]": (2, "did you mean 'cat'"),
    "train multibox multibox_voc --root voc --weights multibox-voc": (3, "propose boxes"),
    "train classifier classifier_voc --root missing": (3, "no such folder"),
    f"train classifier classifier_voc --root voc --split val --output {NOWHERE}": (2, "photo.png/x"),
    "train classifier classifier_voc --root voc --weights missing": (3, "no weights 'missing'"),
    "train plot missing": (3, "missing"),
    "weights import missing.pth --class-list words.txt --output w": (3, "missing.pth"),
    "weights import photo.png --class-list missing.txt --output w": (3, "missing.txt"),
    f"weights import photo.png --class-list words.txt --output {NOWHERE}": (2, "photo.png/x"),
    "weights quantize missing --output w": (3, "missing"),
    "weights calibrate missing --root voc": (3, "no weights 'missing'"),
    "weights calibrate googlenet-voc --root missing": (3, "no such folder"),
    "weights fit-boxes missing --root voc": (3, "no weights 'missing'"),
    "weights fit-boxes googlenet-voc --root voc --split vla": (3, "vla"),
    "weights fit-boxes googlenet-voc --root voc --set limits=1": (2, "did you mean 'limit'"),
    "weights record missing missing.json": (3, "missing"),
    "info --network tabel": (2, "did you mean 'table'"),
    "config regions_vco": (2, "did you mean 'regions_voc'"),
}
"""Arguments -> exit code and words of the error."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, small_voc, chelsea_file):
    """Arguments -> exit code, stderr, and whether torch was loaded; all in one process, one after the other."""
    folder = tmp_path_factory.mktemp("early")
    shutil.copytree(small_voc, folder / "voc")
    shutil.copy(chelsea_file, folder / "photo.png")
    (folder / "words.txt").write_text("n01440764 tench\n")
    arguments = json.dumps([case.split() for case in CASES])
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, input=arguments, capture_output=True, text=True, check=True
    )
    assert sorted(path.name for path in folder.iterdir()) == ["photo.png", "voc", "words.txt"]
    return dict(zip(CASES, map(json.loads, result.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_argument_is_one_sentence_before_torch_is_loaded(outcomes, case):
    code, stderr, torch_is_loaded = outcomes[case]
    expected_code, words = CASES[case]
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, stderr
    assert words in errors[0]
    assert code == expected_code
    assert not torch_is_loaded


def test_a_device_that_is_not_there_is_told_before_torch_is_loaded(incdet, photo, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for command in (
        ["detect", photo],
        ["evaluate", "--dataset", "voc", "--root", "."],
        ["train", "regions", "own_data"],
    ):
        code, _, err = incdet(*command, "--device", "cuda")
        assert code == 2
        assert "finds no usable GPU here" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("detect", "photo.png", "--preset", "fats"), "'--preset': there is no preset 'fats'; did you mean 'fast'?"),
        (
            ("detect", "photo.png", "--preset", "x"),
            "'--preset': there is no preset 'x'; give one of paper, default, fast",
        ),
        (
            ("detect", "photo.png", "--score-threshold", "abc"),
            "'--score-threshold': it is 'abc'; give a number from 0 to 1",
        ),
        (
            ("detect", "photo.png", "--score-threshold", "55"),
            "'--score-threshold': it is '55'; give a number from 0 to 1",
        ),
        (("serve", "--score-threshold", "nan"), "'--score-threshold': it is 'nan'; give a number from 0 to 1"),
    ],
)
def test_a_wrong_value_is_told_with_its_option_and_what_it_takes(incdet, arguments, words):
    code, _, err = incdet(*arguments)
    assert code == 2
    assert f"Invalid value for {words}" in " ".join(err.split())
