"""ILSVRC DET: the layouts of three years, splits, image indices, the blacklist and the class map."""

from dataclasses import astuple

import pytest
from annotation_files import write, xml

from incdet.data.ilsvrc import IlsvrcFiles, read_blacklist, read_class_map, read_ilsvrc
from incdet.data.readers import read_dataset
from incdet.errors import DataError

KIT = "devkit/data"
VAL = ("v_90", "v_20", "v_70", "v_40", "v_10")
"""The index is the line, 1..5, not the number in the name."""

CLASS_MAP = "n1 1 cat\nn2 2 polar bear\nn3 3 dog\n"


def make(root, kit=KIT, lists="ImageSets/DET", annotations="Annotations/DET/val", names=VAL):
    """A data set whose image on line n of val.txt is n + 30 wide and has a cat n + 1 wide."""
    write(root / kit / "map_det.txt", CLASS_MAP)
    write(root / lists / "val.txt", "".join(f"{name} {number}\n" for number, name in enumerate(names, 1)))
    for number, name in enumerate(names, 1):
        text = xml([("n1", (0, 0, number, 4), 0)], width=30 + number)
        write(root / annotations / f"{name}.xml", text)
    return root


@pytest.fixture
def root(tmp_path):
    """The five images in the layout of 2015, without splits and blacklist."""
    return make(tmp_path / "tiny")


def read(root, split="val", **arguments):
    """(the data set, what it was warned about)."""
    warnings = []
    return read_ilsvrc(root, split, warn=warnings.append, **arguments), warnings


def numbered(dataset):
    return [(truth.image, number) for truth, number in zip(dataset.ground_truths, dataset.image_ids, strict=True)]


@pytest.mark.parametrize("lists", ["ImageSets/DET", "{kit}/det_lists"])
@pytest.mark.parametrize(
    ("kit", "annotations", "photos"),
    [
        ("ILSVRC2013_devkit/data", "ILSVRC2013_DET_bbox_val", "ILSVRC2013_DET_val"),
        ("ILSVRC2014_devkit/data", "ILSVRC2013_DET_bbox_val", "ILSVRC2013_DET_val"),
        ("ILSVRC2014_devkit/data", "ILSVRC2014_DET_bbox_val", "ILSVRC2014_DET_val"),
        ("ILSVRC2015_devkit/data", "Annotations/DET/val", "Data/DET/val"),
        ("devkit/data", "Annotations/DET/val", "Data/DET/val"),
    ],
)
def test_the_layout_of_every_year_is_found(tmp_path, kit, annotations, photos, lists):
    make(tmp_path / "tiny", kit, lists.format(kit=kit), annotations)
    write(tmp_path / "tiny" / kit / "ILSVRC2014_det_validation_blacklist.txt", "2 n1\n")
    write(tmp_path / "tiny" / photos / "v_20.JPEG", "")
    dataset, warnings = read(tmp_path / "tiny")
    assert (dataset.name, warnings) == ("tiny val", [])
    assert dataset.class_names == ("cat", "polar bear", "dog")
    assert dataset.category_ids == (1, 2, 3)
    assert numbered(dataset) == [(name, number) for number, name in enumerate(VAL, 1)]
    assert [truth.boxes.tolist() for truth in dataset.ground_truths] == [[[0, 0, n + 1, 5]] for n in range(1, 6)]
    assert dataset.image_paths[1] == tmp_path / "tiny" / photos / "v_20.JPEG"
    assert dataset.blacklist == {(1, 0)}


