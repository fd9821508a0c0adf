"""Other resolutions of an image, against a search through all that there are."""

from hypothesis import given
from hypothesis import strategies as st

from mlgcn.data.resolutions import side_near


@given(
    size=st.integers(32, 1100), share=st.sampled_from([0.75, 1.25, 1.0]), multiple=st.sampled_from([1, 14, 16, 24, 224])
)
def test_a_side_is_the_nearest_multiple_of_both(size, share, multiple):
    all_of_them = [side for side in range(1, 2 * size + 1400) if side % 32 == 0 and side % multiple == 0]
    found = side_near(size, share, multiple)
    assert found in all_of_them
    assert abs(found - share * size) == min(abs(side - share * size) for side in all_of_them)
