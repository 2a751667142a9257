"""Parts of the listing and of the results: stored whole, the same after an interruption, and the same as JSON."""

import json
from itertools import islice

import pytest
from trivial_work import TrivialWork, expected_lines

from incdet.cluster import part_worker
from incdet.cluster.listing_parts import LISTING_FILE, Listing, choose_part_size, listing_name, read_listing_part
from incdet.cluster.node_facts import NodeFacts
from incdet.cluster.part_files import line_of, row_of
from incdet.cluster.part_tries import MAX_FAILED_BEGINNINGS, HopelessPartError, PartTries
from incdet.cluster.part_worker import PartTask, PartWorker, WorkerSetup, failures_name, note_name
from incdet.cluster.photo_inputs import ListedPhoto, ListedShard, PhotoInputs
from incdet.cluster.ray_cluster import ClusterError, check_facts
from incdet.cluster.result_store import AddressStore, FolderStore, write_content
from incdet.cluster.run_state import RunState
from incdet.errors import OutputError
from incdet.output.photo_lines import error_line

pytest.importorskip("pyarrow", reason="needs pyarrow")


@pytest.fixture(params=["folder", "address"])
def store(request, tmp_path):
    """A folder, and an address whose file system has no real files."""
    if request.param == "folder":
        yield FolderStore(str(tmp_path / "found"))
        return
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec")
    yield AddressStore("memory://found")
    memory = fsspec.filesystem("memory")
    if memory.exists("/found"):
        memory.rm("/found", recursive=True)


def photos(count, first="photo"):
    return [ListedPhoto(f"{first}{number}", f"/{first}{number}") for number in range(count)]


def write_listing(store, entries, part_size, forgotten):
    listing = Listing(store, forgotten.append)
    listing.start(iter(entries), part_size, ["a failure"])
    listing._thread.join()
    listing.check()
    return listing


def test_a_listing_is_stored_in_parts(store):
    shard = ListedShard("1.tar", "/1.tar")
    listing = write_listing(store, [*photos(3), shard, *photos(2, "other")], 4, [])
    assert (listing.num_parts, listing.num_photos, listing.has_shards, listing.is_complete) == (3, 5, True, True)
    assert read_listing_part(store, 0) == [shard]
    assert read_listing_part(store, 1) == [*photos(3), *photos(1, "other")]
    later = Listing(store, print)
    assert later.load()
    assert (later.num_parts, later.failures) == (3, ["a failure"])
    with pytest.raises(OutputError, match="part 7"):
        read_listing_part(store, 7)


def test_an_interrupted_listing_goes_on_and_forgets_what_has_changed(store):
    forgotten = []
    write_listing(store, photos(10), 2, forgotten)
    store.remove(LISTING_FILE)
    assert not write_listing(store, photos(10), 2, forgotten).has_changed
    assert forgotten == []
    store.remove(LISTING_FILE)
    changed = [*photos(3), *photos(4, "new")]
    listing = write_listing(store, changed, 2, forgotten)
    assert listing.has_changed
    assert forgotten == [1, 2, 3, 4]
    assert [entry for part in range(listing.num_parts) for entry in read_listing_part(store, part)] == changed
    assert store.read(listing_name(4)) is None


def test_few_photos_are_shared_among_all_workers():
    size, again = choose_part_size(iter(photos(100)), 5)
    assert size == 5
    assert list(again) == photos(100)
    size, again = choose_part_size(iter(photos(100_000)), 5)
    assert size == 256
    assert sum(1 for _ in again) == 100_000


LINES = [
    {
        "image": "a.jpg",
        "width": 4,
        "height": 3,
        "detections": [{"label": "cat", "class_id": 7, "score": 0.1, "box": [0.0, 1.5, 2.25, 3.0]}],
    },
    {
        "image": "b.jpg",
        "width": 4,
        "height": 3,
        "detections": [],
        "best_below": {"score_threshold": 0.5, "label": "dog", "score": 0.3},
    },
    error_line("c.jpg", "cannot read c.jpg"),
]


