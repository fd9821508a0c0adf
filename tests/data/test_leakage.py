"""Leakage: what parts share is counted, named and placed, and images are told apart by what they hold."""

from collections import defaultdict
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlgcn.data.combine import combine
from mlgcn.data.leakage import check_same_validation, check_sources, check_unseen, image_hashes, leakage
from mlgcn.data.splits import save_split, split_by_patient
from mlgcn.labels import SPLITS, LabelTable


def table(patients, split, studies=None):
    ids = [f"i{number}" for number in range(len(patients))]
    return LabelTable(np.zeros((len(ids), 1)), ["A"], image_id=ids, patient_id=patients, study_id=studies, split=split)


def picture(seed=0, size=40):
    return np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)


# What parts share


@settings(max_examples=60)
@given(data=st.data())
def test_patients_studies_and_pictures_in_two_parts_are_found_as_a_search_finds_them(data):
    size = data.draw(st.integers(1, 30))
    column = st.lists(st.sampled_from("abcde"), min_size=size, max_size=size)
    patients, studies = data.draw(column), data.draw(column)
    hashes = data.draw(st.lists(st.sampled_from(["", "x", "y", "z"]), min_size=size, max_size=size))
    split = data.draw(st.lists(st.sampled_from(["", *SPLITS]), min_size=size, max_size=size))
    found = leakage(table(patients, split, studies), hashes)
    for shared, keys in ((found.patients, patients), (found.studies, studies), (found.images, hashes)):
        where = defaultdict(set)
        for key, part in zip(keys, split, strict=True):
            if key and part:
                where[key].add(part)
        leaking = {key: parts for key, parts in where.items() if len(parts) > 1}
        assert shared.count == len(leaking) == len(shared.examples)
        for (one, other), count in shared.pairs.items():
            assert count == sum({one, other} <= parts for parts in leaking.values()) > 0
        assert sum(shared.pairs.values()) == sum(len(parts) * (len(parts) - 1) // 2 for parts in leaking.values())
        assert sorted(map(sorted, (place for _, place in shared.examples))) == sorted(map(sorted, leaking.values()))
        if keys is not hashes:
            assert {what for what, _ in shared.examples} == set(leaking)
    assert found.unreadable == [f"i{number}" for number in range(size) if not hashes[number]]


def test_a_shared_picture_is_named_by_an_image_of_each_part_in_their_order():
    found = leakage(table(list("abcde"), ["test", "train", "train", "test", "val"]), ["x", "x", "x", "", "y"])
    assert found.images.examples == [("i1 = i0", ("train", "test"))]
    assert found.images.pairs == {("train", "test"): 1} and found.images.count == 1
    assert found.unreadable == ["i3"] and not found.patients.count


def test_examples_are_the_first_ten_and_the_count_is_of_all():
    found = leakage(table([f"p{number:02d}" for number in range(24)] * 2, ["train"] * 24 + ["val"] * 24))
    assert found.patients.count == found.patients.pairs["train", "val"] == 24
    assert [what for what, _ in found.patients.examples] == [f"p{number:02d}" for number in range(10)]
    assert found.studies.count == 0 and found.images is None and found.unreadable == []
    assert list(found.findings()) == ["patients", "studies"]


def test_other_parts_than_the_splits_can_be_looked_at():
    folds = table(["a", "a", "b", "b"], "")
    assert leakage(folds).patients.count == 0  # no image is in a part
    found = leakage(folds, ["x", "y", "z", "x"], ["fold 0", "fold 1", "fold 1", "fold 1"])
    assert found.patients.pairs == {("fold 0", "fold 1"): 1} == found.images.pairs


def test_a_split_by_patient_leaks_nothing():
    rng = np.random.default_rng(0)
    patients = np.repeat([f"p{number}" for number in range(60)], rng.integers(1, 5, 60))
    found = leakage(split_by_patient(table(patients, ""), seed=1))
    assert found.patients.count == found.studies.count == 0


@pytest.mark.parametrize(("columns", "what"), [({"hashes": ["x"]}, "1 hashes"), ({"parts": ["x"] * 3}, "3 parts")])
def test_other_numbers_of_hashes_or_parts_than_images_are_refused(columns, what):
    with pytest.raises(ValueError, match=f"there are {what}, expected one for each of 2 images"):
        leakage(table(["a", "b"], "train"), **columns)


# What sources share


def source(ids, split, paths=None):
    return LabelTable(np.zeros((len(ids), 1)), ["A"], image_id=ids, path=paths, split=split)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cxr_lt_2023", "mimic_cxr_jpg"),
        ("cxr_lt_2024", "ltml_mimic_cxr"),
        ("cxr_lt_2026", "nih"),
        ("padchest", "cxr_lt_2026"),
        ("chexpert", "chexpert"),
    ],
)
def test_held_out_images_on_which_another_source_trains_are_told(one, other, caplog):
    tables = {"a": source(list("vwxyz"), ["train", "val", "test", "test", ""]), "b": source(list("zyxwv"), "train")}
    readers = {"a": one, "b": other}
    message = r"3 of a and b, such as w \(val of a, train of b\); x \(test of a, .*--data\.leaks warn goes on"
    with pytest.raises(ValueError, match=message):
        check_sources(tables, readers)
    check_sources(tables, readers, "warn")
    assert "3 of a and b" in caplog.text and "flatters the model" in caplog.text
    caplog.clear()
    check_sources({**tables, "b": tables["b"].with_split([""] * 5)}, readers)
    check_sources({"a": tables["a"]}, readers)
    assert not caplog.records