def test_train_has_folders_and_no_blacklist_of_its_own(root):
    write(root / KIT / "ILSVRC2014_det_validation_blacklist.txt", "1 n1\n2 n1\n")
    write(root / "ImageSets" / "DET" / "train.txt", "ILSVRC2013_train/n1/n1_7 1\nILSVRC2014_train_0006/t_3 2\n")
    for name in ("ILSVRC2013_train/n1/n1_7", "ILSVRC2014_train_0006/t_3"):
        write(root / "Annotations" / "DET" / "train" / f"{name}.xml", xml([("n3", (0, 0, 1, 1), 0)]))
    for split in ("train", str(root / "ImageSets" / "DET" / "train.txt")):
        dataset, warnings = read(root, split)
        assert numbered(dataset) == [("n1_7", 1), ("t_3", 2)]
        assert dataset.image_paths[0] == root / "Data" / "DET" / "train" / "ILSVRC2013_train" / "n1" / "n1_7.JPEG"
        assert (dataset.blacklist, warnings) == (frozenset(), [])
        assert dataset.other_image_ids is None, "indices of train are nobody else's"


def test_without_val_txt_no_other_images_are_known(root):
    (root / "ImageSets" / "DET" / "val.txt").rename(root / "ImageSets" / "DET" / "val2.txt")
    assert read(root, "val2")[0].other_image_ids is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v_40 4\nv_90 1\nv_20 2\n", [("v_90", 1), ("v_20", 2), ("v_40", 4)]),
        ("v_40\nv_90\nv_20\n", [("v_90", 1), ("v_20", 2), ("v_40", 4)]),
        ("v_40\nv_90 1\n\nv_20\n", [("v_90", 1), ("v_20", 2), ("v_40", 4)]),
        ("v_10", [("v_10", 5)]),
    ],
    ids=["indices", "from val.txt", "both", "one"],
)
def test_indices_of_a_split_are_lines_of_val_txt_and_images_are_sorted_by_them(root, tmp_path, text, expected):
    write(root / "ImageSets" / "DET" / "val2.txt", text)
    for split in ("val2", str(write(tmp_path / "train" / "mine.txt", text))):
        dataset, _ = read(root, split)
        assert numbered(dataset) == expected
        assert [truth.width for truth in dataset.ground_truths] == [30 + number for _, number in expected]
        assert [path.stem for path in dataset.image_paths] == [name for name, _ in expected]
        assert dataset.other_image_ids == {1, 2, 3, 4, 5} - {number for _, number in expected}
        assert dataset.name == ("tiny val2" if split == "val2" else "tiny mine")


@pytest.fixture
def own_images(root, tmp_path):
    """A split of two images that val.txt lacks."""
    for name in ("own_b", "own_a"):
        write(root / "Annotations" / "DET" / "val" / f"{name}.xml", xml([]))
    return str(write(tmp_path / "mine.txt", "own_b\nown_a\n"))


def test_images_that_val_txt_lacks_are_numbered_by_their_line(root, own_images):
    dataset, _ = read(root, own_images)
    assert numbered(dataset) == [("own_b", 1), ("own_a", 2)]
    assert not dataset.other_image_ids, "lines of val.txt are other images' numbers"


def test_images_that_val_txt_lacks_are_not_on_the_official_blacklist(root, own_images):
    # line 1 of val.txt is another image than line 1 of the split
    write(root / KIT / "ILSVRC2014_det_validation_blacklist.txt", "1 n1\n")
    assert read(root, own_images)[0].blacklist == frozenset()


@pytest.mark.parametrize("text", ["v_90 1\nv_20 1\n", "v_90\nv_40 1\n", "v_20 07\nv_90 7\n"])
def test_two_images_with_one_index_are_refused(root, tmp_path, text):
    with pytest.raises(DataError, match=r"mine\.txt' gives two images the same index"):
        read(root, str(write(tmp_path / "mine.txt", text)))


@pytest.mark.parametrize("text", ["v_90 1\nv_90 2\n", "", " \n"], ids=["twice", "empty", "blank"])
def test_unusable_splits_are_refused(root, tmp_path, text):
    with pytest.raises(DataError, match=r"mine\.txt"):
        read(root, str(write(tmp_path / "mine.txt", text)))


@pytest.mark.parametrize("split", ["val9", "gone/mine.txt"])
def test_a_missing_split_is_an_error_that_names_it(root, split):
    with pytest.raises(DataError, match=f"cannot read the image list .*{split}"):
        read(root, split)


