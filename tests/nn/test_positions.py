import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers
from plain_transformer import sines

from mlgcn.nn.positions import kept_places, sine_positions


@given(height=integers(1, 9), width=integers(1, 9), quarter=integers(1, 8))
@settings(max_examples=30)
def test_positions_equal_their_formula(height, width, quarter):
    found = sine_positions(height, width, 4 * quarter)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, sines(height, width, 4 * quarter), atol=1e-5)


def test_no_two_places_of_a_map_have_one_position():
    found = sine_positions(32, 32, 64)  # of an image of 1024 pixels
    assert torch.pdist(found).min() > 0.1


def test_the_first_half_tells_the_row_and_the_second_the_column():
    found = sine_positions(3, 5, 16).view(3, 5, 2, 8)
    assert (found[:, :1, 0] == found[:, :, 0]).all() and (found[:1, :, 1] == found[:, :, 1]).all()
    assert not torch.equal(found[0, 0, 0], found[1, 0, 0]) and not torch.equal(found[0, 0, 1], found[0, 1, 1])


@pytest.mark.parametrize("features", [6, 7, 2])
def test_features_that_do_not_divide_into_rows_and_columns_of_sines_and_cosines_are_refused(features):
    with pytest.raises(ValueError, match=f"features is {features}, expected a multiple of 4"):
        sine_positions(2, 2, features)


def test_kept_places_are_those_of_the_mask_row_by_row():
    mask = torch.tensor([[[True, False, False], [False, True, True]], [[False, False, True], [False, False, False]]])
    found = kept_places(mask, torch.zeros(2, 8, 2, 3))
    assert found.tolist() == [[True, False, False, False, True, True], [False, False, True, False, False, False]]


def test_an_image_whose_mask_is_false_everywhere_is_refused():
    mask = torch.ones(3, 2, 2, dtype=torch.bool)
    mask[1] = False
    with pytest.raises(ValueError, match="no place of image 1 of the batch counts: its mask is false"):
        kept_places(mask, torch.zeros(3, 8, 2, 2))


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (torch.ones(3, 2, 2), r"torch.float32 \(3, 2, 2\)"),
        (torch.ones(3, 4, dtype=torch.bool), r"torch.bool \(3, 4\)"),
        (torch.ones(1, 2, 2, dtype=torch.bool), r"torch.bool \(1, 2, 2\)"),
    ],
)
def test_a_mask_of_another_shape_or_type_is_refused(mask, found):
    with pytest.raises(ValueError, match=rf"mask is {found}, expected torch.bool \(3, 2, 2\)"):
        kept_places(mask, torch.zeros(3, 8, 2, 2))
