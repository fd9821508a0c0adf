"""The pages in docs/losses say what the losses are."""

import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlgcn.config import DataConfig, LossConfig
from mlgcn.losses import LOSSES

DOCS = Path(__file__).parents[2] / "docs"
INDEX = (DOCS / "losses" / "README.md").read_text()
FIGURES = sorted(path.stem for path in (DOCS / "losses").glob("*.svg"))
PAGES = {path.stem: path.read_text() for path in sorted((DOCS / "losses").glob("*.md")) if path.stem != "README"}
# A loss stands on the page of its module; what goes with any loss, on a page of its own.
FAMILIES = {name: kind.__module__.split(".")[-1] for name, kind in LOSSES.items()}
WITH_ANY = {
    "multi_expert": {"over", *(name for name in vars(LossConfig()) if name.startswith("diversity"))},
    "large_loss": {name for name in vars(LossConfig()) if name.startswith("large_loss")},
    "hard_labels": {name for name in vars(LossConfig()) if name.startswith("hard_")},
    "mixing": {"data.mixing", "data.mixing_alpha"},
}
SECTIONS = ["What it changes", "Equation", "When to use it", "Settings", "Source"]


def table(page):
    """The table of settings: by setting, the cells below each heading."""
    lines = page.split("\n## Settings\n")[1].split("\n## ")[0].splitlines()
    heading, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|"))
    headings = [cell.strip("`") for cell in heading[1:-1]]
    return {row[0].strip("`"): dict(zip(headings, row[1:-1], strict=True)) for row in rows}


def own_settings(name):
    """The settings that a loss alone has, with their defaults."""
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    own = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    own |= {"weighted": False} if own.get("class_counts", 0) is None else {}
    return {name: default for name, default in own.items() if name not in ("class_counts", "num_samples", "images")}


def value(text):
    read = yaml.safe_load(text)
    return tuple(read) if isinstance(read, list) else read


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("draw_losses", DOCS / "draw_losses.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn(script, tmp_path_factory):
    """The figures as the command draws them."""
    folder = tmp_path_factory.mktemp("figures")
    script.main(folder)
    return {path.stem: path.read_text() for path in folder.iterdir()}


def test_the_index_lists_every_loss_its_page_and_whether_it_needs_counts():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*?) ?\| \[.*\]\((\w+)\.md\) \|$", INDEX, flags=re.MULTILINE)
    assert [(name, kind, page) for name, kind, _, page in rows] == [
        (name, kind.__name__, FAMILIES[name]) for name, kind in LOSSES.items()
    ]
    for name, _, needs, _ in rows:
        counts = inspect.signature(LOSSES[name]).parameters.get("class_counts")
        expected = "" if counts is None else "yes" if counts.default is counts.empty else "may use them"
        assert needs == expected


def test_every_family_has_a_page_in_the_same_sections():
    assert set(PAGES) == {*FAMILIES.values(), *WITH_ANY}
    for page in PAGES.values():
        assert re.findall(r"^## (.*)$", page, flags=re.MULTILINE) == SECTIONS
        assert all(section.strip() for section in re.split(r"^##? .*$", page, flags=re.MULTILINE)[2:])


@pytest.mark.parametrize("name", LOSSES)
def test_the_page_of_a_loss_tells_its_settings_and_their_defaults(name):
    page, own = PAGES[FAMILIES[name]], own_settings(name)
    told = {setting: cells[name] for setting, cells in table(page).items() if cells.get(name)}
    assert {setting: value(cell) for setting, cell in told.items()} == own
    assert page.count(f"`{name}`") >= 2  # in words too
    assert set(own) <= set(vars(LossConfig()))


@pytest.mark.parametrize("name", WITH_ANY)
def test_the_page_of_what_goes_with_any_loss_tells_its_settings_and_their_defaults(name):
    told = {setting: value(cells["default"]) for setting, cells in table(PAGES[name]).items()}
    configured = vars(LossConfig()) | {f"data.{field}": default for field, default in vars(DataConfig()).items()}
    assert told == {setting: configured[setting] for setting in WITH_ANY[name]}


def test_a_table_of_settings_has_a_column_for_each_loss_of_the_page():
    for name, page in PAGES.items():
        of_page = [loss for loss, family in FAMILIES.items() if family == name and own_settings(loss)]
        columns = next(iter(table(page).values()))
        assert list(columns) == (of_page or ["default"])
        assert all(any(cells.values()) for cells in table(page).values())


def test_every_page_shows_its_figure_and_no_figure_is_left_over(drawn):
    shown = {name: re.findall(r"!\[.+\]\((.*?)\.svg\)", page) for name, page in PAGES.items()}
    assert all(name in of_page for name, of_page in shown.items())
    assert sorted(name for of_page in shown.values() for name in of_page) == sorted(drawn) == FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_are_those_that_the_command_draws(name, drawn):
    kept, fresh = lines_of((DOCS / "losses" / f"{name}.svg").read_text()), lines_of(drawn[name])
    assert len(kept) == len(fresh) > 3
    for old, new in zip(kept, fresh, strict=True):
        # Another version of a library may round otherwise, or place a letter; a line stays where it is.
        np.testing.assert_allclose(old, new, atol=0.05)


def lines_of(svg):
    """The points of everything drawn inside the axes: letters and ticks are not clipped to them."""
    paths = re.findall(r"<path d=\"([^\"]*)\"\s+clip-path", svg)
    return [np.array(re.findall(r"-?\d+\.?\d*", path), dtype=float) for path in paths]


def test_a_figure_is_the_same_on_every_run(script, drawn, tmp_path):
    script.main(tmp_path)
    assert {path.stem: path.read_text() for path in tmp_path.iterdir()} == drawn


def test_in_a_softmax_a_negative_is_pushed_down_the_less_the_higher_the_positive(script):
    others = np.array([-2.0, 2.0])
    z, loss, gradient = script.curves(script.beside(*others), 0.0, 2)
    z = z[:, None].astype(np.float64)
    share = np.exp(z) / (np.exp(z) + np.exp(others))
    np.testing.assert_allclose(gradient, share, rtol=1e-5)
    np.testing.assert_allclose(loss, -np.log(1 - share), rtol=1e-4)
    assert (np.diff(gradient, axis=1) < 0).all()


def test_what_a_figure_is_drawn_for_is_what_its_page_says(script):
    assert f"share of {script.SHARE}," in PAGES["large_loss"]
    assert f"{script.EXPERTS} experts and {script.LABELS} labels" in PAGES["multi_expert"]
    assert "factors of {:g} and {:g}".format(*script.FACTORS) in PAGES["hard_labels"]


def test_every_link_leads_somewhere():
    for page in [INDEX, *PAGES.values()]:
        for target in re.findall(r"\]\(([^)#]+)\)", page):
            assert (DOCS / "losses" / target).is_file(), target
    linked = set(re.findall(r"\((\w+)\.md\)", INDEX))
    assert linked == set(PAGES)
