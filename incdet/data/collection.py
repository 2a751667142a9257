"""The names of the data sets' layouts; they load nothing, so that the command line can list them at once."""

from enum import StrEnum


class Collection(StrEnum):
    """Layout of a data set's folder."""

    voc = "voc"
    coco = "coco"
    ilsvrc = "ilsvrc"
    yolo = "yolo"
    shards = "shards"
