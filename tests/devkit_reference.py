"""Slow, plain-loops reference of the ILSVRC and VOC detection evaluation rules, to be used as a test oracle.

Boxes are (xmin, ymin, xmax, ymax) with inclusive pixel corners, so a box is xmax - xmin + 1 wide.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

Box = tuple[float, float, float, float]

TRUE_POSITIVE = 1
FALSE_POSITIVE = 0
IGNORED = -1

LARGEST_THRESHOLD = 0.5
PIXEL_TOLERANCE = 10.0


@dataclass(frozen=True)
class ReferenceObject:
    """One ground truth box; ILSVRC has no difficult objects and disregards that flag."""

    image: int
    class_id: int
    box: Box
    difficult: bool = False


@dataclass(frozen=True)
class ReferenceDetection:
    """One line of a submission."""

    image: int
    class_id: int
    score: float
    box: Box


@dataclass(frozen=True)
class ReferenceResult:
    """The outcome of one class; verdicts are in the file order of that class's detections."""

    average_precision: float | None
    recall: float | None
    num_required: int
    verdicts: list[int]


def evaluate_ilsvrc(
    num_classes: int,
    objects: list[ReferenceObject],
    detections: list[ReferenceDetection],
    blacklist: AbstractSet[tuple[int, int]] = frozenset(),
) -> list[ReferenceResult]:
    """Evaluate as the ILSVRC detection devkit does; blacklist holds (image, class id) pairs."""
    results: list[ReferenceResult] = []
    for class_id in range(num_classes):
        class_objects = _objects_of_class(objects, class_id)
        class_detections = _detections_of_class(detections, class_id)
        num_required = 0
        for candidate in class_objects:
            if (candidate.image, class_id) not in blacklist:
                num_required += 1
        verdicts = _judge_ilsvrc(class_objects, class_detections, blacklist)
        results.append(_summarise(class_detections, verdicts, num_required, eleven_point=False))
    return results


def evaluate_voc(
    num_classes: int,
    objects: list[ReferenceObject],
    detections: list[ReferenceDetection],
    eleven_point: bool = False,
) -> list[ReferenceResult]:
    """Evaluate as the VOC devkit does, with the average precision of VOC2007 where eleven_point is set."""
    results: list[ReferenceResult] = []
    for class_id in range(num_classes):
        class_objects = _objects_of_class(objects, class_id)
        class_detections = _detections_of_class(detections, class_id)
        num_required = 0
        for candidate in class_objects:
            if not candidate.difficult:
                num_required += 1
        verdicts = _judge_voc(class_objects, class_detections)
        results.append(_summarise(class_detections, verdicts, num_required, eleven_point))
    return results


def overlap_of(first: Box, second: Box) -> float | None:
    """Return the inclusive intersection over union, or None where the boxes share no area."""
    width = min(first[2], second[2]) - max(first[0], second[0]) + 1
    height = min(first[3], second[3]) - max(first[1], second[1]) + 1
    if width <= 0 or height <= 0:
        return None
    first_area = (first[2] - first[0] + 1) * (first[3] - first[1] + 1)
    second_area = (second[2] - second[0] + 1) * (second[3] - second[1] + 1)
    union = first_area + second_area - width * height
    return width * height / union


def ilsvrc_threshold(box: Box) -> float:
    """Return the overlap that a detection of this ground truth box needs."""
    width = box[2] - box[0] + 1
    height = box[3] - box[1] + 1
    return min(LARGEST_THRESHOLD, (width * height) / ((width + PIXEL_TOLERANCE) * (height + PIXEL_TOLERANCE)))


def all_point_average_precision(recalls: list[float], precisions: list[float]) -> float:
    """Return the area under the monotone envelope of the precision-recall curve."""
    padded_recalls = [0.0, *recalls, 1.0]
    envelope = [0.0, *precisions, 0.0]
    for index in range(len(envelope) - 2, -1, -1):
        envelope[index] = max(envelope[index], envelope[index + 1])
    area = 0.0
    for index in range(1, len(envelope)):
        if padded_recalls[index] != padded_recalls[index - 1]:
            area += (padded_recalls[index] - padded_recalls[index - 1]) * envelope[index]
    return area


def eleven_point_average_precision(recalls: list[float], precisions: list[float]) -> float:
    """Return the mean of the best precisions at recalls of at least 0, 0.1 .. 1."""
    total = 0.0
    for step in range(11):
        best = 0.0
        for recall, precision in zip(recalls, precisions, strict=True):
            if recall >= step / 10 and precision > best:
                best = precision
        total += best
    return total / 11


