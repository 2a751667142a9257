"""Selective search as the papers define it: slow and plain, to compare the fast kernels with.

Written without looking at `incdet.proposers`, from Uijlings et al. 2013 (sections 3.1 to 3.3) and Felzenszwalb and
Huttenlocher 2004 (section 3). Loops over pixels and pairs on purpose: use it on small images.
"""

import math

import numpy as np

DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))  # (dx, dy): right, down, down-right, up-right
COLOR_BINS = 25
ORIENTATIONS = 8
TEXTURE_BINS = 10


def smooth(channels, sigma):
    """Blur `channels` [C, H, W] uint8 with FH's Gaussian -> [C, H, W] float64; border pixels are repeated."""
    mask = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(math.ceil(4 * sigma) + 1)]
    total = mask[0] + 2 * sum(mask[1:])
    taps = [value / total for value in [*mask[:0:-1], *mask]]
    return correlate(correlate(channels, taps, axis=2), taps, axis=1)


def correlate(channels, taps, axis):
    """out[p] = sum over i of taps[i] * channels[p + i - middle] along one axis; an index outside is clamped."""
    channels = np.asarray(channels, dtype=np.float64)
    positions = np.arange(channels.shape[axis])
    out = np.zeros_like(channels)
    for i, tap in enumerate(taps):
        clamped = np.clip(positions + i - len(taps) // 2, 0, len(positions) - 1)
        out += tap * np.take(channels, clamped, axis=axis)
    return out


def indexed_edges(smoothed):
    """The 8-connected grid graph as (weight, edge index, a, b) with edge index = a * 4 + direction.

    The weight is the Euclidean distance over the channels times sqrt(3 / C), so that k means the same in all spaces.
    """
    num_channels, height, width = smoothed.shape
    graph = []
    for y in range(height):
        for x in range(width):
            for direction, (dx, dy) in enumerate(DIRECTIONS):
                if not (0 <= x + dx < width and 0 <= y + dy < height):
                    continue
                squares = sum(float(c[y, x] - c[y + dy, x + dx]) ** 2 for c in smoothed)
                weight = math.sqrt(squares) * math.sqrt(3 / num_channels)
                a = y * width + x
                graph.append((weight, a * 4 + direction, a, (y + dy) * width + x + dx))
    return graph


def edges(smoothed):
    """Edges (weight, a, b) of `smoothed` [C, H, W], by ascending edge index; pixel indices are y * W + x."""
    return [(weight, a, b) for weight, _, a, b in indexed_edges(smoothed)]


def segment(smoothed, k, min_size):
    """Felzenszwalb-Huttenlocher segmentation of [C, H, W] -> labels [H, W] int64, numbered in raster order.

    A component is a list of pixels and every pixel knows its component: no union-find.
    """
    _, height, width = smoothed.shape
    component = list(range(height * width))
    members = {pixel: [pixel] for pixel in component}
    threshold = {pixel: float(k) for pixel in component}
    ordered = sorted(indexed_edges(smoothed))  # by weight, then by edge index, which is unique

    def join(kept, gone):
        for pixel in members[gone]:
            component[pixel] = kept
        members[kept] += members.pop(gone)

    for weight, _, pixel_a, pixel_b in ordered:
        a, b = component[pixel_a], component[pixel_b]
        if a != b and weight <= threshold[a] and weight <= threshold[b]:
            join(a, b)
            threshold[a] = weight + k / len(members[a])
    for _, _, pixel_a, pixel_b in ordered:
        a, b = component[pixel_a], component[pixel_b]
        if a != b and (len(members[a]) < min_size or len(members[b]) < min_size):
            join(a, b)

    numbers: dict[int, int] = {}
    labels = [numbers.setdefault(name, len(numbers)) for name in component]
    return np.array(labels, dtype=np.int64).reshape(height, width)


def color_histograms(channels, labels):
    """25 bins per channel of `channels` [C, H, W] uint8 -> [R, C * 25] float64; every row sums to 1."""
    bins = np.asarray(channels).astype(np.int64) * COLOR_BINS // 256
    return normalized_histograms(bins, COLOR_BINS, labels)


def normalized_histograms(bins, num_bins, labels):
    """Count `bins` [K, H, W] per region and map -> [R, K * num_bins] float64; every row sums to 1."""
    histograms = np.zeros((labels.max() + 1, len(bins) * num_bins))
    for index, plane in enumerate(bins):
        for region, value in zip(labels.ravel(), plane.ravel(), strict=True):
            histograms[region, index * num_bins + value] += 1
    return histograms / histograms.sum(axis=1, keepdims=True)


def gradients(channels):
    """Derivatives of a Gaussian with sigma 1 -> (Gx, Gy), each [C, H, W]; a ramp of slope 1 gives exactly 1."""
    x_values = range(-4, 5)
    gaussian = [math.exp(-(x**2) / 2) for x in x_values]
    derivative = [x * math.exp(-(x**2) / 2) for x in x_values]
    ramp = sum(x * tap for x, tap in zip(x_values, derivative, strict=True))
    gaussian = [tap / sum(gaussian) for tap in gaussian]
    derivative = [tap / ramp for tap in derivative]
    along_x = correlate(correlate(channels, derivative, axis=2), gaussian, axis=1)
    return along_x, correlate(correlate(channels, gaussian, axis=2), derivative, axis=1)


def texture_histograms(channels, labels, texture_range):
    """10 bins per channel and orientation -> [R, C * 8 * 10] float64, channel-major; every row sums to 1.

    Orientation o looks along o * 45 degrees (x right, y down). Negative responses count as 0, responses above
    `texture_range` fall in the last bin.
    """
    gradient_x, gradient_y = gradients(channels)
    bins = []
    for channel in range(len(gradient_x)):
        for orientation in range(ORIENTATIONS):
            angle = math.radians(45 * orientation)
            response = math.cos(angle) * gradient_x[channel] + math.sin(angle) * gradient_y[channel]
            number = np.floor(np.maximum(response, 0) * TEXTURE_BINS / texture_range)
            bins.append(np.minimum(number, TEXTURE_BINS - 1).astype(np.int64))
    return normalized_histograms(bins, TEXTURE_BINS, labels)


def regions_of(labels):
    """Sizes [R] int64, boxes [R, 4] int64 (half-open xyxy), and the set of 4-connected pairs (a, b) with a < b."""
    height, width = labels.shape
    sizes, boxes, neighbours = [], [], set()
    for region in range(labels.max() + 1):
        rows, columns = np.nonzero(labels == region)
        sizes.append(len(rows))
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    for y in range(height):
        for x in range(width):
            for other_x, other_y in ((x + 1, y), (x, y + 1)):
                if other_x < width and other_y < height and labels[y, x] != labels[other_y, other_x]:
                    neighbours.add(tuple(sorted((int(labels[y, x]), int(labels[other_y, other_x])))))
    return np.array(sizes, dtype=np.int64), np.array(boxes, dtype=np.int64), neighbours


def union_box(a, b):
    """The smallest xyxy box around two boxes."""
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def group(sizes, boxes, colors, textures, neighbours, similarity, image_size):
    """Greedy grouping (Uijlings, algorithm 1): always the most similar pair, among equals the smallest (a, b).

    Returns merges, a list of (a, b) with a < b where merge m makes region R + m, and all boxes [2R - 1, 4] int64.
    """
    words = set(similarity.split("_"))
    sizes, boxes = [int(size) for size in sizes], [tuple(int(value) for value in box) for box in boxes]
    colors, textures = list(colors), list(textures)
    pairs = {(min(pair), max(pair)) for pair in neighbours}

    def score(a, b):
        x1, y1, x2, y2 = union_box(boxes[a], boxes[b])
        together = sizes[a] + sizes[b]
        total = 0.0
        if "color" in words:
            total += float(np.minimum(colors[a], colors[b]).sum())
        if "texture" in words:
            total += float(np.minimum(textures[a], textures[b]).sum())
        if "size" in words:
            total += 1 - together / image_size
        if "fill" in words:
            total += 1 - ((x2 - x1) * (y2 - y1) - together) / image_size
        # what differs by rounding only is equal: sums of other orders must not decide
        return round(total, 7)

    merges = []
    while pairs:
        a, b = min(pairs, key=lambda pair: (-score(*pair), pair))
        new, together = len(sizes), sizes[a] + sizes[b]
        merges.append((a, b))
        boxes.append(union_box(boxes[a], boxes[b]))
        colors.append((colors[a] * sizes[a] + colors[b] * sizes[b]) / together)
        textures.append((textures[a] * sizes[a] + textures[b] * sizes[b]) / together)
        sizes.append(together)
        touching = {pair for pair in pairs if a in pair or b in pair}
        around = {region for pair in touching for region in pair} - {a, b}
        pairs = (pairs - touching) | {(region, new) for region in around}
    return merges, np.array(boxes, dtype=np.int64).reshape(-1, 4)


def ranked(hierarchies, superpixels, random):
    """Position values v = RND * i (Uijlings, section 3.3), i = 1 for the last merge -> (boxes, priorities), unsorted.

    Args:
        hierarchies: list of [R - 1, 4], the merged boxes of one segmentation's hierarchies, each in merge order.
        superpixels: [R, 4], the initial boxes of that segmentation; they come last, all with i = merges + 1 = R.
        random: flat array of uniform numbers, one per returned box, in the same order.
    """
    boxes, positions = [], []
    for merged in hierarchies:
        boxes += list(merged)
        positions += [len(merged) - merge for merge in range(len(merged))]
    boxes += list(superpixels)
    positions += [len(superpixels)] * len(superpixels)
    return np.array(boxes), np.array([random[i] * position for i, position in enumerate(positions)])


def convert(rgb, space):
    """Colour space of [H, W, 3] uint8 -> [C, H, W] uint8, rounded to nearest, halves up.

    Everything but Lab is one division of integers, so that halves (the hue of pure yellow: 42.5) are exact.
    """
    r, g, b = np.moveaxis(np.asarray(rgb).astype(np.float64), 2, 0)
    intensity = (299 * r + 587 * g + 114 * b) / 1000
    black = r + g + b == 0
    p, q, s = (np.where(black, 1.0, channel) for channel in (r, g, b))  # black counts as grey
    total = p + q + s
    chromaticities = [255 * channel / total for channel in (p, q, s)]
    # O1/O3 = sqrt(3/2) (R-G)/(R+G+B) lies in +-sqrt(3/2), so it maps to 255 (1 + (R-G)/(R+G+B)) / 2.
    # O2/O3 = (R+G-2B)/(R+G+B) / sqrt(2) lies in (-2 .. 1)/sqrt(2), so it maps to 255 (2 + (R+G-2B)/(R+G+B)) / 3.
    opponents = [255 * (total + p - q) / (2 * total), 255 * (2 * total + p + q - 2 * s) / (3 * total)]
    hue, saturation, value = hsv(r, g, b)
    planes = {"rgb": [r, g, b], "intensity": [intensity], "lab": lab(r, g, b), "rgi": [*chromaticities[:2], intensity]}
    planes |= {"hsv": [hue, saturation, value], "normalized_rgb": chromaticities, "c": opponents, "hue": [hue]}
    return np.stack([np.floor(np.clip(plane, 0, 255) + 0.5) for plane in planes[space]]).astype(np.uint8)


def hsv(r, g, b):
    """H (turns), S and V, each times 255; grey has hue 0, black has saturation 0."""
    highest, lowest = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    spread = highest - lowest
    divisor = np.where(spread == 0, 1, spread)
    green_or_blue = np.where(highest == g, b - r + 2 * spread, r - g + 4 * spread)
    sixths = np.where(highest == r, (g - b) % (6 * divisor), green_or_blue)
    return [255 * sixths / (6 * divisor), 255 * spread / np.where(highest == 0, 1, highest), highest]


def lab(r, g, b):
    """CIE Lab of sRGB under D65, as L * 255 / 100, a + 128, b + 128."""
    r, g, b = (np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (r / 255, g / 255, b / 255))
    x = (0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.950456
    y = 0.212671 * r + 0.715160 * g + 0.072169 * b
    z = (0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.088754
    x, y, z = (np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29) for t in (x, y, z))
    return [(116 * y - 16) * 255 / 100, 500 * (x - y) + 128, 200 * (y - z) + 128]
