"""The page and its plots: self-contained, well-formed, and never at a loss."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import PIL.Image
import pytest
from small_photos import FAR, PHOTOS, A, dataset_of, evaluation_of

from incdet.data.dataset import Dataset
from incdet.evaluation.confusion import confusion_matrix
from incdet.evaluation.error_analysis import analyse_errors
from incdet.evaluation.html_report import html_report
from incdet.evaluation.plots import average_precision_plot, precision_recall_plot

VOID = {"meta", "img", "br", "image", "rect", "polyline"}
WICKED = "<b>&\"'</script>"


class Page(HTMLParser):
    """Every element with its attributes, in order; an element that is closed in the wrong place is an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], "elements that nobody closes"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return "\n".join(self.words)


def page_of(evaluation, folder, names=None):
    pictures = [precision_recall_plot(evaluation), average_precision_plot(evaluation)]
    return html_report(
        evaluation,
        analyse_errors(evaluation),
        confusion_matrix(evaluation, 0.5),
        dataset_of(evaluation, folder, names),
        pictures,
    )


def write_photo(file, size=(500, 300)):
    PIL.Image.fromarray(np.full((size[1], size[0], 3), (200, 30, 60), np.uint8)).save(file)


def assert_self_contained(text):
    without_data = re.sub(r"data:image/[a-z]+;base64,[\w+/=]+", "data:", text)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<iframe", without_data)
    for _, attributes in Page(text).elements:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert attributes.get(name, "data:").startswith("data:")
        assert not [name for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("with_photos", [True, False])
def test_page_is_self_contained_and_well_formed(tmp_path, with_photos):
    if with_photos:
        write_photo(tmp_path / "0.jpg")
        write_photo(tmp_path / "1.jpg")
    text = page_of(evaluation_of(PHOTOS, ["cat", "dog"]), tmp_path)
    assert_self_contained(text)
    assert text.startswith("<!doctype html>")
    page = Page(text)
    # all content is in the main landmark, tables scroll by the keyboard, and every column has a name
    assert len(page.all("main")) == 1
    frames = [attributes for attributes in page.all("div") if attributes.get("class") == "wide"]
    assert len(frames) == len(page.all("table")) > 3
    assert all(frame["tabindex"] == "0" and frame["aria-label"] for frame in frames)
    assert not re.search("<th[^>]*></th>", text)


def test_page_states_the_numbers(tmp_path):
    evaluation = evaluation_of(PHOTOS, ["cat", "dog"])
    page = Page(page_of(evaluation, tmp_path))
    assert evaluation.mean_average_precision == 0.5
    for words in (
        "pets val: mAP 0.5000",
        " mAP, median AP 0.5000",
        "voc rules: 2 images, 3 detections, 3 objects of 2 classes",
    ):
        assert words in page.text
    rows = re.findall(r"<tr><td>(.*?)</tr>", page_of(evaluation, tmp_path))
    cells = [re.findall(r"[^<>]+(?=</td>|<td>)", row) for row in rows]
    assert ["cat", "1.0000", "1.0000", "1", "2"] in [row[:5] for row in cells]
    assert ["dog", "0.0000", "0.0000", "2", "1"] in [row[:5] for row in cells]
    # mending the misplaced dog finds half of the dogs; the missed one gone, no dog is found still
    assert ["localisation", "+0.2500", "1"] in [row[:3] for row in cells]
    assert {"background", "missed"} <= {row[0] for row in cells if row}
    assert "3 detections, 33 % of them right; 33 % of the objects are found" in page.text
    assert ["0.75", "2", "0.500", "0.333"] in [row[:4] for row in cells]
    # rows of the confusion matrix: a cat found, two dogs missed, a cat and a dog where nothing is
    matrix = page_of(evaluation, tmp_path).split('class="matrix"')[1].split("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', matrix)
    numbers = [re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", row) for row in rows]
    assert numbers == [["cat", "1", "", ""], ["dog", "", "", "2"], ["background", "1", "1", ""]]


def test_tiles_show_the_mistakes_with_their_boxes(tmp_path):
    text = page_of(evaluation_of(PHOTOS, ["cat", "dog"]), tmp_path)
    captions = [re.sub(r"<[^>]+>", "|", caption) for caption in re.findall(r"<figcaption>(.*?)</figcaption>", text)]
    assert captions == [
        "|cat| 0.800|background|photo0", "|dog| 0.700|localisation, object: dog|photo1", "|dog||photo0",
    ]  # fmt: skip
    frames = [entry["viewbox"] for entry in Page(text).all("svg") if entry["viewbox"] != "0 0 100 21"]
    assert frames == ["0 0 250 150"] * 3
    boxes = [[float(entry[key]) for key in ("x", "y", "width", "height")] for entry in Page(text).all("rect")]
    assert boxes == [
        [0, 0, 100, 100], [100, 0, 100, 100], [200, 100, 50, 50], [0, 0, 100, 100], [0, 0, 100, 30], [100, 0, 100, 100],
    ]  # fmt: skip


def test_photos_are_embedded_as_small_jpegs(tmp_path):
    write_photo(tmp_path / "0.jpg")
    write_photo(tmp_path / "1.jpg", (60, 36))
    images = Page(page_of(evaluation_of(PHOTOS, ["cat", "dog"]), tmp_path)).all("image")
    pictures = [
        PIL.Image.open(io.BytesIO(base64.b64decode(entry["href"].removeprefix("data:image/jpeg;base64,"))))
        for entry in images
    ]
    assert [picture.format for picture in pictures] == ["JPEG"] * 3
    assert [picture.size for picture in pictures] == [(280, 168), (60, 36), (280, 168)]
    assert np.abs(np.asarray(pictures[0])[50, 50].astype(int) - [200, 30, 60]).max() < 12
    # boxes are in the annotation's pixels, whatever the file's size
    assert {(entry["width"], entry["height"]) for entry in images} == {("250", "150")}
    # a photo of another shape is another photo
    write_photo(tmp_path / "1.jpg", (60, 90))
    assert len(Page(page_of(evaluation_of(PHOTOS, ["cat", "dog"]), tmp_path)).all("image")) == 2


def test_a_photo_of_unstated_size_is_as_large_as_it_is(tmp_path):
    write_photo(tmp_path / "0.jpg")
    evaluation = evaluation_of(PHOTOS, ["cat", "dog"])
    dataset = dataset_of(evaluation, tmp_path)
    unstated = tuple(replace(truth, width=0, height=0) for truth in dataset.ground_truths)
    matrix, errors = confusion_matrix(evaluation, 0.5), analyse_errors(evaluation)
    page = Page(html_report(evaluation, errors, matrix, replace(dataset, ground_truths=unstated), []))
    assert {(entry["width"], entry["height"]) for entry in page.all("image")} == {("500", "300")}


@pytest.mark.parametrize("content", [None, b"", b"not a photo", "cut"], ids=["absent", "empty", "text", "cut"])
def test_photos_that_cannot_be_read_leave_a_frame(tmp_path, content):
    write_photo(tmp_path / "0.jpg")
    whole = (tmp_path / "0.jpg").read_bytes()
    if content is None:
        (tmp_path / "0.jpg").unlink()
    else:
        (tmp_path / "0.jpg").write_bytes(whole[: len(whole) // 3] if content == "cut" else content)
    page = Page(page_of(evaluation_of(PHOTOS, ["cat", "dog"]), tmp_path))
    assert len(page.all("figure")) == 3
    assert len(page.all("rect")) == 6
    assert page.all("image") == []


def test_names_are_escaped_everywhere(tmp_path):
    evaluation = evaluation_of(PHOTOS, [WICKED + " cat", WICKED + " dog"])
    text = page_of(evaluation, tmp_path, [WICKED + "1", WICKED + "2"])
    assert WICKED not in text
    assert_self_contained(text)
    page = Page(text)
    # both stand in a row and a column of the confusion matrix, too
    assert page.text.count(WICKED + " cat") == 2 + 2
    # in the table, as a false detection, as what another one meant, as missed
    assert page.text.count(WICKED + " dog") == 4 + 2
    assert page.text.count(WICKED + "1") == 2


def test_the_folders_name_is_escaped(tmp_path):
    evaluation = evaluation_of(PHOTOS, ["cat", "dog"])
    dataset = dataset_of(evaluation, tmp_path)
    values = {name: getattr(dataset, name) for name in dataset.__dataclass_fields__}
    text = html_report(
        evaluation,
        analyse_errors(evaluation),
        confusion_matrix(evaluation, 0.5),
        Dataset(**values | {"name": WICKED}),
        [],
    )
    assert WICKED not in text
    assert [words.startswith(WICKED) for words in Page(text).words].count(True) == 2


def test_at_most_three_tiles_per_class_and_24_in_all_the_most_confident_first(tmp_path):
    names = [f"class {number}" for number in range(12)]
    found = [(kind, FAR, 0.9 - kind / 20 - number / 1000) for number in range(5, -1, -1) for kind in range(12)]
    page = Page(page_of(evaluation_of([([(0, A, False)], found)], names), tmp_path))
    scores = [words.strip() for words in page.words if re.fullmatch(r" 0\.\d{3}", words)]
    assert scores == [f"{0.9 - kind / 20 - number / 1000:.3f}" for kind in range(8) for number in range(3)]


def test_a_matrix_of_many_classes_is_left_to_its_file(tmp_path):
    names = [f"class {number}" for number in range(60)]
    photos = [([(kind, A, False)], [(kind, A, 0.9)]) for kind in range(60)]
    text = page_of(evaluation_of(photos, names), tmp_path)
    assert 'class="matrix"' not in text
    assert "60 classes is in confusion.csv" in text
    # classes that nothing has are left out of a matrix that is shown
    few = page_of(evaluation_of(photos[:3], names), tmp_path)
    assert few.split('class="matrix"')[1].count("writing") == 0
    assert few.split('class="matrix"')[1].split("</table>")[0].count('<th scope="col"><span>') == 4