def test_the_blacklist_holds_for_positions_in_the_split(root):
    write(root / KIT / "ILSVRC2014_det_validation_blacklist.txt", "4 n3\n\n1 n1\n 4   n1\r\n3 n2")
    write(root / "ImageSets" / "DET" / "val2.txt", "v_40 4\nv_10 5\nv_20 2\n")
    assert read(root)[0].blacklist == {(3, 2), (0, 0), (3, 0), (2, 1)}
    assert read(root, "val2")[0].blacklist == {(1, 2), (1, 0)}


@pytest.mark.parametrize("newest", ["ILSVRC2015_devkit/data", "devkit/data"])
def test_of_several_kits_the_newest_gives_class_map_and_blacklist(root, newest):
    (root / KIT).rename(root / "old")
    for year, kit in ((2013, "ILSVRC2013_devkit/data"), (2014, "ILSVRC2014_devkit/data"), (2015, newest)):
        write(root / kit / f"ILSVRC{year}_det_validation_blacklist.txt", f"{year - 2012} n1\n")
        write(root / kit / "map_det.txt", f"n1 1 cat of {year}\n")
    dataset, _ = read(root)
    assert (dataset.class_names, dataset.blacklist) == (("cat of 2015",), {(2, 0)})


def test_of_several_blacklists_in_a_kit_the_newest_counts(root):
    for year in (2015, 2013, 2014):
        write(root / KIT / f"ILSVRC{year}_det_validation_blacklist.txt", f"{year - 2012} n1\n")
    assert read(root)[0].blacklist == {(2, 0)}


def test_another_blacklist_replaces_the_official_one(root, tmp_path):
    write(root / KIT / "ILSVRC2014_det_validation_blacklist.txt", "1 n1\n")
    own = write(tmp_path / "own.txt", "2 n2\n")
    dataset, warnings = read(root, files=IlsvrcFiles(blacklist=own))
    assert (dataset.blacklist, warnings) == ({(1, 1)}, [])
    with pytest.raises(DataError, match=r"cannot read the blacklist .*gone\.txt"):
        read(root, files=IlsvrcFiles(blacklist=tmp_path / "gone.txt"))


def test_a_missing_blacklist_is_a_warning_and_an_empty_one_is_not(root):
    dataset, warnings = read(root)
    assert (dataset.blacklist, len(warnings)) == (frozenset(), 1)
    assert "det_validation_blacklist.txt" in warnings[0]
    write(root / KIT / "ILSVRC2014_det_validation_blacklist.txt", "")
    assert read(root)[1] == []


@pytest.mark.parametrize("line", ["1", "n1 1", "1 n9", "1 n1 n2", "1.5 n1", "-1 n1", "v_90 n1", "1,n1"])
def test_a_malformed_line_of_the_blacklist_is_an_error_with_its_number(root, line):
    file = write(root / KIT / "ILSVRC2014_det_validation_blacklist.txt", f"1 n1\n\n{line}\n")
    for use in (read, lambda _: read_blacklist(file, {"n1", "n2"})):
        with pytest.raises(DataError, match=rf"blacklist\.txt, line 3: expected .* found '{line}'"):
            use(root)


def test_objects_of_unknown_classes_are_counted_in_a_warning(root):
    write(root / KIT / "ILSVRC2014_det_validation_blacklist.txt", "")
    for name, kinds in (("v_90", ["n8", "n1", "n9", "n8"]), ("v_20", ["n7", "n6"])):
        write(root / "Annotations" / "DET" / "val" / f"{name}.xml", xml([(kind, (0, 0, 1, 1), 0) for kind in kinds]))
    dataset, warnings = read(root)
    assert [len(truth) for truth in dataset.ground_truths] == [1, 0, 1, 1, 1]
    assert len(warnings) == 1
    assert warnings[0].startswith("left out: 5 objects of 4 classes that ")
    assert "map_det.txt lacks (n6, n7, n8" in warnings[0]


