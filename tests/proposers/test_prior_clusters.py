"""Clusters of boxes as priors."""

import numpy as np
import pytest

from incdet.data.voc import read_voc
from incdet.errors import ConfigurationError
from incdet.ops.boxes import box_iou
from incdet.proposers.prior_clusters import cluster_priors


def test_clusters_are_found_again_whatever_the_order_of_the_boxes():
    centres = np.array([[0, 0, 1, 1], [0.1, 0.1, 0.5, 0.5], [0.6, 0.2, 0.7, 0.4]])
    noise = np.random.default_rng(0).normal(0, 0.004, (3, 50, 4))
    boxes = (centres[:, None] + noise).reshape(-1, 4)
    priors = cluster_priors(boxes, 3)
    assert priors.dtype == np.float32
    assert np.allclose(priors, boxes.reshape(3, 50, 4).mean(axis=1), atol=1e-6)
    assert np.array_equal(priors, cluster_priors(boxes, 3))


def test_more_priors_than_boxes_are_refused():
    with pytest.raises(ConfigurationError, match="3 priors of 2 different"):
        cluster_priors(np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0.5, 1]]), 3)


def test_200_priors_cover_what_the_sources_say(shared_folder):
    """About 0.72 of the val objects, before any photo is looked at."""
    splits = []
    for split in ("train", "val"):
        truths = read_voc(shared_folder / "data" / "voc2012-subset", split).ground_truths
        splits.append(np.concatenate([truth.boxes / np.array([truth.width, truth.height] * 2) for truth in truths]))
    train, val = splits
    coverage = (box_iou(val, cluster_priors(train, 200)).max(axis=1) >= 0.5).mean()
    assert 0.68 < coverage < 0.76
