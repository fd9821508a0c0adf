import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn.data.dataset import ImageDataset, UnreadableCount
from mlgcn.data.images import UnreadableImageError
from mlgcn.data.transforms import Augmentation
from mlgcn.labels import VIEWS, LabelTable

VALUES = np.array([[1, np.nan], [0, 1], [1, 0]])


@pytest.fixture
def table(tmp_path):
    """Three images, one of each view and each of one grey level: 10, 20, 30."""
    paths = []
    for level in (10, 20, 30):
        paths.append(str(tmp_path / f"{level}.png"))
        Image.fromarray(np.full((32, 32), level, dtype=np.uint8)).save(paths[-1])
    return LabelTable(VALUES, ["a", "b"], image_id=["x", "y", "z"], path=paths, view=["lateral", "frontal", "unknown"])


@pytest.mark.parametrize("cache", [False, True])
def test_a_row_gives_its_image_and_its_targets(table, cache):
    dataset = ImageDataset(table, 4, cache=cache)
    assert len(dataset) == 3
    for row in (2, 0, 1, 2):
        sample = dataset[row]
        assert sample.row == row and sample.unreadable == ()
        assert torch.equal(sample.images, torch.full((1, 1, 4, 4), 10 * (row + 1), dtype=torch.uint8))
        assert sample.views.tolist() == [VIEWS.index(table.images.view[row])] and sample.views.dtype == torch.int64
        np.testing.assert_array_equal(sample.targets, VALUES[row].astype(np.float32))


@pytest.mark.parametrize("cache", [False, True])
def test_with_an_augmentation_each_draw_of_an_image_is_changed_in_its_own_way(table, cache):
    changing = Augmentation("light", 4, 1)
    dataset, plain = ImageDataset(table, 4, cache, augmentation=changing), ImageDataset(table, 4)
    for draw, row in ((0, 2), (5, 2), (7, 0), (5, 2)):
        sample = dataset[draw * 3 + row]
        assert sample.row == row and torch.equal(sample.images[0], changing(plain[row].images[0], draw, row))
        assert torch.equal(sample.views, plain[row].views)
    assert not torch.equal(dataset[5 * 3 + 2].images, dataset[2].images)


@pytest.mark.parametrize("index", [3, 30, -1])
def test_without_one_an_image_has_one_row(table, index):
    with pytest.raises(IndexError, match=rf"row {index} of 3 images"):
        ImageDataset(table, 4)[index]


def test_a_cached_image_is_read_once(table):
    kept, reread = ImageDataset(table, 4, cache=True), ImageDataset(table, 4)
    assert torch.equal(kept[0].images, reread[0].images)
    Path(table.images.path[0]).unlink()
    assert kept[0].images.unique().tolist() == [10]
    with pytest.raises(UnreadableImageError):
        reread[0]


@pytest.mark.parametrize("cache", [False, True])
def test_an_unreadable_image_stops_and_is_named_unless_it_is_to_be_skipped(table, cache):
    path = table.images.path[1]
    Path(path).write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"20\.png: truncated or no PNG"):
        ImageDataset(table, 4, cache)[1]
    sample = ImageDataset(table, 4, cache, skip_unreadable=True)[1]
    assert sample.images.shape == (0, 1, 4, 4) and sample.images.dtype == torch.uint8 and len(sample.views) == 0
    assert sample.row == 1 and sample.targets.tolist() == [0, 1]
    (message,) = sample.unreadable
    assert message.startswith(f"{path}: ")


def test_soft_labels_are_handed_on_only_where_asked(table):
    values = np.array([[1, 0.25], [0, np.nan], [0.5, 0]])
    table = LabelTable(values, ["a", "b"], image_id=["x", "y", "z"], path=table.images.path, soft=True)
    np.testing.assert_array_equal(ImageDataset(table, 4, soft=True).targets, values.astype(np.float32))
    np.testing.assert_array_equal(ImageDataset(table, 4).targets, [[1, np.nan], [0, np.nan], [np.nan, 0]])


def test_every_unreadable_image_is_logged_once_and_counted_each_time(caplog):
    count = UnreadableCount()
    with caplog.at_level(logging.WARNING):
        for messages in (("b: empty", "a: gone"), (), ("a: gone",), ("c: cut", "a: gone")):
            count.add(messages)
    assert [record.getMessage() for record in caplog.records] == [
        "skipped: b: empty",
        "skipped: a: gone",
        "skipped: c: cut",
    ]
    assert count.messages == ["b: empty", "a: gone", "c: cut"]
    assert count.seen == {"b: empty": 1, "a: gone": 3, "c: cut": 1}
