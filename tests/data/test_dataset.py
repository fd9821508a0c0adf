import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn.data.dataset import ImageDataset, UnreadableCount
from mlgcn.data.images import UnreadableImageError
from mlgcn.labels import LabelTable

VALUES = np.array([[1, np.nan], [0, 1], [1, 0]])


@pytest.fixture
def table(tmp_path):
    """Three images, each of one grey level: 10, 20, 30."""
    paths = []
    for level in (10, 20, 30):
        paths.append(str(tmp_path / f"{level}.png"))
        Image.fromarray(np.full((8, 8), level, dtype=np.uint8)).save(paths[-1])
    return LabelTable(VALUES, ["a", "b"], image_id=["x", "y", "z"], path=paths)


@pytest.mark.parametrize("cache", [False, True])
def test_a_row_gives_its_image_and_its_targets(table, cache):
    dataset = ImageDataset(table, 4, cache=cache)
    assert len(dataset) == 3
    for row in (2, 0, 1, 2):
        sample = dataset[row]
        assert sample.row == row and sample.error == ""
        assert torch.equal(sample.image, torch.full((1, 4, 4), 10 * (row + 1), dtype=torch.uint8))
        np.testing.assert_array_equal(sample.targets, VALUES[row].astype(np.float32))


def test_a_cached_image_is_read_once(table):
    kept, reread = ImageDataset(table, 4, cache=True), ImageDataset(table, 4)
    assert torch.equal(kept[0].image, reread[0].image)
    Path(table.images.path[0]).unlink()
    assert kept[0].image.unique().tolist() == [10]
    with pytest.raises(UnreadableImageError):
        reread[0]


@pytest.mark.parametrize("cache", [False, True])
def test_an_unreadable_image_stops_and_is_named_unless_it_is_to_be_skipped(table, cache):
    path = table.images.path[1]
    Path(path).write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"20\.png: truncated or no PNG or JPEG image"):
        ImageDataset(table, 4, cache)[1]
    sample = ImageDataset(table, 4, cache, skip_unreadable=True)[1]
    assert sample.image is None and sample.row == 1 and sample.targets.tolist() == [0, 1]
    assert sample.error.startswith(f"{path}: ")


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
