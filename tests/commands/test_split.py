"""mlgcn split, as it is called: what it writes, what it finds, and the one line that bad input gets."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlgcn.commands import split
from mlgcn.config import config_from_dict, save_config
from mlgcn.data.sources import read_source
from mlgcn.data.splits import recorded_split, save_split, split_by_patient
from mlgcn.labels import SPLITS

NAMES = ["Edema", "[red]Mass[/red]"]


@pytest.fixture
def csv(tmp_path):
    """A file of 120 images of 40 patients, every fifth image lateral, without a split."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.integers(0, 2, (120, 2)), columns=NAMES)
    rows.insert(0, "path", [f"images/{row}.png" for row in range(120)])
    rows["patient_id"] = np.arange(120) // 3
    rows["view"] = np.where(np.arange(120) % 5 == 0, "lateral", "frontal")
    rows.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "labels.csv"


def with_split(csv, name="split.csv", **places):
    """A file with the split of every image: train but for the rows named."""
    saved = pd.DataFrame({"image_id": pd.read_csv(csv).path, "split": "train"})
    for part, rows in places.items():
        saved.loc[rows, "split"] = part
    saved.to_csv(csv.parent / name, index=False)
    return str(csv.parent / name)


def shown(arguments, capsys):
    split.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def refused(arguments, capsys):
    """The line that bad input gets, after exit code 2, and what was printed before."""
    with pytest.raises(SystemExit) as stopped:
        split.main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    streams = capsys.readouterr()
    assert streams.err.count("\n") == 1 and streams.err.startswith("mlgcn split: error: ")
    return streams.err.removeprefix("mlgcn split: error: ").strip(), streams.out


def row(printed, label):
    """The cells of the first line that begins with a label."""
    return next(line for line in printed.splitlines() if line.strip().startswith(label)).split()


def leaks(printed, kind):
    """The cells of the first line on what is in more than one part."""
    return row(printed[printed.index("in more than one part") :], kind)


def test_a_split_is_written_as_a_run_reads_it_and_its_frequencies_are_shown(csv, tmp_path, capsys):
    printed = shown([csv, "--ratios", 6, 2, 2, "--seed", 3, "--out", tmp_path / "out", "--strict"], capsys)
    table = read_source("table", csv)
    made = recorded_split(table, tmp_path / "out" / "split.csv")
    assert made.images.split.equals(split_by_patient(table, (0.6, 0.2, 0.2), 3).images.split)
    assert "120 images; patients 6:2:2, seed 3" in printed
    parts = [made.split(name) for name in SPLITS]
    for at, name in enumerate(NAMES):
        expected = [
            cell
            for part in parts
            for cell in (str((part.values[:, at] == 1).sum()), f"{100 * (part.values[:, at] == 1).mean():.2f}", "%")
        ]
        assert row(printed, name)[1:] == expected
    assert row(printed, "images")[1:] == [str(len(part)) for part in parts]
    assert row(printed, "patients")[1:] == [str(part.images.patient_id.nunique()) for part in parts]


def test_by_default_the_ratio_is_7_1_2_and_the_folder_is_named_after_the_data(csv, monkeypatch, capsys):
    monkeypatch.chdir(csv.parent)
    shown([csv], capsys)
    saved = pd.read_csv("splits/labels/split.csv", dtype=str)
    assert saved.groupby("split").patient_id.nunique().to_dict() == pytest.approx(
        {"train": 28, "val": 4, "test": 8}, abs=2
    )