def _objects_of_class(objects: list[ReferenceObject], class_id: int) -> list[ReferenceObject]:
    chosen: list[ReferenceObject] = []
    for candidate in objects:
        if candidate.class_id == class_id:
            chosen.append(candidate)
    return chosen


def _detections_of_class(detections: list[ReferenceDetection], class_id: int) -> list[ReferenceDetection]:
    chosen: list[ReferenceDetection] = []
    for detection in detections:
        if detection.class_id == class_id:
            chosen.append(detection)
    return chosen


def _ranking(detections: list[ReferenceDetection]) -> list[int]:
    """Return file positions by descending score, equal scores by image and then by file order."""
    return sorted(range(len(detections)), key=lambda place: (-detections[place].score, detections[place].image, place))


def _judge_ilsvrc(
    objects: list[ReferenceObject], detections: list[ReferenceDetection], blacklist: AbstractSet[tuple[int, int]]
) -> list[int]:
    # The global ranking keeps the order within every image, and images do not influence each other.
    verdicts = [FALSE_POSITIVE] * len(detections)
    taken = [False] * len(objects)
    for place in _ranking(detections):
        detection = detections[place]
        if (detection.image, detection.class_id) in blacklist:
            verdicts[place] = IGNORED
            continue
        match = _best_acceptable(detection, objects, taken)
        if match is not None:
            taken[match] = True
            verdicts[place] = TRUE_POSITIVE
    return verdicts


def _best_acceptable(detection: ReferenceDetection, objects: list[ReferenceObject], taken: list[bool]) -> int | None:
    """Return the untaken object overlapped most among those whose own threshold is met, the first of equals."""
    best: int | None = None
    best_overlap = 0.0
    for index, candidate in enumerate(objects):
        if candidate.image != detection.image or taken[index]:
            continue
        overlap = overlap_of(detection.box, candidate.box)
        if overlap is None or overlap < ilsvrc_threshold(candidate.box):
            continue
        if best is None or overlap > best_overlap:
            best = index
            best_overlap = overlap
    return best


def _judge_voc(objects: list[ReferenceObject], detections: list[ReferenceDetection]) -> list[int]:
    verdicts = [FALSE_POSITIVE] * len(detections)
    taken = [False] * len(objects)
    for place in _ranking(detections):
        match = _most_overlapped(detections[place], objects)
        if match is None:
            continue
        if objects[match].difficult:
            verdicts[place] = IGNORED
        elif not taken[match]:
            taken[match] = True
            verdicts[place] = TRUE_POSITIVE
    return verdicts


def _most_overlapped(detection: ReferenceDetection, objects: list[ReferenceObject]) -> int | None:
    """Return the object overlapped most, taken or not, provided that it is overlapped enough."""
    best: int | None = None
    best_overlap = 0.0
    for index, candidate in enumerate(objects):
        if candidate.image != detection.image:
            continue
        overlap = overlap_of(detection.box, candidate.box)
        if overlap is not None and (best is None or overlap > best_overlap):
            best = index
            best_overlap = overlap
    return best if best_overlap >= LARGEST_THRESHOLD else None


def _summarise(
    detections: list[ReferenceDetection], verdicts: list[int], num_required: int, eleven_point: bool
) -> ReferenceResult:
    if num_required == 0:
        return ReferenceResult(None, None, 0, verdicts)
    recalls, precisions = _curve(detections, verdicts, num_required)
    if eleven_point:
        average_precision = eleven_point_average_precision(recalls, precisions)
    else:
        average_precision = all_point_average_precision(recalls, precisions)
    recall = recalls[-1] if recalls else 0.0
    return ReferenceResult(average_precision, recall, num_required, verdicts)


def _curve(
    detections: list[ReferenceDetection], verdicts: list[int], num_required: int
) -> tuple[list[float], list[float]]:
    recalls: list[float] = []
    precisions: list[float] = []
    num_true = 0
    num_false = 0
    for place in _ranking(detections):
        if verdicts[place] == TRUE_POSITIVE:
            num_true += 1
        elif verdicts[place] == FALSE_POSITIVE:
            num_false += 1
        num_counted = num_true + num_false
        recalls.append(num_true / num_required)
        # MATLAB has NaN for 0/0 here and its max passes over NaN; precisions are never negative, so 0 does the same.
        precisions.append(num_true / num_counted if num_counted > 0 else 0.0)
    return recalls, precisions
