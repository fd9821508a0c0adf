import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.studies import study_table
from mlgcn.labels import VIEWS, LabelTable
from mlgcn.predictions import Predictions

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
ODD = st.sampled_from(["007", "1.0", "1e5", "NA", "nan", "None", "TRUE", " padded ", 'a "b", c', "ü/ß", "#1", "'x"])
SUFFIXES = [".parquet", ".csv"]


def some(images=3, names=("Opacity", "Pleural Other/Thickening"), seed=0, spread=False):
    rng = np.random.default_rng(seed)
    ids = [f"{i:03d}" for i in range(images)]
    table = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": "frontal"})
    shape = (images, len(names))
    scores, targets = rng.uniform(size=shape), rng.choice([0, 1, np.nan], size=shape)
    return Predictions(table, names, scores, targets, rng.uniform(0, 0.5, size=shape) if spread else None)


def assert_same(found, expected):
    pd.testing.assert_frame_equal(found.images, expected.images)
    assert found.names == expected.names
    assert found.scores.dtype == found.targets.dtype == np.float32
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.targets, expected.targets)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40)
@given(data=st.data())
def test_a_file_gives_back_exactly_what_was_written(suffix, tmp_path_factory, data):
    row = st.tuples(ODD | TEXT, ODD | TEXT, ODD | TEXT, ODD | TEXT | st.just(""))
    rows = data.draw(st.lists(row, unique_by=lambda row: row[0], min_size=1, max_size=6))
    names = data.draw(st.lists(ODD | TEXT, min_size=1, max_size=4, unique=True))
    cells = st.lists(st.floats(0, 1, width=32), min_size=len(names), max_size=len(names))
    scores = np.array([data.draw(cells) for _ in rows], dtype=np.float32).reshape(len(rows), len(names))
    targets = np.resize(np.array([0, 1, np.nan], dtype=np.float32), scores.shape)
    images = pd.DataFrame(rows, columns=["image_id", "patient_id", "study_id", "hospital"], dtype=object)
    images.insert(3, "view", "lateral")
    written = Predictions(images, names, scores, targets)
    path = tmp_path_factory.mktemp("predictions") / f"file{suffix}"
    written.write(path)
    assert_same(Predictions.read(path), written)


