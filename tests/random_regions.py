"""Annotations and random proposals for the tests of region training."""

import numpy as np

from incdet.structures import GroundTruth, Proposals


def truth(boxes, class_ids, ignored=None, size=(512, 512)):
    ids = np.array(class_ids, np.int64)
    flags = np.zeros(len(ids), bool) if ignored is None else np.array(ignored)
    return GroundTruth("a", *size, np.array(boxes, np.float32).reshape(-1, 4), ids, flags)


def proposals(count, seed=0):
    corners = np.sort(np.random.default_rng(seed).uniform(0, 512, (count, 2, 2)), axis=1).reshape(-1, 4)
    scores = np.linspace(1, 0, count, dtype=np.float32)
    return Proposals(corners.astype(np.float32), scores, np.full(count, "random"))
