import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.seeding import torch_seed

KEYS = st.lists(st.integers(0, 2**64), min_size=1, max_size=5)


def draws(*key):
    with torch_seed(*key):
        return torch.rand(4).tolist()


@settings(max_examples=30)
@given(key=KEYS)
def test_a_key_names_its_stream_whatever_was_drawn_before(key):
    expected = draws(*key)
    torch.rand(3)
    assert draws(*key) == expected


@pytest.mark.parametrize(
    ("one", "other"), [((0,), (1,)), ((1, 2), (2, 1)), ((0, 3, 5), (0, 3, 6)), ((2**32,), (2**32 + 1,))]
)
def test_other_keys_name_other_streams(one, other):
    assert draws(*one) != draws(*other)


def test_the_global_stream_goes_on_as_if_nothing_had_been_drawn():
    state = torch.get_rng_state()
    with torch_seed(1), torch_seed(2):
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_global_stream_is_given_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="stop"), torch_seed(1):
        torch.rand(5)
        raise RuntimeError("stop")
    assert torch.equal(torch.get_rng_state(), state)


def test_an_inner_stream_does_not_disturb_the_outer_one():
    with torch_seed(1):
        first = torch.rand(2)
        with torch_seed(2):
            torch.rand(7)
        second = torch.rand(2)
    assert [*first.tolist(), *second.tolist()] == draws(1)


def test_a_negative_part_of_a_key_is_refused():
    with pytest.raises(ValueError, match="non-negative"), torch_seed(0, -1):
        pass
