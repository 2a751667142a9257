"""Parts of the listing and of the results: stored whole, the same after an interruption, and the same as JSON."""

import json
import tarfile
from itertools import islice
from pathlib import Path

import pytest
from trivial_work import TrivialWork, expected_lines, request_of

from incdet.cluster import part_photos, part_worker
from incdet.cluster.address_search import SearchError
from incdet.cluster.cluster_run import ClusterRun
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


def write_listing(store, entries, part_size, forgotten, failures=()):
    listing = Listing(store, forgotten.append)
    listing.start(iter(entries), part_size, list(failures))
    listing._thread.join()
    listing.check()
    return listing


def test_a_listing_is_stored_in_parts(store):
    shard = ListedShard("1.tar", "/1.tar")
    listing = write_listing(store, [*photos(3), shard, *photos(2, "other")], 4, [], ["a failure"])
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


def broken_after(entries):
    yield from entries
    raise SearchError("cannot list all of s3://bucket: the network is down; run again")


def test_a_search_that_breaks_off_leaves_the_listing_incomplete(store):
    forgotten = []
    write_listing(store, photos(10), 2, forgotten)
    store.remove(LISTING_FILE)
    with pytest.raises(SearchError, match="the network is down"):
        write_listing(store, broken_after(photos(5)), 2, forgotten)
    assert store.read(LISTING_FILE) is None
    # the parts behind the place at which it broke off stay
    assert forgotten == []
    assert read_listing_part(store, 4) == photos(10)[8:]
    assert write_listing(store, photos(10), 2, forgotten).num_parts == 5


@pytest.mark.parametrize("found", [[], photos(4), photos(10)[2:]])
def test_what_is_done_stays_where_an_input_is_missing(store, found):
    forgotten = []
    write_listing(store, photos(10), 2, forgotten)
    store.remove(LISTING_FILE)
    with pytest.raises(SearchError, match=r"missing now \(cannot read /share\); bring the input back"):
        write_listing(store, found, 2, forgotten, ["cannot read /share"])
    assert (forgotten, store.read(LISTING_FILE)) == ([], None)
    # an input that was missing in the first place does no harm
    assert write_listing(store, photos(10), 2, forgotten, ["cannot read /share"]).is_complete


def test_a_run_whose_input_is_missing_keeps_what_is_done(store, tmp_path, small_photos):
    work = TrivialWork(str(tmp_path))
    request = request_of(work, [small_photos], store.place)
    with ClusterRun(request) as run:
        run.state.keep_part_size(4)
    write_listing(store, photos(10), 4, [])
    store.remove(LISTING_FILE)
    write_content(store, "part-000000.parquet", b"done")
    small_photos.rename(tmp_path / "elsewhere")
    with ClusterRun(request) as run:
        run._begin_listing(1)
        run._listing._thread.join()
        with pytest.raises(SearchError, match="there is no such file"):
            run._listing.check()
    assert store.read("part-000000.parquet") == b"done"
    assert read_listing_part(store, 0) == photos(4)


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
    # the end of a part is no photo's fault
    assert store.read(note_name(0)) is None


class Killed(BaseException):
    """The end of a worker, which nothing catches."""


def worker_on_shard(store, small_photos, monkeypatch, tmp_path):
    """A worker whose part is a shard of three photos."""
    monkeypatch.setattr(part_worker, "limit_cores", lambda count: None)
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for photo in sorted(small_photos.glob("*.png"))[:3]:
            archive.add(photo, photo.name)
    write_listing(store, [ListedShard("shard.tar", str(tmp_path / "shard.tar"))], 4, [])
    work = TrivialWork(str(tmp_path))
    return PartWorker(WorkerSetup(work, store.place, "jsonl", work.describe(), 1))


def test_a_careful_worker_notes_a_photo_before_it_is_fetched(store, small_photos, monkeypatch, tmp_path):
    worker = worker_on_shard(store, small_photos, monkeypatch, tmp_path)

    def die(archive, member):
        if member.name == "02.png":
            raise Killed
        return extract(archive, member)

    extract = tarfile.TarFile.extractfile
    monkeypatch.setattr(tarfile.TarFile, "extractfile", die)
    with pytest.raises(Killed):
        worker.work_on(PartTask(0, True))
    assert store.read(note_name(0)) == b"1"
    # it is not even fetched any more
    assert worker.work_on(PartTask(0, True, {1: "dead"})).num_failed == 1


def test_a_death_behind_the_last_photo_is_no_photo_s(store, small_photos, monkeypatch, tmp_path):
    worker = worker_on_shard(store, small_photos, monkeypatch, tmp_path)
    members = part_photos._photo_members

    def die_at_the_end(archive):
        yield from members(archive)
        raise Killed

    monkeypatch.setattr(part_photos, "_photo_members", die_at_the_end)
    with pytest.raises(Killed):
        worker.work_on(PartTask(0, True))
    assert store.read(note_name(0)) is None


def test_failures_of_a_try_that_died_are_forgotten(store, small_photos, monkeypatch, tmp_path):
    monkeypatch.setattr(part_worker, "limit_cores", lambda count: None)
    write_listing(store, list(islice(PhotoInputs([str(small_photos)]), 2)), 4, [])
    write_content(store, failures_name(0), json.dumps(LINES[2]).encode())
    work = TrivialWork(str(tmp_path))
    worker = PartWorker(WorkerSetup(work, store.place, "jsonl", work.describe(), 1))
    assert worker.work_on(PartTask(0)).num_failed == 0
    assert list(RunState(store.place, "jsonl", "detections").failures()) == []


def test_unfinished_files_are_removed_from_all_folders_of_a_run(store):
    state = RunState(store.place, "jsonl", "detections")
    if isinstance(state.store, AddressStore):
        state.store._renames = True
    names = ["part-000000.jsonl", listing_name(0), note_name(0), failures_name(0), LISTING_FILE]
    for name in names:
        folder, slash, file = name.rpartition("/")
        write_content(store, f"{folder}{slash}.incdet.host.1.{file}", b"half")
        write_content(store, name, b"")
    state.end()
    if isinstance(store, FolderStore):
        left = [path.name for path in Path(store.place).rglob("*")]
    else:
        left = store._file_system.find(store._path(""))
    assert [name for name in left if ".incdet." in name] == []
    assert store.read(listing_name(0)) == b""


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
