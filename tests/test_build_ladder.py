"""The rungs of a ladder: which presets, in which order, on which patients."""

from pathlib import Path

import pandas as pd
import pytest

from mlgcn.build import build_table
from mlgcn.build.ladder import check_rungs, common_settings, rung_names, with_one_split, without_graph
from mlgcn.config import compose_config, config_from_dict, config_to_dict, preset_names, preset_published

PHANTOMS = ["--data.source", "phantom", "--data.options.images", "60"]


def small(*presets, more=()):
    return {name: compose_config([name], [*PHANTOMS, *more]) for name in presets}


def test_presets_of_a_pattern_climb_by_their_published_figures_and_those_without_come_last():
    steps = rung_names(["seo2023/*"])
    rungs = list(steps)
    assert set(rungs) == {name for name in preset_names() if name.startswith("seo2023/")} - {"seo2023/base"}
    figures = [preset_published(name).split()[1] for name in rungs if preset_published(name) != "none"]
    assert figures == sorted(figures) and len(figures) == 6
    assert rungs[6:] == ["seo2023/identity_graph", "seo2023/no_graph", "seo2023/one_wide_expert"]
    assert [name for name, is_step in steps.items() if is_step] == rungs[:6]


def test_presets_that_are_named_stay_in_their_order_and_may_be_bases(tmp_path):
    own = str(tmp_path / "own.yaml")
    Path(own).write_text("base: seo2023/full")
    named = ["seo2023/full", own, "seo2023/base"]
    assert list(rung_names(named).items()) == [(name, True) for name in named]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["sea2023/*"], r"no preset is named like 'sea2023/\*'"),
        (["seo2023/full", "seo2023/full"], r"the presets \['seo2023/full'\] are named more than once"),
        (["seo2023/full", "seo2023/f*"], r"the presets \['seo2023/full'\] are named more than once"),
    ],
)
def test_a_pattern_without_presets_and_a_preset_named_twice_are_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        rung_names(asked)


def test_all_rungs_get_the_split_of_the_first_whatever_their_seeds(tmp_path):
    path = tmp_path / "ladder" / "split.csv"
    configs = small("seo2023/full", "seo2023/no_graph")
    made = with_one_split(configs, path)
    written = path.read_text()
    assert [config.data.split for config in made.values()] == [str(path)] * 2
    expected = build_table(configs["seo2023/full"]).table.images
    pd.testing.assert_series_equal(pd.read_csv(path).split, expected.split, check_index=False, check_dtype=False)
    other_seed = with_one_split(small("seo2023/no_graph", more=["--run.seed", "5"]), path)["seo2023/no_graph"]
    assert path.read_text() == written
    assert build_table(other_seed).table.images.split.tolist() == expected.split.tolist()


def test_a_split_that_is_named_stays(tmp_path):
    path = tmp_path / "split.csv"
    configs = small("seo2023/full", more=["--data.split", "mine.csv"])
    assert with_one_split(configs, path) == configs and not path.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"data": {"options": {"images": 61}}},
            r"^other and seo2023/full differ in data\.options, so that they",
        ),
        ({"data": {"unreadable": "skip"}}, r"differ in data\.unreadable"),
        ({"evaluation": {"merge_views": True}}, r"differ in whether they score studies"),
        ({"fusion": {"views": 2}}, r"differ in whether they score studies"),
        ({"run": {"seed": 4}}, r"^other: the section run is the ladder's own; its folder is --out, its seeds are"),
        ({"model": {"init": "gone"}}, r"^other: model\.init is gone, which is not there; train it first"),
        ({"loss": {"hard_from": "gone"}}, r"^other: loss\.hard_from is gone, which is not there"),
    ],
)
def test_what_would_spoil_the_ladder_is_told_before_anything_is_trained(settings, message):
    configs = small("seo2023/full")
    check_rungs(configs | {"other": configs["seo2023/full"]})
    held = config_to_dict(configs["seo2023/full"])
    for section, values in settings.items():
        held[section] |= values
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        check_rungs(configs | {"other": config_from_dict(held)})


def test_the_rung_without_a_graph_is_the_first_with_linear_classifiers():
    assert without_graph(small("seo2023/full", "seo2023/no_graph")) == "seo2023/no_graph"
    assert without_graph(small("seo2023/full", "seo2023/identity_graph")) is None


def test_common_settings_are_those_in_which_all_agree():
    configs = small("seo2023/full", "seo2023/no_graph")
    common = common_settings(list(configs.values()))
    for name, config in configs.items():
        held = config_to_dict(config)
        assert all(held[section][key] == value for section, part in common.items() for key, value in part.items()), name
    assert "variant" not in common["graph"] and common["model"]["experts"] == 4
    lacking = {
        f"{section}.{key}" for section, part in held.items() for key in part if key not in common.get(section, {})
    }
    assert lacking == {"graph.variant"}
