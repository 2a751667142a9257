"""Annotations that contradict their photos: another size, the size before the photo was turned, another shape."""

import numpy as np
import PIL.Image
import pytest

from incdet.data.photo_frame import fit_to_annotation, fit_to_photo, same_shape
from incdet.detections import Detections
from incdet.errors import DataError, ImageError
from incdet.images import exif_orientation, read_image
from incdet.structures import GroundTruth
from incdet.training.samples.batch_loading import BadPhotos

STORED = (60, 40)
BOX = [5, 8, 25, 18]


def stored_photo(folder, orientation):
    """Writes a photo with a white box on black, stored in 60 x 40 pixels and turned by its EXIF orientation."""
    pixels = np.zeros((STORED[1], STORED[0], 3), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    file = folder / "photo.png"
    PIL.Image.fromarray(pixels).save(file, exif=exif)
    return file


def annotation(width, height, box=BOX):
    return GroundTruth("photo", width, height, np.array([box], np.float32), np.zeros(1, np.int64), np.zeros(1, bool))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("scale", [1, 2])
def test_boxes_of_the_stored_photo_are_turned_with_it_and_back(tmp_path, orientation, scale):
    file = stored_photo(tmp_path, orientation)
    image = read_image(file)
    assert exif_orientation(file) == orientation
    assert (image.width, image.height) == (40, 60)
    truth = annotation(60 * scale, 40 * scale, [scale * value for value in BOX])
    fitting = fit_to_photo(truth, image.width, image.height, file)
    x1, y1, x2, y2 = fitting.boxes[0].astype(int)
    assert image.pixels[y1:y2, x1:x2].all()
    assert image.pixels.astype(bool).sum() == 3 * (x2 - x1) * (y2 - y1)
    found = Detections("photo", 40, 60, fitting.boxes, np.ones(1, np.float32), np.zeros(1, np.int64), ("cat",))
    assert fit_to_annotation(found, truth, file).boxes.tolist() == truth.boxes.tolist()


def test_another_scale_is_fitted_and_another_shape_refused_with_both_sizes(tmp_path):
    file = stored_photo(tmp_path, 1)
    assert fit_to_photo(annotation(30, 20), 60, 40, file).boxes.tolist() == [[2 * value for value in BOX]]
    assert fit_to_photo(annotation(0, 0), 60, 40, file).boxes.tolist() == [BOX]
    for width, height in ((40, 60), (60, 45), (500, 375)):
        with pytest.raises(ImageError, match=f"states {width}x{height} pixels, but the photo has 60x40"):
            fit_to_photo(annotation(width, height), 60, 40, file)


@pytest.mark.parametrize("side", [333, 500, 501, 1024])
def test_rounding_of_a_scaled_photo_is_no_other_shape(side):
    for factor in (0.1, 0.37, 2.5):
        assert same_shape((side, 375), (round(side * factor), round(375 * factor)))
        assert same_shape((side, 375), (int(side * factor), int(375 * factor)))
    assert not same_shape((500, 375), (500, 380))


def test_bad_photos_are_named_once_counted_at_the_end_and_not_too_many():
    told = []
    bad = BadPhotos(5, told.append)
    for problem in ("a", "a", "b"):
        bad.add(problem)
    bad.tell_number()
    assert told == [
        "a; another photo takes its place",
        "b; another photo takes its place",
        "2 of 5 photos could not be used: others took their places",
    ]
    with pytest.raises(DataError, match=r"3 of 5 photos cannot be used, more than 50% \(max_bad_share\); the last: c"):
        bad.add("c")
    strict = BadPhotos(5, told.append, 0.1)
    with pytest.raises(DataError, match="1 of 5 photos cannot be used, more than 10%"):
        strict.add("a")
