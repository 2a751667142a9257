"""Runs on a real Ray node: one row a photo, whatever dies; with real networks the rows of one machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import FEW, one_sentence
from trivial_work import TrivialWork, expected_lines, request_of, save_photo

from incdet.cluster import ray_cluster
from incdet.cluster.cluster_run import ClusterRun
from incdet.errors import OutputError
from incdet.output.result_lines import parse_line

SMALL = (*FEW, "--set", "scores.photo_sides=[384]")
"""Settings with which a photo takes even less, where feature maps are shared."""


def lines_of(run):
    lines = list(run.state.lines())
    by_name = {line["image"]: line for line in lines}
    assert len(by_name) == len(lines), "a photo has two rows"
    return by_name


@pytest.mark.slow
def test_photos_that_kill_workers_cost_only_their_own_rows(connected, small_photos, tmp_path):
    save_photo(small_photos / "poison.png", 3)
    save_photo(small_photos / "once.png", 4)
    expected = expected_lines(small_photos)
    work = TrivialWork(str(tmp_path))
    told = []
    with ClusterRun(request_of(work, [small_photos], tmp_path / "found", part_size=6)) as run:
        run.run(lambda progress: told.append((progress.num_photos, progress.num_listed)))
        found = lines_of(run)
    poison = found.pop(str(small_photos / "poison.png"))
    assert "2 workers have died of it" in poison["error"]
    expected.pop(str(small_photos / "poison.png"))
    assert found == expected
    # both are in one part: the first death belongs to no photo yet, the next two are noted
    assert (tmp_path / "once").read_text() == "x"
    assert (tmp_path / "poison").read_text() == "xx"
    assert told[-1] == (22, 22)
    assert [line["image"] for line in run.state.failures()] == [str(small_photos / "poison.png")]
    assert sum(share.num_photos for share in run.progress.by_node.values()) == 22
    names = {path.name for path in (tmp_path / "found").iterdir()}
    assert names == {"_SUCCESS", "_incdet", *(f"part-{number:06d}.parquet" for number in range(4))}
    check_repetition(work, small_photos, tmp_path / "found")


def check_repetition(work, photos, place):
    """A second run has nothing to do, a lost part alone is done again, and other settings are refused."""
    import pyarrow.parquet

    with ClusterRun(request_of(work, [photos], place)) as run:
        assert run.is_finished()
    rows = pyarrow.parquet.read_table(place)
    assert rows.num_rows == 22
    assert rows.schema.metadata[b"incdet.version"] == b"0"
    kept = (place / "part-000001.parquet").stat().st_mtime_ns
    (place / "part-000002.parquet").unlink()
    with ClusterRun(request_of(work, [photos], place)) as run:
        assert not run.is_finished()
        run.run(lambda _: None)
        assert len(lines_of(run)) == 22
    assert (place / "part-000001.parquet").stat().st_mtime_ns == kept
    with pytest.raises(OutputError, match=r"configuration.setting is 0 there and 5 now"):
        ClusterRun(request_of(TrivialWork(work.deaths, setting=5), [photos], place))
    with pytest.raises(OutputError, match="inputs"):
        ClusterRun(request_of(work, [photos / "inside"], place))


KILLED = """
import sys
sys.path[:0] = {path!r}
from incdet.cluster.cluster_run import ClusterRun
from incdet.cluster.ray_cluster import connect
from trivial_work import TrivialWork, request_of
connect({address!r})
with ClusterRun(request_of(TrivialWork({deaths!r}, seconds=0.1), [{photos!r}], {place!r}, part_size=3)) as run:
    run.run(lambda progress: print(progress.num_finished_parts, flush=True))
