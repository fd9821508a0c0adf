"""Studies: their labels, which of their images are taken and in which order."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mlgcn.data.images import UnreadableImageError
from mlgcn.data.studies import StudyDataset, study_table
from mlgcn.data.transforms import Augmentation
from mlgcn.labels import IMAGE_COLUMNS, VIEWS, LabelTable

NAN = np.nan
SIZE = 32
IMAGES = st.lists(st.tuples(st.sampled_from(["a1", "a2", "b1", "c1"]), st.sampled_from(VIEWS)), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve images whose grey level is their number."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(12):
        Image.fromarray(np.full((SIZE, SIZE), number, dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def table_of(studies, views, values=None, folder=Path("x"), seed=0, **columns):
    """A table of images of these studies and views, with shuffled ids; a study's first letter is its patient."""
    ids = [f"{i:02d}" for i in np.random.default_rng(seed).permutation(len(studies))]
    values = np.zeros((len(studies), 1)) if values is None else np.array(values)
    paths = [str(folder / f"{number}.png") for number in range(len(studies))]
    columns = {"patient_id": [study[0] for study in studies], "split": "train", **columns}
    names = [f"label {i}" for i in range(values.shape[1])]
    return LabelTable(values, names, image_id=ids, path=paths, study_id=studies, view=views, **columns)


def in_order(table, study):
    """Rows of a study's images: frontal, lateral, unknown; then by image id."""
    images = table.images
    rows = [row for row in range(len(table)) if images.study_id[row] == study]
    return sorted(rows, key=lambda row: (VIEWS.index(images.view[row]), images.image_id[row]))


def numbers(sample):
    """The number of every image, read off its pixels."""
    return sample.images[:, 0, 0, 0].tolist()


# The table of studies


def merged(values):
    """The rule in its own words."""
    if 1 in values:
        return 1
    if soft := [value for value in values if 0 < value < 1]:
        return max(soft)
    return 0 if 0 in values else NAN


@given(images=IMAGES, data=st.data())
def test_a_study_has_one_row_with_the_labels_of_its_images_merged(images, data):
    studies, views = [study for study, _ in images], [view for _, view in images]
    values = [[data.draw(st.sampled_from([0, 1, 0.25, 0.5, NAN])) for _ in range(3)] for _ in images]
    table = table_of(studies, views, values, seed=data.draw(st.integers(0, 9)), soft=True)
    found = study_table(table)
    assert found.soft and found.names == table.names
    assert found.images.study_id.tolist() == list(dict.fromkeys(studies))
    for row, study in enumerate(found.images.study_id):
        rows = in_order(table, study)
        own = {views[i] for i in rows}
        expected = {
            "image_id": study,
            "path": table.images.path[rows[0]],
            "patient_id": study[0],
            "study_id": study,
            "view": own.pop() if len(own) == 1 else "unknown",
            "split": "train",
        }
        assert found.images.loc[row].to_dict() == expected
        np.testing.assert_array_equal(found.values[row], [merged([values[i][c] for i in rows]) for c in range(3)])


def test_images_that_are_studies_of_their_own_stay_as_they_are():
    table = LabelTable([[1.0], [NAN], [0.0]], ["a"], image_id=["z", "x", "y"], path=["1", "2", "3"], view="lateral")
    found = study_table(table)
    np.testing.assert_array_equal(found.values, table.values)
    assert found.images[list(IMAGE_COLUMNS)].equals(table.images[list(IMAGE_COLUMNS)]) and not found.soft


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"patient_id": ["p", "q", "p", "r"]}, r"study 's' has several of patient_id: \['p', 'r'\], expected one"),
        ({"split": ["val", "val", "val", "train"]}, r"study 's' has several of split: \['train', 'val'\], expected"),
    ],
)
def test_a_study_of_several_patients_or_splits_is_named(columns, message):
    table = table_of(["s", "t", "s", "s"], "frontal", **columns)
    with pytest.raises(ValueError, match=message):
        study_table(table)


def test_a_table_without_images_has_no_studies():
    with pytest.raises(ValueError, match="the table has no images"):
        StudyDataset(table_of([], [], np.empty((0, 1))), SIZE)


# Its images


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=IMAGES, most=st.integers(1, 5), seed=st.integers(0, 9))
def test_a_study_gives_its_first_images_in_the_order_of_view_and_name(folder, images, most, seed):
    table = table_of([study for study, _ in images], [view for _, view in images], folder=folder, seed=seed)
    dataset = StudyDataset(table, SIZE, most)
    assert len(dataset) == len({study for study, _ in images})
    for row, sample in enumerate(dataset):
        rows = in_order(table, dataset.table.images.study_id[row])[:most]
        assert sample.row == row and numbers(sample) == rows and sample.unreadable == ()
        assert sample.images.shape[1:] == (1, SIZE, SIZE) and sample.images.dtype == torch.uint8
        assert sample.views.tolist() == [VIEWS.index(table.images.view[i]) for i in rows]


