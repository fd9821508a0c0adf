"""From the configuration to the labels of a run: one data set or several."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlgcn.build import build_sampler, build_table, full_options
from mlgcn.data.samplers import MixtureSampler
from mlgcn.data.sources.table import write_label_csv
from mlgcn.data.splits import save_split
from mlgcn.labels import LabelTable

IMAGES = 30


@pytest.fixture
def hospital(tmp_path):
    """Writes a table of labels, every image a patient of its own."""

    def write(name="hospital", labels=("Effusion", "Mass"), seed=0, split=None, **columns):
        rng = np.random.default_rng(seed)
        (tmp_path / name).mkdir()
        values = pd.DataFrame(rng.integers(0, 2, size=(IMAGES, len(labels))), columns=list(labels))
        rows = pd.DataFrame({"path": [f"{i}.png" for i in range(IMAGES)], **columns})
        if split:
            rows["split"] = [split[i % len(split)] for i in range(IMAGES)]
        pd.concat([rows, values], axis=1).to_csv(tmp_path / name / "labels.csv", index=False)
        return {"source": "table", "root": str(tmp_path / name)}

    return write


def test_one_data_set_keeps_its_identifiers_and_labels(tiny_config):
    built = build_table(tiny_config())
    assert len(built.table) == 96 and set(built.table.images.split) == {"train", "val", "test"}
    assert "seed 0" in built.method and built.table.images.image_id[0] == "phantom-0-000000"
    again, other = build_table(tiny_config()).table, build_table(tiny_config(run={"seed": 1})).table
    assert again.images.equals(built.table.images) and not other.images.split.equals(built.table.images.split)


def test_a_table_may_stay_undivided(tiny_config):
    assert set(build_table(tiny_config(), divide=False).table.images.split) == {""}


def test_other_data_sets_are_for_training_and_have_the_labels_of_the_first(tiny_config, hospital):
    main = hospital(labels=("Pleural Effusion", "Hernia", "Mass"))
    extra = hospital("extra", labels=("Effusion", "Nodule"), seed=1)
    config = tiny_config(data={"options": {}, "sources": [main, {**extra, "name": "extra"}]})
    table = build_table(config).table
    assert table.names == ("Pleural Effusion", "Hernia", "Mass") and len(table) == 2 * IMAGES
    own = table.images.image_id.str.startswith("table:")
    assert set(table.images.split[own]) == {"train", "val", "test"} and set(table.images.split[~own]) == {"train"}
    external = table.take((~own).to_numpy())
    written = pd.read_csv(f"{extra['root']}/labels.csv")
    np.testing.assert_array_equal(external.values[:, 0], written.Effusion)
    assert np.isnan(external.values[:, 1:]).all()


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("auto", {"train": 10}),
        ("train", {"train": 10}),
        ("all", {"train": 30}),
        ("split", {"train": 10, "val": 10, "test": 10}),
    ],
)
def test_a_data_set_with_a_split_is_used_as_it_is_said(tiny_config, hospital, use, expected):
    extra = {**hospital("extra", split=["train", "val", "test"]), "name": "extra", "use": use}
    table = build_table(tiny_config(data={"options": {}, "sources": [hospital(), extra]})).table
    part = table.images[table.images.image_id.str.startswith("extra:")]
    assert part.split.value_counts().to_dict() == expected


def test_images_held_out_in_one_data_set_are_not_trained_on_in_another(tiny_config, hospital, caplog):
    main = hospital(split=["train", "val", "test"])
    again = {**main, "name": "again", "use": "all"}  # the same files
    with pytest.raises(ValueError, match=r"20 of table and again, .*\(val of table, train of again\)"):
        build_table(tiny_config(data={"options": {}, "sources": [main, again]}))
    warned = tiny_config(data={"options": {}, "sources": [main, again], "leaks": "warn"})
    assert len(build_table(warned).table) == 2 * IMAGES and "20 of table and again" in caplog.text
    build_table(tiny_config(data={"options": {}, "sources": [main, {**again, "use": "train"}]}))


def test_a_prepared_folder_has_the_images_of_the_data_set_it_was_made_of(tiny_config, hospital):
    sources = [hospital(), {**hospital("extra"), "name": "extra"}]
    config = tiny_config(data={"options": {}, "sources": sources})
    build_table(config)  # 0.png of one hospital is not that of another
    for one in sources:
        Path(one["root"], "prepare.json").write_text(json.dumps({"source": "mimic_cxr_jpg"}))
    with pytest.raises(ValueError, match="images are in more than one split"):
        build_table(config)


@pytest.mark.parametrize(("absent", "expected"), [("negative", 0), (0.1, 0.1), ("unknown", np.nan)])
def test_labels_that_a_data_set_lacks_are_what_is_said(tiny_config, hospital, absent, expected):
    extra = {**hospital("extra", labels=("Effusion",)), "name": "extra", "absent": absent}
    table = build_table(tiny_config(data={"options": {}, "sources": [hospital(), extra]})).table
    np.testing.assert_array_equal(table.values[IMAGES:, 1], np.full(IMAGES, expected, dtype=np.float32))
    assert not np.isnan(table.values[:, 0]).any() and not np.isnan(table.values[:IMAGES]).any()


def test_labels_are_mapped_onto_a_space_and_views_and_splits_are_picked(tiny_config, hospital, tmp_path):
    settings = hospital(labels=("Effusion", "Nodule"), view=["frontal", "lateral", "unknown"] * 10)
    config = tiny_config(data={**settings, "options": {}, "labels": "nih", "views": ["frontal", "unknown"]})
    built = build_table(config)
    assert "Effusion" in built.table.names and len(built.table.names) > 13 and len(built.table) == 20
    assert set(built.table.images.view) == {"frontal", "unknown"}
    moved = built.table.with_split(["test", *["val"] * 9, *["train"] * 10])
    save_split(moved, tmp_path / "split.csv")
    again = build_table(tiny_config(data={**config_data(config), "split": str(tmp_path / "split.csv")}))
    assert again.table.images.split.tolist() == moved.images.split.tolist() and "split.csv" in again.method


def test_a_split_of_the_whole_data_set_may_be_given_for_some_of_its_views(tiny_config, hospital, tmp_path):
    settings = hospital(view=["frontal", "lateral", "unknown"] * 10)
    whole = build_table(tiny_config(data={**settings, "options": {}})).table
    save_split(whole, tmp_path / "split.csv")
    data = {**settings, "options": {}, "views": ["frontal"], "split": str(tmp_path / "split.csv")}
    frontal = build_table(tiny_config(data=data)).table
    expected = whole.take((whole.images.view == "frontal").to_numpy())
    assert len(frontal) == 10 and frontal.images.split.tolist() == expected.images.split.tolist()


def config_data(config):
    return {"source": "table", "root": config.data.root, "options": {}, "labels": "nih", "views": config.data.views}


def test_unknown_values_are_filled_from_a_file(tiny_config, hospital, tmp_path):
    extra = {**hospital("extra", labels=("Effusion",)), "name": "extra", "pseudo_labels": str(tmp_path / "p.csv")}
    ids = [f"{i}.png" for i in range(IMAGES)]
    write_label_csv(
        LabelTable(np.full((IMAGES, 2), 0.25), ["Mass", "Effusion"], image_id=ids, soft=True), tmp_path / "p.csv"
    )
    table = build_table(tiny_config(data={"options": {}, "sources": [hospital(), extra]})).table
    assert (table.values[IMAGES:, 1] == 0.25).all() and not (table.values[IMAGES:, 0] == 0.25).any()
    assert np.isnan(table.certain[IMAGES:, 1]).all()


def test_the_record_holds_the_whole_policy(tiny_config, hospital, tmp_path):
    built = build_table(tiny_config(data={**hospital(), "options": {"uncertain": "positive"}, "labels": "nih"}))
    built.save_sources(tmp_path / "sources.json")
    record = json.loads((tmp_path / "sources.json").read_text())["table"]
    assert record["options"]["uncertain"] == "positive" and record["options"]["blank"] == "unknown"
    assert record["labels"]["Effusion"] == {"Effusion": "same"} and record["labels"]["Hernia"] == {}
    assert record["images"] == {"read": IMAGES, "used": IMAGES}


def test_the_record_holds_the_policy_that_was_applied_when_the_images_were_prepared(tiny_config, hospital, tmp_path):
    settings = hospital()
    assert build_table(tiny_config(data={**settings, "options": {}})).sources["table"]["prepared"] is None
    written = {"size": 64, "source": "chexpert", "options": {"uncertain": "positive"}, "labels_sha256": "0"}
    (tmp_path / "hospital" / "prepare.json").write_text(json.dumps(written))
    for root in ("hospital", "hospital/labels.csv"):  # a folder or the file in it
        built = build_table(tiny_config(data={**settings, "root": str(tmp_path / root), "options": {}}))
        assert built.sources["table"]["prepared"] == {"source": "chexpert", "options": {"uncertain": "positive"}}


@pytest.mark.parametrize("content", ["", "5", "[]"])
def test_a_record_of_preparing_that_is_damaged_is_refused(tiny_config, hospital, tmp_path, content):
    settings = hospital()
    (tmp_path / "hospital" / "prepare.json").write_text(content)
    with pytest.raises(ValueError, match=r"prepare\.json: not as mlgcn prepare writes it"):
        build_table(tiny_config(data={**settings, "options": {}}))


def test_defaults_of_a_reader_are_written_out(tiny_config):
    assert full_options(tiny_config().data) == {"images": 96, "seed": 0}


def test_relative_roots_stand_in_the_folder_of_all(tiny_config, hospital, tmp_path):
    hospital(), hospital("extra")
    sources = [{"source": "table", "root": "hospital"}, {"source": "table", "root": "extra", "name": "extra"}]
    built = build_table(tiny_config(data={"options": {}, "root": str(tmp_path), "sources": sources}))
    assert len(built.table) == 2 * IMAGES and built.sources["extra"]["root"] == str(tmp_path / "extra")


def test_weights_give_each_data_set_its_share(tiny_config, hospital):
    sources = [{**hospital(), "weight": 3}, {**hospital("extra"), "name": "extra", "weight": 1}]
    config = tiny_config(data={"options": {}, "sources": sources}, sampler={"num_samples": 40})
    train = build_table(config).table.split("train")
    sampler = build_sampler(config, train)
    assert isinstance(sampler, MixtureSampler)
    drawn = train.images.image_id.iloc[list(sampler)]
    assert drawn.str.startswith("extra:").sum() == 10


def test_a_record_fits_again_where_unlabelled_held_out_images_were_left_out(tiny_config, hospital, tmp_path):
    settings = hospital(split=["train"] * 4 + ["val", "test"])
    rows = pd.read_csv(f"{settings['root']}/labels.csv", dtype=str)
    rows.loc[rows.split == "val", ["Effusion", "Mass"]] = ""
    rows.to_csv(f"{settings['root']}/labels.csv", index=False)
    config = tiny_config(data={**settings, "options": {}})
    built = build_table(config)
    assert len(built.table) == 25 and "val, of which no label is known, is left out" in built.method
    save_split(built.table, tmp_path / "split.csv")
    again = build_table(config, tmp_path / "split.csv")
    assert again.table.images.equals(built.table.images)
    assert len(build_table(config, divide=False).table) == IMAGES


def test_the_recorded_split_decides(tiny_config, tmp_path):
    built = build_table(tiny_config())
    save_split(built.table, tmp_path / "split.csv")
    again = build_table(tiny_config(run={"seed": 5}), tmp_path / "split.csv")
    assert again.table.images.equals(built.table.images) and again.method == "as recorded in split.csv"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sources": [{"source": "table", "weight": -1}]}, "weight of a data source must be >= 0, got -1"),
        ({"sources": [{"source": "table"}, {"source": "table"}]}, r"the names \['table'\] repeat"),
        ({"sources": [{"source": "table"}], "pseudo_labels": "x"}, "data.sources stands in place of data.options and"),
        ({"sources": [{"source": "table", "weight": 0}]}, "every weight that is given is 0"),
        ({"views": []}, "data.views is empty"),
        ({"views": ["front"]}, "front"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tiny_config, data, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(data={"options": {}, **data})


def test_a_weight_that_only_one_data_set_has_is_refused(tiny_config, hospital):
    sources = [hospital(), {**hospital("extra"), "name": "extra", "weight": 1}]
    with pytest.raises(ValueError, match=r"data.sources: \['table'\] have no weight while others have one"):
        tiny_config(data={"options": {}, "sources": sources})


def test_labels_of_which_none_is_known_elsewhere_are_refused(tiny_config, hospital):
    with pytest.raises(ValueError, match="no label of table is among those to map onto"):
        build_table(tiny_config(data={**hospital(labels=("Kidney Stone",)), "options": {}, "labels": "nih"}))
