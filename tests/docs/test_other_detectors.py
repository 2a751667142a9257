"""The page's way from another detector's outputs to incdet's evaluation works as it stands there."""

import json
import re
from pathlib import Path

import torch

from incdet.data.voc import VOC_CLASSES

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def test_outputs_of_torchvision_are_judged(incdet, small_voc, tmp_path):
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names = {}
    exec(code, names)
    cat, dog = VOC_CLASSES.index("cat") + 1, VOC_CLASSES.index("dog") + 1
    # the annotations of the second photo are half as large as its file, and so are its outputs
    outputs = {
        "first": {
            "boxes": torch.tensor([[0.0, 0, 400, 300], [0, 0, 50, 50]]),
            "labels": torch.tensor([cat, dog]),
            "scores": torch.tensor([0.9, 0.8]),
        },
        "second": {
            "boxes": torch.tensor([[30.0, 0, 230, 150]]),
            "labels": torch.tensor([cat]),
            "scores": torch.tensor([0.7]),
        },
    }
    names["write_predictions"]("predictions.json", outputs)
    arguments = ["--dataset", "voc", "--root", small_voc, "--predictions", "predictions.json", "--json", "numbers.json"]
    code, _, err = incdet("evaluate", *arguments)
    assert code == 0, err
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["ap"]["cat"] == 1
    assert numbers["num_detections"] == 3