def test_rows_keep_all_of_a_line():
    assert [line_of(row_of(line, "detections"), "detections") for line in LINES[:1]] == LINES[:1]
    strange = row_of(error_line("\udcff.jpg", "cannot read \udcff.jpg"), "detections")
    assert strange["path"] == "\\udcff.jpg"
    strange["error"].encode()


class Scripted(TrivialWork):
    """Work whose lines are given."""

    def start(self):
        return lambda photos, one_by_one=False: (line for _, line in zip(photos, LINES, strict=False))


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_worker_stores_lines_as_they_are(store, form, monkeypatch):
    monkeypatch.setattr(part_worker, "limit_cores", lambda count: None)
    write_listing(store, photos(3), 3, [])
    work = Scripted("")
    worker = PartWorker(WorkerSetup(work, store.place, form, work.describe(), 1))
    report = worker.work_on(PartTask(0))
    assert (report.num_photos, report.num_failed) == (3, 1)
    state = RunState(store.place, form, "detections")
    state.done = {0}
    assert list(state.lines()) == LINES
    assert list(state.failures()) == LINES[2:]
    assert json.loads(store.read(failures_name(0))) == LINES[2]


def test_a_careful_worker_notes_photos_and_passes_hopeless_ones_over(store, small_photos, monkeypatch, tmp_path):
    monkeypatch.setattr(part_worker, "limit_cores", lambda count: None)
    entries = list(islice(PhotoInputs([str(small_photos)]), 4))
    write_listing(store, entries, 4, [])
    work = TrivialWork(str(tmp_path))
    worker = PartWorker(WorkerSetup(work, store.place, "jsonl", work.describe(), 1))
    for hopeless in ({0: "dead"}, {1: "dead", 3: "dead"}, dict.fromkeys(range(4), "dead")):
        worker.work_on(PartTask(0, True, hopeless))
        state = RunState(store.place, "jsonl", "detections")
        state.done = {0}
        lines = list(state.lines())
        assert [line["image"] for line in lines] == [entry.name for entry in entries]
        assert {number for number, line in enumerate(lines) if "error" in line} == hopeless.keys()
        everything = expected_lines(small_photos)
        assert all(line == everything[line["image"]] for line in lines if "error" not in line)
    assert store.read(note_name(0)) == b"2"


def test_tries_are_bounded():
    tries = PartTries(3)
    assert tries.task() == PartTask(3)
    tries.died(None, "first")
    assert tries.task() == PartTask(3, is_careful=True)
    tries.died(5, "node gone")
    tries.died(2, "no memory")
    assert tries.task().hopeless == {}
    tries.died(2, "no memory")
    assert list(tries.task().hopeless) == [2]
    for _ in range(MAX_FAILED_BEGINNINGS - 1):
        tries.died(None, "strange")
    with pytest.raises(HopelessPartError, match="part 3"):
        tries.died(None, "strange")


def test_nodes_that_differ_are_named():
    own = {"incdet": "0.2.0", "python": "3.11.7", "torch": "2.7.0+cpu"}
    check_facts(NodeFacts("node1", {**own, "torch": "2.7.0+cu128"}), own)
    with pytest.raises(ClusterError, match=r"node2 has python 3\.12\.1 and this machine 3\.11\.7"):
        check_facts(NodeFacts("node2", {**own, "python": "3.12.1"}), own)
    with pytest.raises(ClusterError, match="node3 does not see /data"):
        check_facts(NodeFacts("node3", own, ("/data",)), own)


def test_a_place_with_other_results_is_refused(store):
    write_content(store, "part-000000.parquet", b"of somebody else")
    with pytest.raises(OutputError, match="settings are not known"):
        RunState(store.place, "parquet", "detections").begin({"versions": {}}, ["x"], overwrite=False)
    assert store.read("part-000000.parquet") == b"of somebody else"
