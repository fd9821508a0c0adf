import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.predictions import Predictions

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
ODD = st.sampled_from(["007", "1.0", "1e5", "NA", "nan", "None", "TRUE", " padded ", 'a "b", c', "ü/ß", "#1", "'x"])
SUFFIXES = [".parquet", ".csv"]


def some(images=3, names=("Opacity", "Pleural Other/Thickening"), seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"{i:03d}" for i in range(images)]
    table = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": "frontal"})
    shape = (images, len(names))
    return Predictions(table, names, rng.uniform(size=shape), rng.choice([0, 1, np.nan], size=shape))


def assert_same(found, expected):
    pd.testing.assert_frame_equal(found.images, expected.images)
    assert found.names == expected.names
    assert found.scores.dtype == found.targets.dtype == np.float32
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.targets, expected.targets)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_file_gives_back_exactly_what_was_written(suffix, tmp_path_factory, data):
    rows = data.draw(st.lists(st.tuples(ODD | TEXT, ODD | TEXT, ODD | TEXT), unique_by=lambda row: row[0], max_size=6))
    names = data.draw(st.lists(ODD | TEXT, min_size=1, max_size=4, unique=True))
    cells = st.lists(st.floats(0, 1, width=32), min_size=len(names), max_size=len(names))
    scores = np.array([data.draw(cells) for _ in rows], dtype=np.float32).reshape(len(rows), len(names))
    targets = np.resize(np.array([0, 1, np.nan], dtype=np.float32), scores.shape)
    images = pd.DataFrame(rows, columns=["image_id", "patient_id", "study_id"], dtype=object).assign(view="lateral")
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


def test_repeated_columns_are_refused(tmp_path):
    table = some().table()
    pd.concat([table, table[["score/Opacity"]]], axis=1).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(ValueError, match=r"columns repeat: \['score/Opacity'\]"):
        Predictions.read(tmp_path / "p.csv")


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
    with pytest.raises(FileNotFoundError):
        Predictions.read(tmp_path / "none.csv")


def test_shapes_and_names_must_fit():
    images = some().images
    with pytest.raises(ValueError, match=r"scores have shape \(3, 1\), expected \(3 images, 2 labels\)"):
        Predictions(images, ["a", "b"], np.zeros((3, 1)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"label names repeat: \['a'\]"):
        Predictions(images, ["a", "a"], np.zeros((3, 2)), np.zeros((3, 2)))
