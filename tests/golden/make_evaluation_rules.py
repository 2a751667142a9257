"""Makes evaluation_rules.json: a small data set with detections and the AP of every class under each rule.

    python tests/golden/make_evaluation_rules.py

The AP, recall and mAP come from tests/devkit_reference.py, plain loops that were written from the rules of the
development kits and share no code with incdet. The official kits are MATLAB programs and were not run. The AP of the
classes of hard cases were also calculated by hand and stand in the file as fractions.
"""

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from devkit_reference import ReferenceDetection, ReferenceObject, ReferenceResult, evaluate_ilsvrc, evaluate_voc

FILE = Path(__file__).with_name("evaluation_rules.json")

ORIGIN = (
    "Numbers of tests/devkit_reference.py, plain loops written from the rules of the ILSVRC and VOC development kits, "
    "which share no code with incdet. The official kits (MATLAB) were not run. The fractions under by_hand were "
    "calculated by hand. Made by tests/golden/make_evaluation_rules.py."
)

NUM_IMAGES = 8
"""Images 0 to 7; image 2 has no objects."""

BLACKLIST = [(0, 8)]

A = (10, 10, 59, 59)
FAR = (200, 200, 259, 259)

CASES = {
    # name: objects (image, box, difficult), detections (image, score, box), AP by hand (ilsvrc, voc, voc07)
    "duplicate": (
        [(0, A, False), (1, A, False)],
        [(0, 0.9, A), (0, 0.8, A), (1, 0.7, A)],
        ("5/6", "5/6", "28/33"),
    ),
    # the second detection overlaps the taken object most: ILSVRC goes on to the free one, VOC does not
    "second-best object": (
        [(0, (0, 0, 99, 99), False), (0, (0, 0, 99, 79), False)],
        [(0, 0.9, (0, 0, 99, 99)), (0, 0.8, (0, 0, 99, 99))],
        ("1", "1/2", "6/11"),
    ),
    "difficult": (
        [(0, A, True), (1, A, False)],
        [(0, 0.95, A), (0, 0.9, A), (1, 0.8, A)],
        ("5/6", "1", "1"),
    ),
    # thresholds 1/9 and 1/4 under ILSVRC's rules; the second overlap is exactly 1/4
    "tiny": (
        [(0, (0, 0, 4, 4), False), (1, (0, 0, 9, 9), False)],
        [(0, 0.9, (2, 2, 6, 6)), (1, 0.8, (0, 0, 4, 4))],
        ("1", "0", "0"),
    ),
    # the overlap is exactly 1/2 with inclusive pixels and 24/49 without
    "inclusive pixels": (
        [(0, (0, 0, 49, 49), False)],
        [(0, 0.9, (0, 0, 24, 49))],
        ("1", "1", "1"),
    ),
    # image 0 comes first, although its detection is in the middle of the file
    "equal scores": (
        [(0, A, False), (1, A, False)],
        [(1, 0.5, FAR), (0, 0.5, A), (1, 0.5, A)],
        ("5/6", "5/6", "28/33"),
    ),
    "no objects": ([], [(0, 0.9, A), (2, 0.3, FAR)], (None, None, None)),
    "no detections": ([(0, A, False)], [], ("0", "0", "0")),
    # (image 0, class 8) is blacklisted, which only ILSVRC's rules know
    "blacklisted": (
        [(0, A, False), (1, A, False)],
        [(0, 0.9, FAR), (1, 0.8, A)],
        ("1", "1/4", "3/11"),
    ),
    "image without objects": (
        [(0, A, False)],
        [(2, 0.9, A), (0, 0.8, A)],
        ("1/2", "1/2", "1/2"),
    ),
    "only difficult": ([(3, A, True)], [(3, 0.9, A)], ("1", None, None)),
}

NUM_MIXED = 4
"""Classes of random objects and detections beside the hard cases."""


def mixed(seed: int) -> tuple[list, list]:
    """Returns random objects, and detections that are moved copies of them, with scores of two digits (ties)."""
    generator = random.Random(seed)
    objects, detections = [], []
    for _ in range(22):
        image = generator.choice([0, 1, 3, 4, 5, 6, 7])
        x, y = generator.randrange(300), generator.randrange(300)
        box = (x, y, x + generator.choice([3, 8, 20, 60, 150]), y + generator.choice([3, 8, 20, 60, 150]))
        objects.append((image, box, generator.random() < 0.2))
        for _ in range(generator.randrange(4)):
            moved = tuple(corner + generator.randrange(-4, 5) for corner in box)
            detections.append((image, generator.randrange(100) / 100, moved))
    for _ in range(8):
        x, y = generator.randrange(300), generator.randrange(300)
        detections.append((generator.randrange(NUM_IMAGES), generator.randrange(100) / 100, (x, y, x + 40, y + 50)))
    generator.shuffle(detections)
    return objects, detections


def numbers_of(results: list[ReferenceResult], names: list[str]) -> dict:
    """Returns AP, recall and number of required objects by class, and mAP."""
    measured = [result.average_precision for result in results if result.average_precision is not None]
    classes = {}
    for name, result in zip(names, results, strict=True):
        classes[name] = {
            "AP": result.average_precision,
            "recall": result.recall,
            "num_required": result.num_required,
        }
    return {"mAP": sum(measured) / len(measured), "classes": classes}


def main() -> None:
    """Writes the file."""
    cases = {name: (objects, detections) for name, (objects, detections, _) in CASES.items()}
    cases |= {f"mixed {seed}": mixed(seed) for seed in range(NUM_MIXED)}
    names = list(cases)
    objects, detections = [], []
    for class_id, (class_objects, class_detections) in enumerate(cases.values()):
        objects += [ReferenceObject(image, class_id, box, difficult) for image, box, difficult in class_objects]
        detections += [ReferenceDetection(image, class_id, score, box) for image, score, box in class_detections]
    # the columns of objects ascend by image, as a reader of a data set gives them
    objects.sort(key=lambda entry: entry.image)
    expected = {
        "ilsvrc": numbers_of(evaluate_ilsvrc(len(names), objects, detections, frozenset(BLACKLIST)), names),
        "voc": numbers_of(evaluate_voc(len(names), objects, detections), names),
        "voc07": numbers_of(evaluate_voc(len(names), objects, detections, eleven_point=True), names),
    }
    document = {
        "origin": ORIGIN,
        "boxes": "xmin ymin xmax ymax, inclusive pixels",
        "class_names": names,
        "num_images": NUM_IMAGES,
        "blacklist of image and class id": BLACKLIST,
        "objects": [[o.image, o.class_id, *o.box, o.difficult] for o in objects],
        "detections": [[d.image, d.class_id, d.score, *d.box] for d in detections],
        "by_hand": {
            rules: {name: fractions[place] for name, (_, _, fractions) in CASES.items()}
            for place, rules in enumerate(expected)
        },
        "expected": expected,
    }
    FILE.write_text(readable(document))


def readable(document: dict) -> str:
    """Returns JSON with one object or detection per line."""
    parts = []
    for key, value in document.items():
        if key in ("objects", "detections"):
            rows = ",\n".join("    " + json.dumps(row) for row in value)
            parts.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        else:
            parts.append(f"  {json.dumps(key)}: " + json.dumps(value, indent=2).replace("\n", "\n  "))
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
