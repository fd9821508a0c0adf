"""View codes: frontal, lateral, or not known."""

import logging

import pytest

from mlgcn.data.views import CODES, views


@pytest.mark.parametrize(
    ("code", "view"),
    [
        ("PA", "frontal"), ("AP", "frontal"), ("AP AXIAL", "frontal"), ("PA LLD", "frontal"),
        ("AP_horizontal", "frontal"),
        ("LATERAL", "lateral"), ("LL", "lateral"), ("L", "lateral"),
        ("XTABLE LATERAL", "lateral"), (" lateral ", "lateral"),
        ("", "unknown"), ("LAO", "unknown"), ("RPO", "unknown"), ("UNK", "unknown"), ("EXCLUDE", "unknown"),
    ],
)  # fmt: skip
def test_a_code_has_its_view(code, view):
    assert views([code]) == [view]


def test_every_code_stands_under_one_view():
    codes = [code for group in CODES.values() for code in group]
    assert len(set(codes)) == len(codes) and codes == [code.lower().strip() for code in codes]


def test_the_second_codes_decide_where_the_first_say_nothing():
    assert views(["PA", "", "LAO", ""], ["lateral", "lateral", "", ""]) == ["frontal", "lateral", "unknown", "unknown"]


def test_a_strange_code_is_unknown_and_named(caplog):
    with caplog.at_level(logging.WARNING):
        assert views(["PA", "Sitting", "sitting"]) == ["frontal", "unknown", "unknown"]
    assert "taken for unknown: 'sitting' (2)" in caplog.text
