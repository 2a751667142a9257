"""Curves, by hand: what an evaluation says after each detection, and what the plots draw."""

import io

import numpy as np
import PIL.Image
import pytest
from small_photos import FAR, PHOTOS, A, evaluation_of

from incdet.evaluation import plots
from incdet.evaluation.average_precision import evaluate_columns
from incdet.evaluation.columns import DetectionColumns, ObjectColumns
from incdet.evaluation.plots import average_precision_plot, precision_recall_plot
from incdet.evaluation.precision_recall import area_under_envelope
from incdet.evaluation.recall import measure_coverage
from incdet.structures import GroundTruth, Proposals

HIT, MISS = (0.0, 0.0, 9.0, 9.0), (50.0, 50.0, 59.0, 59.0)
CLASSES = ("cat", "dog", "cow", "emu", "$ox$")


@pytest.fixture(scope="module")
def evaluation():
    """Four photos, each with a cat and two of them with a dog; no cows; an emu and an ox that nothing finds.

    By falling score, three cats are found, with a false alarm after the first; the rows are in another order.
    """
    objects = [(0, 0), (0, 1), (0, 3), (0, 4), (1, 0), (1, 1), (2, 0), (3, 0)]
    found = [
        (2, 0, 0.5, HIT),
        (1, 0, 0.5, HIT),
        (0, 0, 0.9, HIT),
        (0, 1, 0.4, HIT),
        (0, 1, 0.6, MISS),
        (3, 0, 0.7, MISS),
        (0, 2, 0.8, HIT),
    ]
    images, class_ids = np.array(objects).T
    columns = ObjectColumns(images, class_ids, np.array([HIT] * len(objects)), np.zeros(len(objects), bool))
    detections = DetectionColumns(*(np.array(column) for column in zip(*found, strict=True)))
    return evaluate_columns(CLASSES, 4, columns, detections)


def test_a_curve_follows_the_falling_scores(evaluation):
    precision, recall = evaluation.curve(0)
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4])
    assert recall == pytest.approx([1 / 4, 1 / 4, 2 / 4, 3 / 4])
    precision, recall = evaluation.curve(1)
    assert precision == pytest.approx([0, 1 / 2])
    assert recall == pytest.approx([0, 1 / 2])
    assert [len(values) for values in evaluation.curve(3)] == [0, 0]


def test_equal_scores_of_a_curve_are_ordered_by_photo():
    objects = ObjectColumns(np.array([0]), np.array([0]), np.array([HIT]), np.array([False]))
    found = DetectionColumns(np.array([1, 0]), np.array([0, 0]), np.array([0.5, 0.5]), np.array([HIT, HIT]))
    judged = evaluate_columns(("cat",), 2, objects, found)
    assert judged.average_precision[0] == area_under_envelope(*judged.curve(0)) == 1


def test_the_area_under_every_curve_is_its_average_precision(evaluation):
    assert evaluation.average_precision[:2] == pytest.approx([1 / 4 + 2 / 4 * 3 / 4, 1 / 4])
    for class_id in (0, 1, 3, 4):
        assert area_under_envelope(*evaluation.curve(class_id)) == evaluation.average_precision[class_id]


@pytest.fixture
def drawn(monkeypatch):
    """Draws a plot: (function, value) -> the axes, once the picture has been made of them."""
    figures, original = [], plots.png
    monkeypatch.setattr(plots, "png", lambda figure: figures.append(figure) or original(figure))

    def draw(function, value):
        picture = PIL.Image.open(io.BytesIO(function(value)))
        (axes,) = figures.pop().axes
        assert picture.width == 910
        return axes

    return draw


def lines_of(axes):
    """Label -> (x, y) of each line."""
    return {line.get_label(): tuple(map(np.asarray, line.get_data())) for line in axes.lines}


def test_the_precision_recall_plot_shows_envelopes_and_their_mean(evaluation, drawn):
    lines = lines_of(drawn(plots.precision_recall_plot, evaluation))
    assert list(lines) == ["0.62 cat", "0.25 dog", "0.00 emu", r"0.00 \$ox\$", "mean, mAP 0.219"]
    at = np.array([0.1, 0.25, 0.3, 0.5, 0.7, 0.8])
    curves = [np.interp(at, *lines[label]) for label in lines]
    assert curves[0] == pytest.approx([1, 1, 3 / 4, 3 / 4, 3 / 4, 0])
    assert curves[1] == pytest.approx([1 / 2, 1 / 2, 1 / 2, 1 / 2, 0, 0])
    assert not np.any(curves[2:4])
    assert curves[4] == pytest.approx((curves[0] + curves[1]) / 4)