def test_folds_are_written_one_file_each_and_divided_by_view_where_wanted(csv, tmp_path, capsys):
    printed = shown([csv, "--folds", 4, "--by_view", "--out", tmp_path / "folds"], capsys)
    assert "patients in 4 folds, seed 0, views alike" in printed
    files = [pd.read_csv(tmp_path / "folds" / f"fold-{number}.csv").set_index("image_id") for number in range(4)]
    tested = [set(file.index[file.split == "test"]) for file in files]
    assert len(set.union(*tested)) == sum(map(len, tested)) == 120
    validated = [set(file.index[file.split == "val"]) for file in files]
    assert validated == [*tested[1:], tested[0]]
    for number in range(4):
        images = [line for line in printed.splitlines() if line.strip().startswith("images")]
        assert str(len(tested[number])) in images[number // 3].split()


def test_a_table_of_one_view_is_divided_and_checked_by_itself(csv, tmp_path, capsys):
    file = tmp_path / "frontal.csv"
    assert "96 images" in shown([csv, "--views", "frontal", "--out", file], capsys)
    assert len(pd.read_csv(file)) == 96
    assert "96 images" in shown([csv, "--views", "frontal", "--check", file, "--strict"], capsys)
    assert "the data have 24 images more" in refused([csv, "--check", file], capsys)[0]


def test_a_split_that_leaks_is_told_and_refused_only_when_strict(csv, capsys):
    file = with_split(csv, val=[7, 8], test=list(range(90, 120)))
    printed = shown([csv, "--check", file], capsys)
    assert leaks(printed, "patients")[-4:] == ["train", "and", "val", "1"]
    assert "patients: 2 (train, val)" in printed and "not compared" in printed
    message, printed = refused([csv, "--check", file, "--strict"], capsys)
    assert "--strict: 1 patients in more than one part" in message
    assert "patients: 2 (train, val)" in printed


def test_a_label_that_a_part_lacks_is_refused_when_strict(csv, capsys):
    rows = pd.read_csv(csv)
    rows.loc[102:, NAMES[0]] = 0
    rows.to_csv(csv, index=False)
    file = with_split(csv, val=list(range(90, 102)), test=list(range(102, 120)))
    assert "no positive in test: Edema; their metrics are undefined" in shown([csv, "--check", file], capsys)
    expected = "--strict: no positive in test: Edema; their metrics are undefined"
    assert refused([csv, "--check", file, "--strict"], capsys)[0] == expected


def test_parts_that_may_share_patients_since_none_is_told_are_refused_when_strict(csv, tmp_path, capsys):
    pd.read_csv(csv).drop(columns="patient_id").to_csv(csv, index=False)
    message = refused([csv, "--out", tmp_path / "new.csv", "--strict"], capsys)[0]
    assert message.startswith("--strict: no patient is given") and message.endswith("so parts may share patients")
    assert not (tmp_path / "new.csv").exists()


def test_identical_images_are_found_and_unreadable_ones_told(csv, capsys):
    (csv.parent / "images").mkdir()
    for number in range(119):
        shade = np.full((32, 32), 0 if number == 100 else number + 10, dtype=np.uint8)
        Image.fromarray(shade).save(csv.parent / "images" / f"{number}.png")
    Image.open(csv.parent / "images" / "100.png").save(csv.parent / "images" / "3.png", compress_level=0)
    file = with_split(csv, val=list(range(90, 99)), test=list(range(99, 120)))
    printed = shown([csv, "--check", file, "--hash"], capsys)
    assert leaks(printed, "identical images")[-1] == "none"
    assert "cannot be read: 1 images: images/119.png" in printed
    message, printed = refused([csv, "--check", file, "--hash", "pixels", "--strict"], capsys)
    assert "1 identical images in more than one part; 1 images cannot be read to compare them" in message
    assert leaks(printed, "identical images")[-4:] == ["train", "and", "test", "1"]
    assert "images/3.png = images/100.png (train, test)" in " ".join(printed.split())


def test_the_datas_own_split_is_checked_and_set_aside_where_they_are_divided_anew(csv, tmp_path, capsys):
    assert "has no split of its own: name a file that has one" in refused([csv, "--check"], capsys)[0]
    rows = pd.read_csv(csv).assign(split=["train"] * 60 + [""] * 10 + ["test"] * 50)
    rows.to_csv(csv, index=False)
    printed = shown([csv, "--check"], capsys)
    assert "its own split" in printed and "10 of 120 images are in no part" in printed
    assert row(printed, "images")[1:] == ["60", "50"]
    assert "10 of 120 images are in no part" in refused([csv, "--check", "--strict"], capsys)[0]
    assert "its own split is set aside" in shown([csv, "--out", tmp_path / "new"], capsys)


def test_the_split_of_a_run_is_checked(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    save_config(config_from_dict({"data": {"options": {"images": 60}}}), run / "config.yaml")
    table = split_by_patient(read_source("phantom", images=60))
    moved = table.images.split.tolist()
    patient = table.images.patient_id[table.images.patient_id.duplicated()].iloc[0]
    moved[int(np.flatnonzero(table.images.patient_id == patient)[0])] = "val" if moved[0] != "val" else "test"
    save_split(table.with_split(moved), run / "split.csv")
    assert "60 images" in shown([run, "--check"], capsys)
    assert "is a run, which takes --check and no --data" in refused([run], capsys)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--check", "--folds", "3"], r"['--folds'] have no effect with --check, which divides nothing"),
        (["--ratios", "1", "1", "1", "--folds", "3"], "--ratios and --folds divide in two ways; give one of them"),
        (["--folds", "3", "--out", "a.csv"], "--out: a.csv is one file, expected a folder for 3 folds"),
        (["--folds", "2"], "there are to be 2 folds, expected at least 3"),
        (["--ratios", "0", "1", "1"], "ratios are [0.0, 1.0, 1.0], expected three numbers >= 0"),
        (["--data.root", "."], "--data.root has no effect where a file of labels is named"),
        (["--views", "oblique"], "invalid choice: 'oblique'"),
        (["--ratio", "7"], "unknown option '--ratio'; did you mean '--ratios'?"),
        (["--check", "nowhere.csv"], "there is no file nowhere.csv"),
    ],
)
def test_bad_options_get_one_line(arguments, message, csv, capsys):
    assert message in refused([csv, *arguments], capsys)[0]


def test_what_is_no_data_and_what_is_there_already_get_one_line(csv, tmp_path, capsys):
    assert "unknown data source, file or run 'phantomm'; did you mean 'phantom'?" in refused(["phantomm"], capsys)[0]
    (tmp_path / "split.csv").touch()
    assert "split.csv is there already; remove it or name another" in refused([csv, "--out", tmp_path], capsys)[0]