def test_another_class_map_replaces_the_official_one(root, tmp_path):
    own = write(tmp_path / "own.txt", "n2 1 bear\nn1 2 house cat\n")
    dataset, _ = read(root, files=IlsvrcFiles(class_map=own))
    assert (dataset.class_names, dataset.category_ids) == (("bear", "house cat"), (1, 2))
    assert [truth.class_ids.tolist() for truth in dataset.ground_truths] == [[1]] * 5
    with pytest.raises(DataError, match=r"the class map .*gone\.txt"):
        read(root, files=IlsvrcFiles(class_map=tmp_path / "gone.txt"))


def test_cache_and_processes_change_nothing(root, tmp_path):
    plain = [str(astuple(truth)) for truth in read(root)[0].ground_truths]
    for _ in range(2):
        dataset, _ = read(root, cache=tmp_path / "cache", num_processes=2)
        assert [str(astuple(truth)) for truth in dataset.ground_truths] == plain
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_real_val2_has_no_blacklisted_pairs_and_knows_the_rest_of_val(shared_folder):
    dataset, warnings = read(shared_folder / "data" / "ilsvrc-det", "val2")
    assert (len(dataset), len(dataset.blacklist), len(dataset.other_image_ids), warnings) == (9917, 0, 10204, [])
    assert numbered(dataset)[:2] == [("ILSVRC2012_val_00000006", 2), ("ILSVRC2012_val_00000018", 4)]
    assert list(dataset.image_ids) == sorted(set(dataset.image_ids))
    assert {*dataset.image_ids, *dataset.other_image_ids} == set(range(1, 20122))


@pytest.mark.parametrize(("split", "num_listed"), [("val", 20_121), ("val1", 9_887)])
def test_real_splits_without_annotations_are_an_error_that_counts_them(shared_folder, split, num_listed):
    root = shared_folder / "data" / "ilsvrc-det"
    listed = [line.split()[0] for line in (root / "ImageSets" / "DET" / f"{split}.txt").read_text().splitlines()]
    # the development data holds the annotations of val2 and of some of val1
    missing = [name for name in listed if not (root / "Annotations" / "DET" / "val" / f"{name}.xml").exists()]
    words = rf"^{len(missing):,} of {num_listed:,} annotations are missing in .* \({missing[0]}\.xml, .*, \.\.\.\); "
    with pytest.raises(DataError, match=words):
        read(root, split)


@pytest.mark.parametrize("folder", ["Annotations/DET/val", "ILSVRC2013_DET_bbox_val", "ILSVRC2014_DET_bbox_val"])
def test_ilsvrc_layout(tmp_path, folder):
    write(tmp_path / "devkit" / "data" / "map_det.txt", "n1 1 cat\nn2 2 polar bear\n")
    write(tmp_path / "ImageSets" / "DET" / "val2.txt", "x 1\n")
    write(tmp_path / folder / "x.xml", xml([("n2", (0, 0, 3, 4), 0)]))
    dataset = read_dataset("ilsvrc", tmp_path, "val2")
    assert dataset.class_names == ("cat", "polar bear")
    assert dataset.image_paths == (tmp_path / "Data" / "DET" / "val" / "x.JPEG",)
    assert dataset.ground_truths[0].class_ids.tolist() == [1]
    assert dataset.ground_truths[0].boxes.tolist() == [[0, 0, 4, 5]]


@pytest.mark.parametrize("content", [None, "", "n1 2 cat\n", "n1 1\n", "n1 1 cat\nn2 3 dog\n", b"n1 1 caf\xe9\n"])
def test_unusable_class_map_is_a_data_error(tmp_path, content):
    if content is not None:
        write(tmp_path / "map_det.txt", content)
    with pytest.raises(DataError, match=r"map_det\.txt"):
        read_class_map(tmp_path / "map_det.txt")


def test_real_ilsvrc(shared_folder):
    dataset = read_ilsvrc(shared_folder / "data" / "ilsvrc-det", "val2")
    assert (len(dataset), len(dataset.class_names)) == (9917, 200)
    assert sum(len(truth) for _, truth in dataset) == 26782
    assert (dataset.class_names[0], dataset.class_names[-1]) == ("accordion", "zebra")
