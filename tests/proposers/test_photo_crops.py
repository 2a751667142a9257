"""Multi-scale crops of a photo: where they lie, and what they show."""

import numpy as np
import pytest

from incdet.proposers.photo_crops import PhotoCropper, list_photo_crops
from incdet.structures import Image


@pytest.mark.parametrize(("side", "num_crops"), [(0.99, 2), (2 / 3, 2), (0.5, 3), (0.4, 3), (0.1, 13)])
def test_photo_crops_cover_the_photo_and_overlap(side, num_crops):
    photo = Image(np.zeros((400, 600, 3), np.uint8))
    whole, *crops = list_photo_crops(photo, (side,))
    assert whole == (0, 0, 600, 400)
    assert len(crops) == num_crops**2
    for start, length, photo_side in (("left", "width", 600), ("top", "height", 400)):
        spans = sorted({(getattr(crop, start), getattr(crop, length)) for crop in crops})
        ends = [first + size for first, size in spans]
        assert (spans[0][0], ends[-1]) == (0, photo_side)
        for end, (following, size) in zip(ends[:-1], spans[1:], strict=True):
            assert end - following >= 0.25 * size - 1


def test_photo_crops_are_resized_as_if_they_were_photos(astronaut):
    crops = PhotoCropper(96, (0.5,))(astronaut)
    assert crops.shape == (10, 96, 96, 3)
    assert crops.dtype == np.uint8
    # the whole photo comes first; of the 3 x 3 crops the fifth is the middle one
    middle = Image(np.ascontiguousarray(astronaut.pixels[128:384, 128:384]))
    alone = [PhotoCropper(96, ())(image)[0] for image in (astronaut, middle)]
    assert np.array_equal(crops[[0, 5]], np.stack(alone))
