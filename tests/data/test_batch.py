import torch

from mlgcn.data.batch import Sample, collate


def sample(row, error=""):
    image = None if error else torch.full((1, 3, 3), row, dtype=torch.uint8)
    return Sample(image, torch.tensor([row, float("nan")]), row, error)


def test_samples_become_a_batch_in_their_order():
    batch = collate([sample(5), sample(2), sample(9)])
    assert batch.images.shape == (3, 1, 3, 3) and batch.images.dtype == torch.uint8
    assert batch.images[:, 0, 0, 0].tolist() == batch.targets[:, 0].tolist() == batch.rows.tolist() == [5, 2, 9]
    assert batch.targets.dtype == torch.float32 and batch.targets[:, 1].isnan().all()
    assert batch.rows.dtype == torch.int64 and batch.unreadable == ()


def test_unreadable_images_are_left_out_with_their_targets_and_named():
    batch = collate([sample(5), sample(2, "b.png: empty"), sample(9), sample(1, "a.png: gone")])
    assert batch.images[:, 0, 0, 0].tolist() == batch.targets[:, 0].tolist() == batch.rows.tolist() == [5, 9]
    assert batch.unreadable == ("b.png: empty", "a.png: gone")


def test_a_batch_of_unreadable_images_is_empty():
    batch = collate([sample(5, "a"), sample(2, "b")])
    assert len(batch.images) == 0 and batch.images.dtype == torch.uint8
    assert batch.targets.shape == (0, 2) and batch.targets.dtype == torch.float32
    assert batch.rows.shape == (0,) and batch.rows.dtype == torch.int64
    assert batch.unreadable == ("a", "b")
