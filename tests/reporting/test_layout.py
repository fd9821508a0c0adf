import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers
from matplotlib import style as plot_style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlgcn.reporting.layout import beside, closeness, fitted, near_positions, shared_area, text_width


def overlaps(centres, sizes):
    """Pairs of boxes that overlap by more than a point in both directions, one by one."""
    return [
        (i, j)
        for i in range(len(centres))
        for j in range(i)
        if all(abs(centres[i][k] - centres[j][k]) < (sizes[i][k] + sizes[j][k]) / 2 - 1 for k in (0, 1))
    ]


def test_closeness_is_the_larger_of_both_directions_and_0_where_nothing_tells():
    conditional = np.array([[1, 0.2, np.nan], [0.7, 1, 0.1], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(closeness(conditional), [[0, 0.7, 0], [0.7, 0, 0.1], [0, 0.1, 0]])


@given(seed=integers(0, 99))
@settings(max_examples=20)
def test_labels_that_come_together_stand_near(seed):
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(np.repeat([0, 1, 2], 4))
    together = (cluster[:, None] == cluster) & ~np.eye(12, dtype=bool)
    points = near_positions(np.where(together, 0.9, 0.05))
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    assert distance[together].max() < distance[cluster[:, None] != cluster].min()
    assert np.abs(points).max() == pytest.approx(1)


@given(seed=integers(0, 99), size=integers(3, 12))
@settings(max_examples=30)
def test_positions_are_a_minimum_of_the_weighted_stress(seed, size):
    rng = np.random.default_rng(seed)
    similarity = np.triu(rng.uniform(0, 0.9, size=(size, size)), k=1)
    similarity += similarity.T
    points = near_positions(similarity)

    def stress(places):
        """At the scale that suits the places best."""
        pairs = [(1.05 - similarity[i, j], np.hypot(*(places[i] - places[j]))) for i in range(size) for j in range(i)]
        scale = sum(found / wanted for wanted, found in pairs) / sum((found / wanted) ** 2 for wanted, found in pairs)
        return sum((scale * found / wanted - 1) ** 2 for wanted, found in pairs)

    moved = [points + rng.normal(scale=0.05, size=points.shape) for _ in range(10)]
    assert stress(points) < min(map(stress, moved)) + 1e-3  # of a flat valley it may stop short


@pytest.mark.parametrize("size", [1, 2, 3])
def test_few_labels_and_labels_without_any_relation_have_positions_of_their_own(size):
    points = near_positions(np.zeros((size, size)))
    assert len({tuple(point) for point in points.tolist()}) == size and np.isfinite(points).all()


@given(seed=integers(0, 999), size=integers(1, 25))
@settings(max_examples=50)
def test_boxes_stay_in_the_room_and_part(seed, size):
    rng = np.random.default_rng(seed)
    points, sizes = rng.uniform(-1, 1, size=(size, 2)), rng.uniform([20, 10], [120, 40], size=(size, 2))
    points[: size // 3] = points[0]  # of the same place
    centres = fitted(points, sizes, (900, 700))
    assert (centres >= sizes / 2 - 1e-9).all() and (centres <= [900, 700] - sizes / 2 + 1e-9).all()
    assert not overlaps(centres, sizes)


def test_boxes_that_have_room_stay_where_they_are():
    sizes = np.full((3, 2), 10.0)
    centres = fitted(np.array([[-1, -1], [0, 0], [1, 0.5]]), sizes, (110, 210))
    np.testing.assert_allclose(centres, [[5, 5], [55, 105], [105, 155]])


@given(seed=integers(0, 999), size=integers(1, 40))
@settings(max_examples=30)
def test_a_name_said_to_be_free_overlaps_neither_a_point_nor_a_name_before_it(seed, size):
    rng = np.random.default_rng(seed)
    room = np.array([400.0, 300.0])
    points, sizes = rng.uniform([60, 20], room - [60, 20], size=(size, 2)), rng.uniform([20, 8], [90, 10], (size, 2))
    centres, free = beside(points, 3.0, sizes, room)
    marks = np.full((size, 2), 6.0)
    for i in np.flatnonzero(free):
        assert (centres[i] >= sizes[i] / 2).all() and (centres[i] <= room - sizes[i] / 2).all()
        for others, extents in ((points, marks), (centres[:i], sizes[:i])):
            apart = np.abs(others - centres[i]) >= (extents + sizes[i]) / 2 - 1e-9
            assert apart.any(axis=1).all()


def test_a_lonely_point_has_its_name_close_to_its_right():
    centres, free = beside(np.array([[100.0, 50.0]]), 3.0, np.array([[40.0, 8.0]]), np.array([200.0, 100.0]))
    np.testing.assert_allclose(centres, [[126, 50]])
    assert free.all()


def test_the_shared_area_adds_up_over_all_boxes():
    taken = np.array([[0, 0, 2, 2], [1, 1, 5, 5], [9, 9, 10, 10]])
    np.testing.assert_allclose(shared_area(np.array([[1.0, 1.0], [7.0, 7.0]]), np.array([2.0, 2.0]), taken), [4 + 1, 0])


def test_the_width_of_a_text_is_that_of_its_drawing():
    renderer = FigureCanvasAgg(figure := Figure(dpi=720)).get_renderer()
    with plot_style.context("default"):
        for name in ("Pleural Effusion", "i", r"a \$ b\$"):
            drawn = figure.text(0, 0, name, fontsize=9).get_window_extent(renderer).width / 10
            assert text_width(name, 9) == pytest.approx(drawn, abs=1)