@settings(max_examples=30)
@given(data=st.data())
def test_shared_images_are_counted_as_a_search_counts_them(data):
    parts = st.dictionaries(st.sampled_from("uvwxyz"), st.sampled_from(["", *SPLITS]), min_size=1)
    one, other = data.draw(parts), data.draw(parts)
    tables = {name: source(list(part), list(part.values())) for name, part in (("a", one), ("b", other))}
    count = sum(len({one[image], other[image]} - {""}) == 2 for image in {*one} & {*other})
    with pytest.raises(ValueError, match=f": {count} of a and b") if count else nullcontext():
        check_sources(tables, {"a": "nih", "b": "nih"})


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("1", "1", False),
        ("scan_0000007.png", "scan_0000007.png", False),
        ("00000001_000.png", "00000001_000.png", True),
        ("images/00000001_000.png", "other/00000001_000.JPG", True),
        ("1.2.840.113654.1", "1.2.840.113654.2", False),
        ("1.2.840.113654.1", "1.2.840.113654.1.dcm", True),
    ],
)
@pytest.mark.parametrize("readers", [("table", "table"), ("nih", "mimic_cxr_jpg"), ("torchxrayvision", "nih")])
def test_of_sources_without_common_images_only_ids_that_are_no_running_numbers_count(one, other, shared, readers):
    tables = {"a": source([one], "test", ["/a/x.png"]), "b": source([other], "train", ["/b/x.png"])}
    with pytest.raises(ValueError, match="1 of a and b") if shared else nullcontext():
        check_sources(tables, dict(zip("ab", readers, strict=True)))


def test_one_file_is_one_image_and_a_name_that_stands_twice_is_none():
    tables = {"a": source(["1"], "test", ["/x.png"]), "b": source(["2"], "train", ["/x.png"])}
    with pytest.raises(ValueError, match=r"1 of a and b, such as /x\.png \(test of a, train of b\)"):
        check_sources(tables, {"a": "table", "b": "table"})
    names = ["p1/0123456789.png", "p2/0123456789.png"]
    tables = {"a": source(names, "test"), "b": source(names[:1], "train", ["/y.png"])}
    check_sources(tables, {"a": "table", "b": "table"})


# Hashes


