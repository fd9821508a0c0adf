import torch
from hypothesis import given
from hypothesis import strategies as st

from mlgcn.data.batch import Sample, collate


def sample(row, images=1, unreadable=()):
    """Images of one grey level, the row, whose views are 0, 1, 2, 0, ..."""
    pixels = torch.full((images, 1, 3, 3), row, dtype=torch.uint8)
    return Sample(pixels, torch.tensor([row, float("nan")]), row, torch.arange(images) % 3, unreadable)


def test_samples_become_a_batch_in_their_order():
    batch = collate([sample(5), sample(2), sample(9)])
    assert batch.images.shape == (3, 1, 3, 3) and batch.images.dtype == torch.uint8
    assert batch.images[:, 0, 0, 0].tolist() == batch.targets[:, 0].tolist() == batch.rows.tolist() == [5, 2, 9]
    assert batch.targets.dtype == torch.float32 and batch.targets[:, 1].isnan().all()
    assert batch.rows.dtype == torch.int64 and batch.unreadable == ()
    assert batch.views.tolist() == [0, 0, 0] and batch.views.dtype == torch.int64
    assert batch.slots is None


def test_unreadable_images_are_left_out_with_their_targets_and_named():
    batch = collate([sample(5), sample(2, 0, ("b.png: empty",)), sample(9), sample(1, 0, ("a.png: gone",))])
    assert batch.images[:, 0, 0, 0].tolist() == batch.targets[:, 0].tolist() == batch.rows.tolist() == [5, 9]
    assert len(batch.views) == 2 and batch.slots is None
    assert batch.unreadable == ("b.png: empty", "a.png: gone")


def test_a_batch_of_unreadable_images_is_empty():
    batch = collate([sample(5, 0, ("a",)), sample(2, 0, ("b",))])
    assert len(batch.images) == 0 and batch.images.dtype == torch.uint8
    assert batch.targets.shape == (0, 2) and batch.targets.dtype == torch.float32
    assert batch.rows.shape == batch.views.shape == (0,) and batch.rows.dtype == batch.views.dtype == torch.int64
    assert batch.slots is None
    assert batch.unreadable == ("a", "b")


def test_messages_of_a_study_that_has_other_images_reach_the_batch():
    batch = collate([sample(1, 2, ("a", "b")), sample(2, 0, ("c",)), sample(3, 1, ("d",))])
    assert batch.unreadable == ("a", "b", "c", "d")
    assert batch.rows.tolist() == [1, 3]
    assert batch.slots.tolist() == [[0, 0], [0, 1], [1, 0]]


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_slots_say_of_every_image_its_row_of_the_batch_and_its_place_there(counts):
    batch = collate([sample(row, images) for row, images in enumerate(counts)])
    kept = [row for row, images in enumerate(counts) if images]
    expected = [(place, slot) for place, row in enumerate(kept) for slot in range(counts[row])]
    assert batch.rows.tolist() == batch.targets[:, 0].tolist() == kept
    assert batch.images[:, 0, 0, 0].tolist() == [kept[place] for place, _ in expected]
    assert batch.views.tolist() == [slot % 3 for _, slot in expected]
    if max(counts) <= 1:
        assert batch.slots is None
    else:
        assert list(map(tuple, batch.slots.tolist())) == expected and batch.slots.dtype == torch.int64