def test_the_columns_are_the_documented_ones(tmp_path):
    some().write(tmp_path / "new folder" / "p.csv")
    header = (tmp_path / "new folder" / "p.csv").read_text().splitlines()[0].split(",")
    assert header[:5] == ["image_id", "patient_id", "study_id", "view", "score/Opacity"]
    assert header[5:] == ["score/Pleural Other/Thickening", "target/Opacity", "target/Pleural Other/Thickening"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_any_known_target_is_read(tmp_path, suffix):
    unlabelled = some()
    unlabelled.targets[:] = np.nan
    unlabelled.write(tmp_path / f"p{suffix}")
    assert np.isnan(Predictions.read(tmp_path / f"p{suffix}").targets).all()


def test_columns_in_another_order_and_a_byte_order_mark_are_read(tmp_path):
    table = some().table()
    table[table.columns[::-1]].to_csv(tmp_path / "p.csv", index=False, encoding="utf-8-sig")
    assert_same(Predictions.read(tmp_path / "p.csv").aligned(some().names), some())


def test_aligned_moves_scores_and_targets_with_their_names():
    aligned = some().aligned(["Pleural Other/Thickening", "Opacity"])
    np.testing.assert_array_equal(aligned.scores, some().scores[:, ::-1])
    np.testing.assert_array_equal(aligned.targets, some().targets[:, ::-1])
    with pytest.raises(ValueError, match=r"lacks \['Edema'\] and has the unexpected \['Opacity'\]"):
        some().aligned(["Pleural Other/Thickening", "Edema"])


CHANGES = [
    ("image_id", 2, "000", r"column 'image_id', row 2: '000' occurs a second time"),
    ("patient_id", 1, "", r"column 'patient_id', row 1: '', expected text"),
    ("view", 1, "PA", r"column 'view', row 1: 'PA', expected one of \['frontal', 'lateral', 'unknown'\]"),
    ("score/Opacity", 1, "1.5", r"column 'score/Opacity', row 1 \(image '001'\): 1.5, expected a number in \[0, 1\]"),
    ("score/Opacity", 0, "", r"column 'score/Opacity', row 0 .* nan"),
    ("score/Opacity", 0, "inf", r"column 'score/Opacity', row 0 .* inf"),
    ("score/Opacity", 2, "high", r"column 'score/Opacity', row 2: 'high', expected a number"),
    ("target/Opacity", 2, "-1", r"column 'target/Opacity', row 2 .* -1.0, expected 0, 1 or blank"),
]


@pytest.mark.parametrize(("column", "row", "value", "message"), CHANGES)
def test_a_wrong_cell_is_named_with_file_column_and_row(tmp_path, column, row, value, message):
    table = some().table().astype(object)
    table.loc[row, column] = value
    table.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(ValueError, match=r"p\.csv: " + message):
        Predictions.read(tmp_path / "p.csv")


def test_a_row_that_is_cut_short_is_named_rather_than_filled_up(tmp_path):
    some().write(tmp_path / "p.csv")
    *lines, last = (tmp_path / "p.csv").read_text().splitlines()
    (tmp_path / "p.csv").write_text("\n".join([*lines, last.rsplit(",", 2)[0]]))
    with pytest.raises(ValueError, match=r"^\S+p\.csv: line 4 has 6 of 8 cells$"):
        Predictions.read(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("study_id", r"columns \['study_id'\] are missing"),
        ("score/Opacity", r"columns \['score/Opacity'\] are missing"),
        ("target/Opacity", r"columns \['target/Opacity'\] are missing"),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_column_is_named(tmp_path, suffix, column, message):
    table, path = some().table().drop(columns=column), tmp_path / f"p{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    with pytest.raises(ValueError, match=rf"p\{suffix}: {message}"):
        Predictions.read(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_images_is_refused(tmp_path, suffix):
    some(images=0).write(tmp_path / f"p{suffix}")
    with pytest.raises(ValueError, match=rf"p\{suffix}: there are no images"):
        Predictions.read(tmp_path / f"p{suffix}")


def test_repeated_columns_are_refused(tmp_path):
    table = some().table()
    pd.concat([table, table[["score/Opacity"]]], axis=1).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(ValueError, match=r"columns repeat: \['score/Opacity'\]"):
        Predictions.read(tmp_path / "p.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_spread_of_the_experts_stands_beside_the_scores_where_it_is_known(tmp_path, suffix):
    written, path = some(spread=True), tmp_path / f"p{suffix}"
    written.write(path)
    found = Predictions.read(path)
    assert_same(found, written)
    assert found.spreads.dtype == np.float32
    np.testing.assert_array_equal(found.spreads, written.spreads)
    np.testing.assert_array_equal(found.aligned(written.names[::-1]).spreads, written.spreads[:, ::-1])
    assert list(written.table().columns[-2:]) == ["spread/Opacity", "spread/Pleural Other/Thickening"]
    some().write(path)
    assert Predictions.read(path).spreads is None and some().aligned(written.names[::-1]).spreads is None


def test_arrays_may_hold_spreads(tmp_path):
    made = some(spread=True)
    np.savez(tmp_path / "p.npz", scores=made.scores, targets=made.targets, spreads=made.spreads)
    np.testing.assert_array_equal(Predictions.read(tmp_path / "p.npz").spreads, made.spreads)


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_a_spread_that_is_none_is_named(wrong):
    made = some(spread=True)
    made.spreads[1, 0] = wrong
    with pytest.raises(ValueError, match=r"column 'spread/Opacity', row 1 \(image '001'\): .* expected a number >= 0"):
        Predictions(made.images, made.names, made.scores, made.targets, made.spreads)
    with pytest.raises(ValueError, match=r"spreads have shape \(3,\), expected \(3 images, 2 labels\)"):
        Predictions(made.images, made.names, made.scores, made.targets, made.spreads[:, 0])


def test_spreads_are_there_for_every_label_or_for_none(tmp_path):
    some(spread=True).table().drop(columns="spread/Opacity").to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(
        ValueError, match=r"columns \['spread/Opacity'\] are missing; .* and where one has it a spread/"
    ):
        Predictions.read(tmp_path / "p.csv")


def test_the_spread_of_a_study_is_the_weighted_mean_of_its_images():
    made = some(spread=True)
    images = made.images.assign(study_id="s", patient_id="p", view=["frontal", "lateral", "unknown"])
    merged = Predictions(images, made.names, made.scores, made.targets, made.spreads).by_study()
    expected = np.array([7, 3, 5]) / 15 @ made.spreads.astype(np.float64)
    np.testing.assert_allclose(merged.spreads, [expected], rtol=1e-6)


def test_numbers_as_identifiers_are_refused_rather_than_turned_into_text(tmp_path):
    some().table().assign(patient_id=[1, 2, 3]).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ValueError, match=r"column 'patient_id', row 0: 1, expected text"):
        Predictions.read(tmp_path / "p.parquet")


def test_other_kinds_of_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected \.parquet or \.csv"):
        some().write(tmp_path / "p.json")
    (tmp_path / "p.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"p\.parquet: "):
        Predictions.read(tmp_path / "p.parquet")
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(FileNotFoundError, match=rf"there is no file .*{name}"):
            Predictions.read(tmp_path / name)


def test_shapes_and_names_must_fit():
    images = some().images
    with pytest.raises(ValueError, match=r"scores have shape \(3, 1\), expected \(3 images, 2 labels\)"):
        Predictions(images, ["a", "b"], np.zeros((3, 1)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"label names repeat: \['a'\]"):
        Predictions(images, ["a", "a"], np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="there are no labels"):
        Predictions(images, [], np.zeros((3, 0)), np.zeros((3, 0)))


def test_further_columns_are_kept_as_text_whatever_they_were(tmp_path):
    table = some().table().assign(age=[61, 7, 44], sex=["F", None, "M"], portable=[True, False, True])
    table.to_parquet(tmp_path / "p.parquet")
    found = Predictions.read(tmp_path / "p.parquet").aligned(["Pleural Other/Thickening", "Opacity"])
    assert found.images[["age", "sex", "portable"]].to_dict("list") == {
        "age": ["61", "7", "44"], "sex": ["F", "", "M"], "portable": ["True", "False", "True"],
    }  # fmt: skip
    assert found.by_study().images.age.tolist() == ["61", "7", "44"]


# Studies


def of_studies(studies, views, seed=0, labels=3):
    """Predictions of images of these studies and views; a study's first letter is its patient."""
    ids = [f"{i:03d}" for i in range(len(studies))]
    columns = {"image_id": ids, "patient_id": [s[0] for s in studies], "study_id": studies, "view": views}
    rng, shape = np.random.default_rng(seed), (len(studies), labels)
    names = [f"label {i}" for i in range(labels)]
    return Predictions(pd.DataFrame(columns), names, rng.uniform(size=shape), rng.choice([0, 1, np.nan], size=shape))


@given(
    images=st.lists(st.tuples(st.sampled_from(["a1", "a2", "b1", "c1"]), st.sampled_from(VIEWS)), max_size=9),
    weights=st.lists(st.floats(0.01, 100), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_a_study_has_the_mean_of_its_scores_weighted_by_view(images, weights, seed):
    studies, views = [study for study, _ in images], [view for _, view in images]
    single = of_studies(studies, views, seed)
    merged = single.by_study(dict(zip(VIEWS, weights, strict=True)))
    assert merged.images.study_id.tolist() == merged.images.image_id.tolist() == list(dict.fromkeys(studies))
    assert merged.images.patient_id.tolist() == [study[0] for study in merged.images.study_id]
    assert merged.names == single.names
    for row, study in enumerate(merged.images.study_id):
        rows = [i for i, name in enumerate(studies) if name == study]
        own = {views[i] for i in rows}
        assert merged.images.view[row] == (own.pop() if len(own) == 1 else "unknown")
        of_rows = [weights[VIEWS.index(views[i])] for i in rows]
        expected = sum(w * single.scores[i].astype(np.float64) for w, i in zip(of_rows, rows, strict=True))
        np.testing.assert_allclose(merged.scores[row], expected / sum(of_rows), rtol=1e-6)
        for label, target in enumerate(merged.targets[row]):
            known = [single.targets[i, label] for i in rows if single.targets[i, label] >= 0]
            np.testing.assert_equal(target, max(known) if known else np.nan)


def test_frontal_images_weigh_7_lateral_3_and_unknown_5_unless_told_otherwise():
    single = of_studies(["a", "a", "a"], list(VIEWS))
    frontal, lateral, unknown = single.scores.astype(np.float64)
    np.testing.assert_allclose(single.by_study().scores[0], (7 * frontal + 3 * lateral + 5 * unknown) / 15, rtol=1e-6)


def test_a_view_without_weight_does_not_count():
    single = of_studies(["a", "b", "a"], ["lateral", "frontal", "frontal"])
    np.testing.assert_array_equal(single.by_study({"frontal": 2, "lateral": 0}).scores, single.scores[[2, 1]])


def test_certain_scores_stay_in_range():
    single = of_studies(["a"] * 7 + ["b"], [*VIEWS, *VIEWS, "lateral", "unknown"])
    single.scores[:] = 1
    assert (single.by_study({"frontal": 0.1, "lateral": 0.3, "unknown": 0.7}).scores == 1).all()


def test_studies_of_predictions_are_those_of_the_table():
    single = of_studies(["b1", "a1", "b1", "a2", "a1"], ["lateral", "frontal", "lateral", "unknown", "lateral"])
    columns = {column: single.images[column] for column in single.images}
    studies, merged = study_table(LabelTable(single.targets, single.names, **columns)), single.by_study()
    pd.testing.assert_frame_equal(merged.images, studies.images[list(merged.images.columns)])
    np.testing.assert_array_equal(merged.targets, studies.values)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"frontal": 7, "lateral": -3, "unknown": 5}, r"weights are .*-3.*, expected numbers >= 0, one of them > 0"),
        ({"frontal": 7, "lateral": np.nan, "unknown": 5}, r"weights are .*nan.*, expected numbers >= 0"),
        ({"frontal": np.inf, "lateral": 3, "unknown": 5}, r"weights are .*inf.*, expected numbers >= 0"),
        (dict.fromkeys(VIEWS, 0), r"weights are .*, expected numbers >= 0, one of them > 0"),
        ({}, r"weights are \{\}, expected"),
        ({"frontal": 7, "latteral": 3}, r"unknown view 'latteral'; did you mean 'lateral'\?"),
        ({"frontal": 7, "unknown": 5}, r"column 'view', row 1: 'lateral', expected one of \['frontal', 'unknown'\]"),
        ({"frontal": 7, "lateral": 0}, r"no image of study 'b' has a weight > 0"),
    ],
)
def test_weights_that_make_no_mean_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        of_studies(["a", "b", "a"], ["frontal", "lateral", "lateral"]).by_study(weights)


def test_a_study_of_two_patients_is_named():
    single = of_studies(["a", "b", "b"], ["frontal"] * 3)
    single.images.loc[2, "patient_id"] = "z"
    with pytest.raises(ValueError, match=r"study 'b' has several of patient_id: \['b', 'z'\], expected one"):
        single.by_study()