@pytest.fixture
def files(tmp_path):
    """A picture, its copy, the same in other files, a lossy one, another picture, and what is no picture."""
    same = Image.fromarray(picture())
    same.save(tmp_path / "a.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    same.save(tmp_path / "denser.png", compress_level=0)
    same.convert("RGB").save(tmp_path / "channels.png")
    same.save(tmp_path / "lossy.jpg", quality=60)
    changed = picture()
    changed[3, 4] ^= 1
    Image.fromarray(changed).save(tmp_path / "one_grey_value_off.png")
    Image.fromarray(picture().reshape(50, 32)).save(tmp_path / "other_shape.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    names = ["a", "copy", "denser", "channels", "one_grey_value_off", "other_shape", "broken", "empty", "absent"]
    return [str(tmp_path / "lossy.jpg"), *(str(tmp_path / f"{name}.png") for name in names)]


@pytest.mark.parametrize("workers", [1, 3])
def test_bytes_tell_every_file_apart_but_a_copy(files, workers):
    lossy, first, copy, *others, broken, empty, absent = image_hashes(files, "bytes", workers)
    assert first == copy and len({first, lossy, broken, *others}) == 3 + len(others)
    assert empty == absent == "" and all(len(code) == 32 for code in (first, lossy, broken))


def test_pixels_tell_what_is_shown_and_not_how_it_is_stored(files):
    lossy, first, copy, denser, channels, off, shape, *unreadable = image_hashes(files, "pixels", 2)
    assert first == copy == denser == channels
    assert len({first, lossy, off, shape}) == 4 and unreadable == ["", "", ""]


@pytest.mark.parametrize("content", ["bytes", "pixels"])
def test_phantoms_are_told_apart_by_what_they_show(content):
    first, again, other = image_hashes(["phantom:0:3", "phantom:0:3", "phantom:1:3"], content)
    assert first == again != other


def test_another_kind_of_hash_is_refused():
    with pytest.raises(ValueError, match="content is 'meaning', expected 'bytes' or 'pixels'"):
        image_hashes([], "meaning")


def test_the_723_real_x_rays_are_all_different(nih_sample):
    paths = sorted(map(str, (nih_sample / "images").glob("*.png")))
    assert len(set(image_hashes(paths, "bytes", 2))) == len(set(image_hashes(paths, "pixels", 2))) == len(paths) == 723


# What runs were trained on


@pytest.fixture
def recorded(tmp_path):
    """Splits of two runs, which differ in whether c was trained on."""
    paths = {}
    for run, split in (("one", "train val test"), ("other", "train val train")):
        paths[run] = tmp_path / f"{run}.csv"
        save_split(table(list("abc"), split.split()), paths[run])
    return paths


def test_images_and_patients_that_a_run_was_trained_on_are_told(recorded, caplog):
    held = table(list("abc"), ["test"] * 3)
    check_unseen(held.take(np.array([1])), recorded, "images")
    with pytest.raises(ValueError, match=r"other was trained on 1 patients of the images to score, the first \['c'\]"):
        check_unseen(held.take(np.array([2])), recorded, "images to score")
    moved = table(list("zza"), ["test"] * 3).take(np.array([2]))  # another image of patient a
    with pytest.raises(ValueError, match=r"one was trained on .* the first \['a'\] .*one\.csv\); .*--data\.leaks warn"):
        check_unseen(moved, recorded, "images")
    check_unseen(moved, recorded, "images", "warn")
    assert [record.message.split()[0] for record in caplog.records] == ["one", "other"]
    renamed = table(["x", "y", "z"], ["test"] * 3)  # the same images, told to be of other patients
    with pytest.raises(ValueError, match=r"one was trained on 1 patients of the images, the first \['x'\]"):
        check_unseen(renamed, recorded, "images")


def test_images_of_a_run_on_several_sources_are_found_in_one_source_and_in_others(tmp_path):
    ours, theirs = table(list("ab"), ["train", "test"]), table(list("bc"), ["train", "val"])
    save_split(combine({"ours": ours, "theirs": theirs}), tmp_path / "several.csv")
    recorded = {"run": tmp_path / "several.csv"}
    held = combine({"ours": ours, "theirs": theirs})
    check_unseen(held.take((held.images.split != "train").to_numpy()), recorded, "images")  # b of ours is not theirs
    for other in (ours, theirs, combine({"renamed": ours})):
        with pytest.raises(ValueError, match="run was trained on 1 patients of the images"):
            check_unseen(other.take(np.array([0])), recorded, "images")
    check_unseen(theirs.take(np.array([1])), recorded, "images")
    save_split(ours, tmp_path / "one.csv")
    with pytest.raises(ValueError, match=r"one was trained on 1 patients of the images, the first \['hospital:a'\]"):
        check_unseen(combine({"hospital": ours}), {"one": tmp_path / "one.csv"}, "images")


def test_runs_with_other_validation_images_are_told_apart(recorded, tmp_path):
    check_same_validation(recorded)
    check_same_validation({})
    save_split(table(list("abc"), ["val", "val", "test"]), tmp_path / "third.csv")
    with pytest.raises(ValueError, match=r"one and third have other validation images: 1 are only in one, .* \['i0'\]"):
        check_same_validation({**recorded, "third": tmp_path / "third.csv"})
