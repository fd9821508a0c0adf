"""The page on data sets names every reader with every option that it has."""

import inspect
import re
from pathlib import Path

import pytest

from mlgcn.data.sources import SOURCES

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
ROWS = {row[0].strip(" `"): row for row in (line.strip("|").split("|") for line in PAGE.splitlines() if "|" in line)}


@pytest.mark.parametrize("name", SOURCES)
def test_a_reader_stands_there_with_its_options(name):
    parameters = inspect.signature(SOURCES[name]).parameters.values()
    options = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert set(re.findall(r"`(\w+)`", ROWS[name][3])) == options


def test_every_row_is_a_reader():
    assert {name for name in ROWS if re.fullmatch(r"[a-z_0-9]+", name)} == set(SOURCES)