def test_targets_are_those_of_the_study_and_soft_only_where_asked(folder):
    table = table_of(["s", "s", "t"], "frontal", [[0.5, 0], [0, 1], [NAN, 0.25]], folder, soft=True)
    soft, hard = StudyDataset(table, SIZE, soft=True), StudyDataset(table, SIZE)
    np.testing.assert_array_equal([sample.targets for sample in soft], [[0.5, 1], [NAN, 0.25]])
    np.testing.assert_array_equal([sample.targets for sample in hard], [[NAN, 1], [NAN, NAN]])


MANY = ["s"] * 5 + ["t"] * 2 + ["u"]


def in_training(folder, **options):
    nothing = Augmentation("none", SIZE, 0)
    return StudyDataset(table_of(MANY, "frontal", folder=folder), SIZE, 3, augmentation=nothing, **options)


def test_in_training_the_images_of_a_draw_follow_from_seed_draw_and_row_alone(folder):
    dataset, again = in_training(folder, seed=4), in_training(folder, seed=4)
    asked = [draw * len(dataset) + row for draw in (0, 7) for row in range(3)]
    drawn = {index: numbers(dataset[index]) for index in asked}
    assert {index: numbers(again[index]) for index in reversed(asked)} == drawn
    assert [dataset[index].row for index in asked] == [0, 1, 2, 0, 1, 2]

    def of_study(seed, draws):
        return [numbers(in_training(folder, seed=seed)[draw * 3]) for draw in draws]

    assert len(set(map(tuple, of_study(4, range(20))))) > 5
    assert of_study(5, range(20)) != of_study(4, range(20))


def test_in_training_every_image_is_as_likely_in_every_place(folder):
    dataset, draws = in_training(folder, cache=True), 600
    places = {row: Counter() for row in range(3)}
    for index in range(3 * draws):
        sample = dataset[index]
        found = numbers(sample)
        assert len(set(found)) == len(found) == min(3, MANY.count("stu"[sample.row]))
        places[sample.row].update(enumerate(found))
    for row, own in enumerate(([0, 1, 2, 3, 4], [5, 6], [7])):
        taken = range(min(3, len(own)))
        assert set(places[row]) == {(place, number) for place in taken for number in own}
        share = 1 / len(own)  # within five standard deviations
        spread = 5 * (draws * share * (1 - share)) ** 0.5
        assert all(abs(count - draws * share) <= spread for count in places[row].values())


def test_a_cached_image_is_read_once(tmp_path):
    Image.fromarray(np.full((SIZE, SIZE), 3, dtype=np.uint8)).save(tmp_path / "0.png")
    table = table_of(["s"], ["frontal"], folder=tmp_path)
    kept, reread = StudyDataset(table, SIZE, cache=True), StudyDataset(table, SIZE)
    assert numbers(kept[0]) == numbers(reread[0]) == [3]
    (tmp_path / "0.png").unlink()
    assert numbers(kept[0]) == [3]
    with pytest.raises(UnreadableImageError, match=r"0\.png"):
        reread[0]


# Unreadable images


@pytest.fixture
def damaged(folder, tmp_path):
    """A table of studies of three and two images; images 0, 3 and 4 cannot be read, so none of the second study."""
    for number in range(5):
        content = (folder / f"{number}.png").read_bytes()
        (tmp_path / f"{number}.png").write_bytes(b"broken" if number in (0, 3, 4) else content)
    return table_of(["s", "s", "s", "t", "t"], ["frontal", "lateral", "unknown", "frontal", "lateral"], folder=tmp_path)


def files(messages):
    return [Path(message.split(": ")[0]).name for message in messages]


@pytest.mark.parametrize(("views", "left"), [(1, [1]), (2, [1, 2]), (4, [1, 2])])
def test_the_next_image_of_a_study_stands_in_for_one_that_cannot_be_read(damaged, views, left):
    sample = StudyDataset(damaged, SIZE, views, skip_unreadable=True)[0]
    assert numbers(sample) == sample.views.tolist() == left
    assert files(sample.unreadable) == ["0.png"]


def test_a_study_none_of_whose_images_can_be_read_has_none(damaged):
    sample = StudyDataset(damaged, SIZE, skip_unreadable=True)[1]
    assert sample.images.shape == (0, 1, SIZE, SIZE) and sample.images.dtype == torch.uint8
    assert len(sample.views) == 0 and sample.row == 1
    assert files(sample.unreadable) == ["3.png", "4.png"]


def test_an_unreadable_image_stops_unless_it_is_to_be_skipped_or_not_needed(damaged):
    with pytest.raises(UnreadableImageError, match=r"0\.png: truncated"):
        StudyDataset(damaged, SIZE)[0]
    healthy = damaged.take(np.array([1, 2, 3]))
    assert numbers(StudyDataset(healthy, SIZE)[0]) == [1, 2]


# Bad input


@pytest.mark.parametrize("views", [0, -1])
def test_a_study_has_room_for_an_image_at_least(folder, views):
    with pytest.raises(ValueError, match=f"views is {views}, expected at least 1"):
        StudyDataset(table_of(["s"], ["frontal"], folder=folder), SIZE, views)


@pytest.mark.parametrize("index", [3, 4, 30, -1])
def test_outside_of_training_a_study_has_one_row(folder, index):
    with pytest.raises(IndexError, match=rf"row {index} of 3 studies"):
        StudyDataset(table_of(MANY, "frontal", folder=folder), SIZE)[index]