def test_the_bars_are_average_precisions_the_best_first(evaluation, drawn):
    axes = drawn(plots.average_precision_plot, evaluation)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([5 / 8, 1 / 4, 0, 0])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "emu", r"\$ox\$"]
    (mean,) = axes.lines
    assert mean.get_xdata()[0] == pytest.approx((5 / 8 + 1 / 4) / 4)


@pytest.fixture(scope="module")
def coverage():
    """A small object covered by 0.6 from the first proposal on, a difficult large one entirely from the third."""
    boxes = np.array([[0, 0, 10, 10], [100, 100, 200, 200]], np.float32)
    found = np.array([[0, 0, 10, 6], [300, 300, 310, 310], [100, 100, 200, 200], [0, 0, 5, 5]], np.float32)
    truth = GroundTruth("a", 400, 400, boxes, np.zeros(2, np.int64), np.array([False, True]))
    return measure_coverage([truth], [Proposals(found, np.linspace(1, 0, 4, dtype=np.float32), np.full(4, "a"))])


def test_coverage_is_drawn_over_the_number_of_proposals(coverage, drawn):
    lines = lines_of(drawn(plots.coverage_over_number_plot, coverage))
    assert list(lines) == ["coverage at IoU 0.5", "coverage at IoU 0.7", "average recall 0.5 to 1"]
    expected = ([1 / 2, 1 / 2, 1], [0, 0, 1 / 2], [0.1, 0.1, 0.6])
    for (numbers, shares), wanted in zip(lines.values(), expected, strict=True):
        assert numbers.tolist() == [1, 2, 4]
        assert shares == pytest.approx(wanted)


def test_coverage_is_drawn_over_the_overlap_by_size(coverage, drawn):
    lines = lines_of(drawn(plots.coverage_over_overlap_plot, coverage))
    assert list(lines) == ["small (1)", "large (1)", "not difficult (1)", "all objects (2)"]
    at = [0.3, 0.6, 0.65, 1.0]
    expected = ([1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0.5, 0.5])
    for line, wanted in zip(lines.values(), expected, strict=True):
        assert np.interp(at, *line) == pytest.approx(wanted)


def test_runs_are_compared_at_their_own_numbers_of_proposals(coverage, drawn):
    numbers = coverage.to_json()
    lines = lines_of(drawn(plots.coverage_comparison_plot, {"$a$": numbers, "b": numbers | {"coverage": 0.75}}))
    assert list(lines) == [r"\$a\$: 1.000 with 4", "b: 0.750 with 4"]
    for (counts, shares), last in zip(lines.values(), (1, 0.75), strict=True):
        assert counts.tolist() == [1, 2, 4]
        assert shares.tolist() == [0.5, 0.5, last]


@pytest.mark.parametrize("num_present", [0, 1, 20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("plot", [precision_recall_plot, average_precision_plot])
@pytest.mark.filterwarnings("error")
def test_plots_are_valid_png_for_any_number_of_classes(plot, num_present):
    names = [f"a class with a long name {number}" for number in range(num_present + 1)]
    wanted = [(kind, A, False) for kind in range(num_present)]
    found = [(kind, A if kind % 3 else FAR, 0.9 - kind / 1000) for kind in range(num_present + 1)]
    picture = PIL.Image.open(io.BytesIO(plot(evaluation_of([(wanted, found)], names))))
    assert picture.format == "PNG"
    assert sum(count > 0 for count in picture.convert("L").histogram()) > 5, "nothing is drawn"
    assert picture.width == 910
    assert picture.height < 5000


@pytest.mark.parametrize("name", ["$", "$a_$", r"$\wrong{$", "_hidden", "100%", "猫"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_plots_take_any_class_name(name, monkeypatch):
    evaluation = evaluation_of(PHOTOS, [name, "dog"])
    figures, png_of = [], plots.png
    monkeypatch.setattr(plots, "png", lambda figure: [png_of(figure), figures.append(figure)][0])
    for plot in (precision_recall_plot, average_precision_plot):
        assert PIL.Image.open(io.BytesIO(plot(evaluation))).format == "PNG"
    assert len(figures[0].axes[0].get_legend().get_texts()) == 3, "two classes and the mean"
