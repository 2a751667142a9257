"""Photos of three classes for the tests of classifiers."""

import io

import PIL.Image
import skimage.data

CLASSES = ("cat", "cup", "rocket")


def pixels_of(name):
    return getattr(skimage.data, {"cat": "chelsea", "cup": "coffee", "rocket": "rocket"}[name])()


def jpeg(pixels):
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()
