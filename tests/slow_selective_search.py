"""Selective search written down as the papers define it, with sets, dictionaries and full searches: slow and plain.

It shares nothing with `incdet.proposers`; sources are Felzenszwalb and Huttenlocher 2004, Uijlings et al. 2013.
"""

import math

import numpy as np


def blur(channels, sigma):
    """[C, H, W] -> [C, H, W] float64: a Gaussian mask of radius ceil(4 sigma), the border's pixels continue outside."""
    radius = math.ceil(4 * sigma)
    mask = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    return correlate_both(channels, mask, mask)


def correlate_both(channels, along_x, along_y):
    """Correlates with two masks, each divided by the sum of its sizes."""
    return _correlate(_correlate(channels.astype(np.float64), along_x, 2), along_y, 1)


def _correlate(channels, mask, axis):
    radius, length = len(mask) // 2, channels.shape[axis]
    total = sum(map(abs, mask))
    out = np.zeros_like(channels)
    for offset, weight in zip(range(-radius, radius + 1), mask, strict=True):
        places = np.clip(np.arange(length) + offset, 0, length - 1)
        out += weight / total * channels.take(places, axis)
    return out


def segment(smoothed, k, min_size):
    """[C, H, W] -> labels [H, W], numbered by first appearance."""
    num_channels, height, width = smoothed.shape
    edges = []
    for y in range(height):
        for x in range(width):
            for direction, (down, right) in enumerate(((0, 1), (1, 0), (1, 1), (-1, 1))):
                if 0 <= y + down < height and x + right < width:
                    difference = smoothed[:, y, x] - smoothed[:, y + down, x + right]
                    weight = math.sqrt(3 / num_channels * float((difference**2).sum()))
                    edges.append((weight, y * width + x, direction, (y + down) * width + x + right))
    edges.sort()
    members = {pixel: {pixel} for pixel in range(height * width)}
    component = list(range(height * width))
    internal = dict.fromkeys(component, 0.0)

    def join(one, other, weight):
        members[one] |= members.pop(other)
        for pixel in members[one]:
            component[pixel] = one
        internal[one] = weight

    for weight, pixel, _, neighbour in edges:
        one, other = component[pixel], component[neighbour]
        limits = [internal[part] + k / len(members[part]) for part in {one, other}]
        if one != other and weight <= min(limits):
            join(one, other, weight)
    for weight, pixel, _, neighbour in edges:
        one, other = component[pixel], component[neighbour]
        if one != other and min(len(members[one]), len(members[other])) < min_size:
            join(one, other, weight)
    numbers = {}
    return np.array([numbers.setdefault(part, len(numbers)) for part in component]).reshape(height, width)


def color_histogram(channels, mask):
    """25 bins per channel of the pixels in a mask; the whole sums to 1."""
    bins = np.arange(26) * 256 / 25
    counts = np.concatenate([np.histogram(channel[mask], bins)[0] for channel in channels])
    return counts / counts.sum()


def texture_histogram(channels, mask, texture_range):
    """10 bins per channel and orientation of a Gaussian's derivative, sigma 1; the whole sums to 1."""
    offsets = range(-4, 5)
    even = [math.exp(-0.5 * x * x) for x in offsets]
    odd = [x * math.exp(-0.5 * x * x) for x in offsets]
    # `correlate_both` divides by the sum of sizes; a ramp of slope 1 must give 1
    ramp = sum(x * weight for x, weight in zip(offsets, odd, strict=True)) / sum(map(abs, odd))
    right, down = correlate_both(channels, odd, even) / ramp, correlate_both(channels, even, odd) / ramp
    counts = []
    for channel in range(len(channels)):
        for orientation in range(8):
            angle = orientation * math.pi / 4
            response = (math.cos(angle) * right[channel] + math.sin(angle) * down[channel])[mask]
            bins = np.clip((response / texture_range * 10).astype(int), 0, 9)
            counts.append(np.bincount(bins, minlength=10))
    return np.concatenate(counts) / np.sum(counts)


def neighbours(labels):
    """The set of pairs of labels, smaller first, that touch along a pixel's side."""
    touching = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1),
        ]
    )
    return {(min(pair), max(pair)) for pair in touching.tolist() if pair[0] != pair[1]}


def box_of(mask):
    """Half-open x1, y1, x2, y2 around a mask."""
    y, x = np.nonzero(mask)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]


def group(labels, colors, textures, similarity):
    """Algorithm 1 by full search: (merges [(a, b)], boxes of all regions), from labels [H, W] and their histograms."""
    masks = [labels == number for number in range(labels.max() + 1)]
    colors, textures = list(colors), list(textures)
    alive, pairs, merges = set(range(len(masks))), neighbours(labels), []

    def alike(one, other):
        sizes = masks[one].sum() + masks[other].sum()
        x1, y1, x2, y2 = box_of(masks[one] | masks[other])
        measures = {
            "color": np.minimum(colors[one], colors[other]).sum(),
            "texture": np.minimum(textures[one], textures[other]).sum(),
            "size": 1 - sizes / labels.size,
            "fill": 1 - ((x2 - x1) * (y2 - y1) - sizes) / labels.size,
        }
        return sum(measures[word] for word in similarity.split("_"))

    known = {pair: alike(*pair) for pair in pairs}
    while len(alive) > 1:
        # numbers that differ by rounding are equal: the smallest pair is taken
        one, other = min(known, key=lambda pair: (-round(known[pair], 6), pair))
        new = len(masks)
        share = masks[one].sum() / (masks[one].sum() + masks[other].sum())
        colors.append(share * colors[one] + (1 - share) * colors[other])
        textures.append(share * textures[one] + (1 - share) * textures[other])
        masks.append(masks[one] | masks[other])
        merges.append((one, other))
        alive -= {one, other}
        around = {part for pair in known if {one, other} & set(pair) for part in pair} - {one, other}
        known = {pair: value for pair, value in known.items() if not {one, other} & set(pair)}
        known |= {(region, new): alike(region, new) for region in around}
        alive.add(new)
    return merges, [box_of(mask) for mask in masks]


def ranked(hierarchies, superpixels, random):
    """(boxes, v = RND * i) of the merges of each hierarchy, i = 1 for the last, and then of the superpixels, once."""
    numbers = iter(random)
    boxes, values = [], []
    for merged in hierarchies:
        for position, box in zip(range(len(merged), 0, -1), merged, strict=True):
            boxes.append(list(box))
            values.append(next(numbers) * position)
    for box in superpixels:
        boxes.append(list(box))
        values.append(next(numbers) * len(superpixels))
    return boxes, values
