"""benchmarks/loader_benchmark.py with few photos, of which a single epoch has too few batches."""

import loader_benchmark
import numpy as np
import PIL.Image
import pytest
from loader_benchmark import OURS, loaders_table, measure_loaders


@pytest.mark.parametrize("num_photos", [1, 3])
def test_few_photos_are_measured_by_more_epochs(tmp_path, monkeypatch, num_photos):
    for name, value in (("BATCH", 4), ("WARM_UP", 2), ("MIN_BATCHES", 2), ("SIZE", 32)):
        monkeypatch.setattr(loader_benchmark, name, value)
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.jpg" for number in range(num_photos)]
    for path in paths:
        PIL.Image.fromarray(generator.integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    rows = measure_loaders(paths, [0], 1)
    assert rows[0]["loader"] == OURS
    assert all(row["photos_per_second"] > 0 for row in rows)
    assert loaders_table(rows).row_count == 3