"""


@pytest.mark.slow
def test_a_killed_driver_and_a_killed_worker_lose_nothing(ray_address, small_photos, tmp_path):
    place = tmp_path / "found"
    names = {"path": sys.path, "address": ray_address, "deaths": str(tmp_path), "photos": str(small_photos)}
    code = KILLED.format(**names, place=str(place))
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(place.glob("part-*"))) >= 2)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    num_done = len(list(place.glob("part-*")))
    assert 2 <= num_done < 7
    assert not (place / "_SUCCESS").exists()
    ray_cluster.connect(ray_address)
    try:
        with ClusterRun(request_of(TrivialWork(str(tmp_path), 0.1), [small_photos], place)) as run:
            killed = []

            def kill_a_worker(progress):
                slots = run.slots.slots
                if not killed and progress.num_workers:
                    import ray

                    killed.append(ray.get(slots[0].actor.process_id.remote()))
                    os.kill(killed[0], signal.SIGKILL)

            run.run(kill_a_worker)
            assert lines_of(run) == expected_lines(small_photos)
            assert run.progress.num_earlier_parts >= 2
            assert killed
    finally:
        ray_cluster.disconnect()
    assert (place / "_SUCCESS").exists()
    assert not list(place.glob(".incdet.*.*"))


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the run makes no progress"
        time.sleep(0.05)


@pytest.mark.slow
def test_rows_are_those_of_one_machine(incdet, ray_address, chelsea_file, astronaut_file, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(chelsea_file, folder / "cat.png")
    shutil.copy(astronaut_file, folder / "astronaut.jpg")
    (folder / "bad.jpg").write_text("no photo")
    options = ("photos", *SMALL, "--preset", "fast", "--score-threshold", "0.2")
    code, out, _ = incdet("detect", *options, "--json", "-", "--quiet")
    assert code == 1
    on_one = [json.loads(line) for line in out.splitlines()]
    assert any(line["detections"] for line in on_one)
    cluster = ("--cluster", ray_address, "--output", "found", "--format", "jsonl", "--part-size", "2")
    code, out, err = incdet("detect", *options, *cluster, "--cluster-workers", "1")
    assert code == 1
    assert out == ""
    assert "error: cannot read photos/bad.jpg: it is not an image" in err
    texts = "".join(file.read_text() for file in sorted(Path("found").glob("part-*.jsonl"))).splitlines()
    lines = {line["image"]: line for line in map(parse_line, texts)}
    assert lines.pop("photos/bad.jpg")["error"].startswith("cannot read photos/bad.jpg")
    assert lines == {line["image"]: line for line in on_one}
    code, _, err = incdet("detect", *options, *cluster)
    assert code == 1
    assert "nothing to do" in err
    code, _, err = incdet("detect", "photos", "--preset", "fast", *cluster)
    assert code == 2
    assert "other settings" in one_sentence(err)


@pytest.mark.slow
def test_an_evaluation_gives_the_numbers_of_one_machine(incdet, ray_address, small_voc):
    (small_voc / "ImageSets/Main/three.txt").write_text("first\nsecond\nmissing\n")
    annotation = (small_voc / "Annotations/first.xml").read_text()
    (small_voc / "Annotations/missing.xml").write_text(annotation)
    data = ("--dataset", "voc", "--root", small_voc, "--split", "three")
    options = ("evaluate", *data, *SMALL, "--preset", "fast", "--quiet")
    code, _, err = incdet(*options, "--output", "here", "--json", "here.json")
    assert code == 1
    on_cluster = ("--cluster", ray_address, "--cluster-workers", "1", "--output", "there", "--json", "there.json")
    code, _, err = incdet(*options, *on_cluster)
    assert (code, "missing" in one_sentence(err)) == (1, True)
    assert Path("there/predictions.jsonl").read_text() == Path("here/predictions.jsonl").read_text()
    here, there = (json.loads(Path(file).read_text()) for file in ("here.json", "there.json"))
    assert here["mAP"] > 0
    assert {key: here[key] for key in here if key != "seconds"} == {
        key: there[key] for key in there if key != "seconds"
    }
    assert incdet(*options, *on_cluster, "--each-network")[0] == 2


def test_a_worker_that_fits_nowhere_is_a_sentence(incdet, ray_address, photo):
    options = ("--cluster", ray_address, "--output", "found", "--cpus-per-worker", "8", "--quiet")
    code, _, err = incdet("detect", photo, *options)
    assert (code, "shares out 8 CPUs" in one_sentence(err)) == (3, True)
    assert not Path("found").exists()


def test_clusters_that_cannot_be_used_are_a_sentence(incdet, photo, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code, _, err = incdet("detect", photo, "--cluster", "127.0.0.1:1", "--output", "found")
    assert (code, "cannot reach a Ray cluster at 127.0.0.1:1" in one_sentence(err)) == (3, True)
    assert not Path("found").exists()
    code, _, err = incdet("detect", photo, "--cluster", "somewhere", "--output", "found")
    assert (code, "give auto, local, or the address" in one_sentence(err)) == (2, True)
    assert incdet("detect", photo, "--cluster", "local")[0] == 2
    assert incdet("detect", photo, "--format", "jsonl")[0] == 2
    assert incdet("detect", photo, "--cluster", "local", "--output", "found", "--save", "csv")[0] == 2
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = incdet("detect", photo, "--cluster", "local", "--output", "found")
    assert (code, "incdet[cluster]" in one_sentence(err)) == (3, True)
