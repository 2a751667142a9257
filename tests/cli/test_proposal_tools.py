"""proposal_coverage.py, `benchmark.py proposals` and `incdet propose --show-hierarchy`, run as users do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
from running_tools import ROOT, run_tool

from incdet.runtime.worker_processes import MAX_WORKERS

FEW = ("--set", "proposals.selective_search.strategies=single")


@pytest.fixture
def coverage(tmp_path):
    """Runs the program: arguments -> (exit code, stdout, stderr)."""

    def run(*arguments):
        result = run_tool("proposal_coverage.py", "--dataset", "voc", *arguments, folder=tmp_path)
        return result.returncode, result.stdout, result.stderr

    return run


def one_sentence(error):
    (line,) = [line for line in error.splitlines() if line.startswith("error: ")]
    return line


def test_coverage_of_a_data_set(small_voc, tmp_path, coverage):
    code, out, err = coverage("--root", small_voc, "--superpixel-scale", 2, "--json", "out.json", "--output", "run")
    assert code == 0, err
    assert "mean best overlap" in out
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers["num_images"] == numbers["num_objects"] == 2
    assert numbers["coverage"] == 1
    assert 0.6 < numbers["mean_best_overlap"] <= 1
    assert numbers["proposals_per_image"] > 300
    assert 0 < numbers["seconds_per_image"] < 20
    for name in ("over_number", "over_overlap"):
        assert PIL.Image.open(tmp_path / "run" / f"{name}.png").size == (910, 650)
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / ".cache").rglob("*.npz")}
    assert len(stamps) == 2
    _, again, _ = coverage("--root", small_voc, "--limit", 1, "--classes", "dog", "--json", "-")
    assert [json.loads(again)[f"num_{what}"] for what in ("images", "objects")] == [1, 0]
    assert stamps == {file: file.stat().st_mtime_ns for file in (tmp_path / ".cache").rglob("*.npz")}
    arguments = "--superpixel-scale", 1, "--json", "-", "--beside", "out.json", "--output", "run"
    _, more, _ = coverage("--root", small_voc, *arguments)
    assert json.loads(more)["proposals_per_image"] > 1.5 * numbers["proposals_per_image"]
    assert PIL.Image.open(tmp_path / "run" / "beside.png").size == (910, 650)


def test_a_broken_photo_is_named_and_the_others_count(small_voc, tmp_path, coverage):
    root = tmp_path / "voc"
    subprocess.run(["cp", "-r", str(small_voc), str(root)], check=True)
    (root / "JPEGImages" / "second.jpg").write_bytes(b"broken")
    code, out, err = coverage("--root", root, *FEW, "--json", "-")
    assert code == 1
    assert "second.jpg" in one_sentence(err)
    assert json.loads(out)["num_images"] == 1
    for file in (root / "JPEGImages").iterdir():
        file.unlink()
    code, _, err = coverage("--root", root, *FEW)
    assert code == 3
    assert "none of the 2 photos" in one_sentence(err)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--root", "nowhere"), 3),
        (("--split", "test"), 3),
        (("--classes", "cta"), 2),
        (("--beside", "photo.json"), 3),
        (("--superpixel-scale", "0"), 2),
        (("--superpixel-scale", "nan"), 2),
        (("--set", "proposals.selective_search.strategies=best"), 2),
        (("--set", "proposals.selective_search.color_spaces=[xyz]"), 2),
    ],
)
def test_what_cannot_be_used_is_one_sentence(small_voc, tmp_path, coverage, arguments, code):
    (tmp_path / "photo.json").write_text('{"coverage": 1}')
    found, _, error = coverage("--root", small_voc, *arguments)
    assert found == code
    one_sentence(error)


def test_priors_propose_the_same_in_every_photo(shared_folder, coverage):
    arguments = "--root", shared_folder / "data" / "voc2012-subset", "--method", "priors", "--limit", 40, "--json", "-"
    code, out, err = coverage(*arguments)
    assert code == 0, err
    numbers = json.loads(out)
    assert numbers["proposals_per_image"] == 200
    assert 0.55 < numbers["coverage"] < 0.8
    rising = [point["coverage"] for point in numbers["by_number"]]
    assert rising == sorted(rising)
    assert rising[0] > 0.1


def test_crowds_of_coco_are_no_objects_to_cover(chelsea_file, tmp_path, coverage):
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    (tmp_path / "coco" / "val").mkdir()
    PIL.Image.open(chelsea_file).resize((150, 100)).save(tmp_path / "coco" / "val" / "a.jpg")
    objects = [([0, 0, 133, 100], 0), ([149, 0, 1, 1], 1), ([0, 99, 1, 1], 1)]
    document = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 150, "height": 100}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": 7, "category_id": 1, "bbox": box, "iscrowd": crowd} for box, crowd in objects],
    }
    (tmp_path / "coco" / "annotations" / "instances_val.json").write_text(json.dumps(document))
    code, out, err = coverage("--dataset", "coco", "--root", "coco", *FEW, "--json", "-")
    assert code == 0, err
    numbers = json.loads(out)
    assert (numbers["num_images"], numbers["num_objects"], numbers["coverage"]) == (1, 1, 1)


def test_interrupted_coverage_goes_on(small_voc, tmp_path, coverage):
    """Ctrl-C reaches the whole group of processes, as from a terminal; there are more photos than may be under way."""
    number_of_photos = 4 * MAX_WORKERS
    root = tmp_path / "voc"
    subprocess.run(["cp", "-r", str(small_voc), str(root)], check=True)
    pixels = np.asarray(PIL.Image.open(root / "JPEGImages" / "first.jpg").resize((150, 100)))
    for number in range(number_of_photos):
        PIL.Image.fromarray(np.roll(pixels, number, axis=1)).save(root / "JPEGImages" / f"{number}.jpg")
        shutil.copy(root / "Annotations" / "first.xml", root / "Annotations" / f"{number}.xml")
    (root / "ImageSets" / "Main" / "val.txt").write_text("".join(f"{number}\n" for number in range(number_of_photos)))
    program = ROOT / "tools" / "proposal_coverage.py"
    process = subprocess.Popen(
        [sys.executable, str(program), "--dataset", "voc", "--root", str(root)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 100
    while process.poll() is None and not list((tmp_path / ".cache").rglob("*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / ".cache").rglob("*.npz")}
    assert 1 <= len(stamps) < number_of_photos
    more = len(stamps) + 2
    assert coverage("--root", root, "--limit", more)[0] == 0
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    assert more <= len(list((tmp_path / ".cache").rglob("*.npz"))) < number_of_photos


@pytest.fixture(scope="module")
def benchmark(small_voc, tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    few = "--limit", 1, "--runs", 1, "--set", "strategies=single", "--json", "out.json"
    result = run_tool("benchmarks/benchmark.py", "proposals", small_voc / "JPEGImages", *few, folder=folder)
    assert result.returncode == 0, result.stderr
    return json.loads((folder / "out.json").read_text())


def test_the_benchmark_measures_both_engines(benchmark):
    for name in ("incdet", "incdet_two_threads", "opencv"):
        assert benchmark[name]["seconds"] > 0
        assert benchmark[name]["boxes"] > 20
        assert benchmark[name]["coverage"] == 1
    assert benchmark["incdet"]["boxes"] == benchmark["incdet_two_threads"]["boxes"]
    ratio = benchmark["opencv"]["seconds"] / benchmark["incdet"]["seconds"]
    assert benchmark["ratio_to_opencv"] == pytest.approx(ratio)
    superpixels = [part["superpixels"] for part in benchmark["segmentation"].values()]
    assert superpixels[0] == pytest.approx(superpixels[1], rel=0.1)


def test_the_benchmark_tells_what_compiling_costs(benchmark):
    assert benchmark["first_process_seconds"] > benchmark["second_process_seconds"] > 0


def test_the_benchmark_of_growing_frames(chelsea_file, tmp_path):
    sizes = "--megapixels", 0.04, "--megapixels", 0.01
    result = run_tool(
        "benchmarks/benchmark.py", "proposal-scaling", chelsea_file, *sizes, "--json", "out.json", folder=tmp_path
    )
    assert result.returncode == 0, result.stderr
    small, large = json.loads((tmp_path / "out.json").read_text())
    assert (small["megapixels"], large["megapixels"]) == (0.01, 0.04)
    assert 0 < small["superpixels"] < large["superpixels"]
    assert small["seconds_per_megapixel"] == pytest.approx(100 * small["seconds"])


def test_a_benchmark_without_photos_is_one_sentence(tmp_path):
    result = run_tool("benchmarks/benchmark.py", "proposals", tmp_path, folder=tmp_path)
    assert result.returncode == 1
    one_sentence(result.stderr)


def propose(*arguments, folder):
    command = [sys.executable, "-m", "incdet", "propose", *map(str, arguments), "--show-hierarchy"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_hierarchy_is_drawn(chelsea_file, tmp_path):
    """By default MultiBox proposes, too; the picture shows selective search."""
    odd = {"dot": (1, 1), "flat": (90, 60), "strip": (40, 3000)}
    for name, size in odd.items():
        PIL.Image.new("RGB", size, "teal").save(tmp_path / f"{name}.png")
    photos = [chelsea_file, *(tmp_path / f"{name}.png" for name in odd)]
    result = propose(*photos, "--set", "proposals.multibox.crop_sides=[]", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "incdet-output"
    pictures = {file.stem: np.asarray(PIL.Image.open(file)) for file in (folder / "hierarchy").iterdir()}
    assert pictures.keys() == {"chelsea", *odd}
    assert (folder / "chelsea.jpg").exists()
    assert all(picture.shape[1] == 4 * 368 for picture in pictures.values())
    # rows of panels differ: below are fewer, larger regions
    above, below = np.split(pictures["chelsea"][:, 368:736].astype(int), 2)
    assert np.abs(above - below).mean() > 2
    again = propose(chelsea_file, "--output", "incdet-output", folder=tmp_path)
    assert again.returncode == 2
    assert "incdet-output" in one_sentence(again.stderr)


@pytest.mark.parametrize("setting", ["proposals.selective_search.engine=opencv", "proposals.methods=[multibox]"])
def test_not_everything_has_hierarchies_to_draw(chelsea_file, tmp_path, setting):
    result = propose(chelsea_file, "--set", setting, folder=tmp_path)
    assert result.returncode == 2
    assert "--show-hierarchy" in one_sentence(result.stderr)
