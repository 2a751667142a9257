import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from incdet.config.sections import ImagesConfig
from incdet.detections import Detections
from incdet.errors import ConfigurationError, ImageError, OutputError
from incdet.images import read_image
from incdet.structures import Image

CLASSES = ("cat", "dog", "sheep")
PHOTO = Image(np.zeros((30, 40, 3), np.uint8), "photo.jpg")


def detections(*found: tuple[list[float], float, str], photo: Image = PHOTO) -> Detections:
    boxes = np.array([box for box, _, _ in found], np.float32)
    scores = np.array([score for _, score, _ in found], np.float32)
    class_ids = np.array([CLASSES.index(label) for _, _, label in found])
    return Detections(photo.name, photo.width, photo.height, boxes, scores, class_ids, CLASSES)


FILES = {"jpg": "JPEG", "png": "PNG"}


@pytest.fixture
def found(tmp_path):
    """Detections in a file of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    photo = Image(pixels, str(tmp_path / "photo.png"))
    box = [4, 5, 20, 25]
    return detections((box, 0.75, "dog"), (box, 0.125, "sheep"), photo=photo)


def test_repr_is_short_and_names_the_best(found):
    assert repr(found).endswith("photo.png, 40x30, 2: dog 0.75, sheep 0.12)")
    assert repr(found[:0]).endswith("photo.png, 40x30, 0)")
    many = detections(*[([x, 0, x + 2, 5], 0.5, "cat") for x in range(0, 30, 3)])
    assert repr(many) == "Detections(photo.jpg, 40x30, 10: cat 0.50, cat 0.50, cat 0.50, ...)"


def test_to_dict_is_plain_json(found):
    assert json.loads(json.dumps(found[:1].to_dict())) == {
        "image": found.image,
        "width": 40,
        "height": 30,
        "detections": [{"label": "dog", "class_id": 1, "score": 0.75, "box": [4, 5, 20, 25]}],
    }


def test_a_photo_in_a_file_is_known(found):
    pixels = np.asarray(PIL.Image.open(found.image))
    assert np.array_equal(found.draw(), found.draw(pixels))
    assert [np.array_equal(crop, pixels[5:25, 4:20]) for crop in found.crops()] == [True, True]
    Path(found.image).unlink()
    with pytest.raises(ImageError, match="give the photo"):
        found.crops()
    assert len(found.crops(pixels)) == 2


def test_a_photo_that_was_an_array_is_kept_where_it_was_given_to_detect(found):
    pixels = np.zeros((30, 40, 3), np.uint8)
    with pytest.raises(ImageError, match="'array', is not known"):
        replace(found, image="array").draw()
    kept = replace(found, image="array", photo=Image(pixels))
    assert kept[:1].draw().any()
    assert "pixels" not in repr(kept)


def test_another_photo_is_no_photo_of_these_detections(found):
    smaller = np.zeros((15, 20, 3), np.uint8)
    with pytest.raises(ImageError, match=r"20x15.*40x30"):
        found.draw(smaller)
    assert found.rescaled(20, 15).crops(smaller)[0].shape == (10, 8, 3)


@pytest.mark.parametrize("ending", ["jpg", "png", "JSON"])
def test_saving_goes_by_the_ending(found, tmp_path, ending):
    file = tmp_path / "new" / f"found.{ending}"
    for _ in range(2):
        found.save(file)
    if ending == "JSON":
        assert json.loads(file.read_text()) == found.to_dict()
    else:
        picture = PIL.Image.open(file)
        assert (picture.format, picture.size) == (FILES[ending], (40, 30))
        difference = np.abs(np.asarray(picture, np.int16) - found.draw())
        assert difference.max() == 0 if ending == "png" else difference.mean() < 60


def test_saving_never_replaces_the_photo(found, tmp_path):
    before = Path(found.image).read_bytes()
    for name, words in (("photo.png", "their photo"), ("found.tif", "none of"), ("found", "none of")):
        with pytest.raises(OutputError, match=words):
            found.save(tmp_path / name)
    # nor the one that is given, where the detections know theirs by another name
    with pytest.raises(OutputError, match="their photo"):
        replace(found, image="array").save(tmp_path / "photo.png", tmp_path / "photo.png")
    assert Path(found.image).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["photo.png"]


def test_a_photo_larger_than_the_default_limit_is_drawn_where_it_was_detected_in(found, monkeypatch):
    monkeypatch.setattr(ImagesConfig.model_fields["max_megapixels"], "default", 0.001)
    ImagesConfig.model_rebuild(force=True)
    try:
        assert found.draw().shape == (30, 40, 3)
        with pytest.raises(ImageError, match="refused"):
            read_image(found.image)
    finally:
        monkeypatch.undo()
        ImagesConfig.model_rebuild(force=True)


def test_classes_without_an_id_in_the_data_set_are_told(found):
    assert [entry["category_id"] for entry in found.to_coco()] == [2, 3]
    assert [entry["category_id"] for entry in found.to_coco(category_ids={"dog": 18, "sheep": 20})] == [18, 20]
    for ids in ({"dog": 18}, {}):
        with pytest.raises(ConfigurationError, match=r"category_ids have no id of .*sheep, found in"):
            found.to_coco(category_ids=ids)
