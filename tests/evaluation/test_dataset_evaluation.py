"""Reports in folders, with and without the packages that an extra brings."""

import pytest
from small_photos import A, B, dataset_of, evaluation_of

from incdet.errors import PackageError
from incdet.evaluation import plots
from incdet.evaluation.coco_rules import evaluate_coco
from incdet.evaluation.dataset_evaluation import write_report
from incdet.runtime import optional_packages

CASES = {
    "no detections": ([([(0, A, False)], [])], 2),
    "no objects": ([([], [(0, A, 0.5)])], 2),
    "neither": ([([], [])], 2),
    "only difficult ones": ([([(0, A, True)], [(0, A, 0.9), (1, A, 0.8)])], 2),
    "one class": ([([(0, A, False)], [(0, A, 0.5)])], 1),
    "nothing wrong": ([([(0, A, False), (1, B, False)], [(0, A, 0.5), (1, B, 0.4)])], 2),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rules", ["voc", "ilsvrc"])
def test_a_report_is_written_whatever_there_is(tmp_path, case, rules):
    photos, num_classes = CASES[case]
    evaluation = evaluation_of(photos, [f"class {number}" for number in range(num_classes)], rules)
    write_report(evaluation, dataset_of(evaluation, tmp_path), tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    assert "nanrem" not in text, "a bar of no length"
    files = {
        "errors.json",
        "precision_recall.png",
        "average_precision.png",
        "report.html",
        "judgement.npz",
        "confusion.csv",
    }
    assert {file.name for file in (tmp_path / "out").iterdir()} == files


def test_nothing_of_an_earlier_report_stays(tmp_path):
    photos, num_classes = CASES["nothing wrong"]
    evaluation = evaluation_of(photos, [f"class {number}" for number in range(num_classes)])
    dataset, folder = dataset_of(evaluation, tmp_path), tmp_path / "out"
    old = ("errors.json", "report.html", "contact_sheet.jpg", "networks/member-1/judgement.npz")
    others = ("notes.txt", "networks/.DS_Store", "networks/pictures/report.html")
    for name in (*old, *others):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("of an earlier evaluation")
    write_report(evaluation, dataset, folder)
    assert not (folder / "contact_sheet.jpg").exists()
    assert not (folder / "networks" / "member-1" / "judgement.npz").exists()
    assert "earlier" not in (folder / "report.html").read_text()
    assert all((folder / name).exists() for name in others)


@pytest.fixture
def core_alone(monkeypatch):
    """As if no package of an extra were installed."""
    monkeypatch.setattr(optional_packages, "find_spec", lambda _: None)


@pytest.mark.usefixtures("core_alone")
def test_without_matplotlib_a_report_has_no_plots_and_says_why(tmp_path):
    photos, num_classes = CASES["nothing wrong"]
    evaluation = evaluation_of(photos, [f"class {number}" for number in range(num_classes)])
    write_report(evaluation, dataset_of(evaluation, tmp_path), tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "errors.json",
        "report.html",
        "judgement.npz",
        "confusion.csv",
    }
    assert "pip install &#x27;incdet[eval]&#x27;" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.usefixtures("core_alone")
@pytest.mark.parametrize(("backend", "extra"), [("pycocotools", "eval"), ("faster-coco-eval", "coco")])
def test_without_its_package_a_backend_of_coco_s_rules_names_the_extra(backend, extra):
    with pytest.raises(PackageError, match=rf"pip install 'incdet\[{extra}\]'"):
        evaluate_coco({"images": [], "annotations": [], "categories": []}, [], backend)


@pytest.mark.usefixtures("core_alone")
def test_without_matplotlib_a_plot_names_the_extra():
    with pytest.raises(PackageError, match=r"pip install 'incdet\[eval\]'"):
        plots.empty_figure(1, 1)
