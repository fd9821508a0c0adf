"""Preparing a data set: what is written, what is left alone, and how it goes on after an interruption."""

import hashlib
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlgcn import cli
from mlgcn.data.images import read_image
from mlgcn.data.prepare import Settings, prepare, read_manifest, run
from mlgcn.data.prepare.one_image import new_path
from mlgcn.data.sources import read_source
from mlgcn.labels import LabelTable

SMALL = Settings(size=32, format="png")


@pytest.fixture
def originals(tmp_path):
    """Eleven phantoms as files, their identifiers unlike their paths; two are broken."""
    folder = tmp_path / "originals"
    folder.mkdir()
    for number in range(11):
        grey = read_image(f"phantom:0:{number}", 64)[0].numpy()
        Image.fromarray(255 - grey if number == 4 else grey).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:300])
    (folder / "8.png").write_bytes(b"")
    return folder


@pytest.fixture
def table(originals):
    values = np.random.default_rng(0).choice([0, 1, np.nan, 0.1, 1 / 3], size=(11, 3))
    return LabelTable(
        values,
        ["Mass", "Lung Opacity", 'a "quoted", label'],
        image_id=[f"p1{number % 2}/s{number}/image.dcm" for number in range(11)],
        path=[str(originals / f"{number}.png") for number in range(11)],
        patient_id=[f"0{number % 2}" for number in range(11)],
        study_id=[f"s{number}" for number in range(11)],
        view=["frontal", "lateral", "unknown"] * 3 + ["frontal"] * 2,
        split=["train"] * 6 + ["val"] * 2 + ["test"] * 2 + [""],
        soft=True,
    )


def contents(folder):
    """Every file below a folder, by its name there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def readable(table):
    return table.take(np.array([row for row in range(len(table)) if row not in (3, 8)]))


# What is written


def test_images_are_resized_and_labels_are_read_back_by_the_table_source(tmp_path, table):
    report = prepare(table, tmp_path / "out", SMALL)
    assert (report.written, report.before) == (9, 0)
    found, expected = read_source("table", tmp_path / "out", soft=True), readable(table)
    assert found.names == table.names and found.soft
    np.testing.assert_array_equal(found.values, expected.values)
    columns = ["image_id", "patient_id", "study_id", "view", "split"]
    pd.testing.assert_frame_equal(found.images[columns], expected.images[columns])
    for new, old in zip(found.images.path, expected.images.path, strict=True):
        with Image.open(new) as image:
            assert image.mode == "L" and image.size == (32, 32)
            np.testing.assert_array_equal(np.asarray(image), read_image(old, 32)[0])


@pytest.mark.parametrize("resample", ["antialias", "area"])
def test_a_jpeg_is_grey_and_near_to_the_resized_image(tmp_path, table, resample):
    prepare(readable(table), tmp_path / "out", Settings(40, resample, "jpeg"))
    for new, old in zip(read_source("table", tmp_path / "out", soft=True).images.path, readable(table).images.path,
                        strict=True):  # fmt: skip
        with Image.open(new) as image:
            assert image.format == "JPEG" and image.mode == "L" and image.size == (40, 40)
            np.testing.assert_allclose(np.asarray(image, dtype=int), read_image(old, 40, resample)[0].int(), atol=12)


def test_the_manifest_tells_size_hash_and_the_originals_time(tmp_path, table):
    prepare(table, tmp_path / "out", SMALL)
    manifest = read_manifest(tmp_path / "out")
    assert manifest.image_id.tolist() == readable(table).images.image_id.tolist()
    for row, source in zip(manifest.itertuples(), readable(table).images.path, strict=True):
        content = (tmp_path / "out" / row.path).read_bytes()
        assert row.source == source and int(row.source_size) == os.stat(source).st_size
        assert int(row.source_mtime_ns) == os.stat(source).st_mtime_ns
        assert int(row.size) == len(content) and row.sha256 == hashlib.sha256(content).hexdigest()


def test_unreadable_images_are_listed_and_the_others_go_on(tmp_path, table):
    report = prepare(table, tmp_path / "out", SMALL)
    listed = pd.read_csv(tmp_path / "out" / "unreadable.csv")
    assert listed.image_id.tolist() == ["p11/s3/image.dcm", "p10/s8/image.dcm"]
    assert listed.source.tolist() == [table.images.path[3], table.images.path[8]]
    assert "truncated" in listed.reason[0] and "the file is empty" in listed.reason[1]
    assert [entry.image_id for entry in report.unreadable] == listed.image_id.tolist()


def test_a_wrong_range_is_told_and_stops_nothing(tmp_path, table):
    report = prepare(table, tmp_path / "out", SMALL)
    assert report.ranges == {"inverted": 1}
    manifest = read_manifest(tmp_path / "out")
    assert manifest.image_id[manifest.range != ""].tolist() == ["p10/s4/image.dcm"]


def test_the_originals_stay_as_they_were(tmp_path, originals, table):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in originals.rglob("*")}
    prepare(table, tmp_path / "out", SMALL, originals=[originals])
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in originals.rglob("*")} == before


def test_different_identifiers_lead_to_different_files_that_stay_in_the_folder():
    names = ["a", "A", "a.jpg", "a/b", "a%2Fb", "a//b", "a/%/b", "../a", "..", "%2E%2E/a", "./a", "/a", "ä", "a b",
             "a\\b", "a\nb", "x" * 300, "x" * 301, "%", "", "a/", "con:1"]  # fmt: skip
    paths = [new_path(name, Settings()) for name in names]
    assert len(set(paths)) == len(names)
    for path in paths:
        assert path.startswith("images/") and path.endswith(".jpg") and path.isprintable()
        assert not {"", ".", ".."} & set(path.split("/")) and max(map(len, path.split("/"))) < 255
    assert new_path("p10/s5/view 1.dcm", SMALL) == "images/p10/s5/view 1.dcm.png"


# Going on, and sharing the work


def test_a_second_run_writes_only_what_is_missing_damaged_or_changed(tmp_path, originals, table):
    out = tmp_path / "out"
    prepare(table, out, SMALL)
    first, paths = contents(out), read_manifest(out).path
    (out / paths[0]).unlink()
    damaged = bytearray((out / paths[2]).read_bytes())
    damaged[-20] ^= 1
    (out / paths[2]).write_bytes(damaged)
    os.utime(originals / "6.png", ns=(0, 10**18))
    kept = [name for name in paths if name not in {paths[0], paths[2], new_path("p10/s6/image.dcm", SMALL)}]
    times = {name: (out / name).stat().st_mtime_ns for name in kept}
    report = prepare(table, out, SMALL)
    assert (report.written, report.before) == (3, 6)
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == times
    second = contents(out)
    assert {name for name in first if first[name] != second[name]} == {"manifest.csv"}  # the new time of change
    assert first.keys() == second.keys()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("disk full")])
def test_an_interrupted_run_leaves_no_half_file_and_goes_on(tmp_path, table, monkeypatch, stop):
    out, whole = tmp_path / "out", tmp_path / "whole"
    prepare(table, whole, SMALL)
    done = []

    def interrupt(number, total):
        done.append(number)
        if number == 5:
            raise stop

    with pytest.raises(type(stop) if isinstance(stop, Exception) else stop):
        prepare(table, out, SMALL, progress=interrupt)
    assert done == [1, 2, 3, 4, 5] and not (out / "labels.csv").exists()
    # Killed while it wrote a row and an image.
    with (out / "manifest.partial.csv").open("a") as file:
        file.write("p11/s9/image.dcm,images/p1")
    unfinished = out / "images" / "p10" / "s10"
    unfinished.mkdir(exist_ok=True, parents=True)
    (unfinished / ".image.dcm.png.half").write_bytes(b"half")
    report = prepare(table, out, SMALL)
    assert report.before == 4 and report.written == 5  # of the first five, one is unreadable
    assert contents(out) == contents(whole)


def test_shards_in_one_folder_are_the_same_as_one_run(tmp_path, table):
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    prepare(table, whole, SMALL)
    reports = [prepare(table, parts, SMALL, shard=(number, 2)) for number in (2, 1)]
    assert [report.written for report in reports] == [4, 5]
    found, expected = contents(parts), contents(whole)
    assert {name: found[name] for name in found if "-of-" not in name} == {
        name: expected[name] for name in expected if name not in ("manifest.csv", "unreadable.csv")
    }
    by_id = read_manifest(whole).sort_values("image_id", ignore_index=True)
    pd.testing.assert_frame_equal(read_manifest(parts).sort_values("image_id", ignore_index=True), by_id)
    assert read_source("table", parts, soft=True).images.image_id.tolist() == readable(table).images.image_id.tolist()
    listed = {name for name in found if name.startswith("unreadable")}
    assert listed == {"unreadable-1-of-2.csv", "unreadable-2-of-2.csv"}
    # One run over the parts' folder finds everything done, and leaves what it would have left alone.
    assert prepare(table, parts, SMALL).before == 9
    assert contents(parts) == expected


def test_shards_of_several_machines_are_merged_by_laying_their_folders_together(tmp_path, table):
    merged, whole = tmp_path / "merged", tmp_path / "whole"
    prepare(table, whole, SMALL)
    for number in (2, 3, 1):  # both unreadable images are in part 3 and 1
        prepare(table, tmp_path / str(number), SMALL, shard=(number, 3))
        shutil.copytree(tmp_path / str(number), merged, dirs_exist_ok=True)
    found, expected = contents(merged), contents(whole)
    assert {name: found[name] for name in found if "-of-" not in name} == {
        name: expected[name] for name in expected if name not in ("manifest.csv", "unreadable.csv")
    }
    assert set(read_manifest(merged).image_id) == set(readable(table).images.image_id)
    one, several = (read_source("table", folder, soft=True) for folder in (whole, merged))
    assert several.images.image_id.tolist() == readable(table).images.image_id.tolist()
    np.testing.assert_array_equal(several.values, readable(table).values)
    np.testing.assert_array_equal(several.values, one.values)


def test_the_table_source_counts_what_it_leaves_out_and_only_in_prepared_folders(tmp_path, table, caplog):
    caplog.set_level("INFO")
    prepare(table, tmp_path / "out", SMALL)
    assert len(read_source("table", tmp_path / "out", soft=True)) == 9
    assert "2 images left out" in caplog.text
    (tmp_path / "out" / "prepare.json").unlink()
    assert len(read_source("table", tmp_path / "out", soft=True)) == 11


def test_a_part_without_a_readable_image_is_a_part_like_others(tmp_path, table):
    for number in range(1, 12):
        prepare(table, tmp_path / "out", SMALL, shard=(number, 11))
    assert len(read_manifest(tmp_path / "out")) == len(read_source("table", tmp_path / "out", soft=True)) == 9


def test_an_image_that_another_division_of_the_work_could_read_is_kept(tmp_path, originals, table):
    prepare(table, tmp_path / "out", SMALL, shard=(1, 2))  # both unreadable images are in parts of two: 3 in 2, 8 in 1
    Image.fromarray(read_image("phantom:0:8", 64)[0].numpy()).save(originals / "8.png")
    prepare(table, tmp_path / "out", SMALL, shard=(3, 3))
    names = read_source("table", tmp_path / "out", soft=True).images.image_id.tolist()
    assert table.images.image_id[8] in names and (tmp_path / "out" / "unreadable-1-of-2.csv").exists()


def test_several_processes_write_the_same_as_one(tmp_path, table):
    prepare(table, tmp_path / "one", SMALL)
    report = prepare(table, tmp_path / "two", SMALL, workers=2)
    assert report.written == 9 and len(report.unreadable) == 2
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


# What is refused


def test_a_folder_that_overlaps_the_originals_is_refused(tmp_path, originals, table):
    before = contents(tmp_path)
    for folder in (originals, originals / "new", tmp_path):
        with pytest.raises(ValueError, match="must stand apart from the originals"):
            prepare(table, folder, SMALL, originals=[originals])
        if folder != originals / "new":
            with pytest.raises(ValueError, match=r"holds the original .*0\.png"):
                prepare(table, folder, SMALL)
    with pytest.raises(ValueError, match=r"stands beside the original .*0\.png"):
        prepare(table, originals / "new", SMALL)
    (tmp_path / "link").symlink_to(originals)
    with pytest.raises(ValueError, match="must stand apart"):
        prepare(table, tmp_path / "link" / "new", SMALL, originals=[originals])
    (tmp_path / "link").unlink()
    assert contents(tmp_path) == before


def test_a_folder_of_other_settings_or_of_something_else_is_refused(tmp_path, table):
    prepare(table, tmp_path / "out", SMALL)
    with pytest.raises(ValueError, match=r"was prepared with \{'size': 32.*choose another folder"):
        prepare(table, tmp_path / "out", Settings(64, format="png"))
    before = contents(tmp_path / "out")
    others = LabelTable(1 - table.values, table.names, **dict(table.images.items()), soft=True)
    for other in (others, readable(table)):
        with pytest.raises(ValueError, match=r"was prepared with \{'labels_sha256': .*choose another folder"):
            prepare(other, tmp_path / "out", SMALL)
    with pytest.raises(ValueError, match=r"with \{'source': None\}, not \{'source': 'nih'\}; choose another folder"):
        prepare(table, tmp_path / "out", SMALL, origin={"source": "nih"})
    assert contents(tmp_path / "out") == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "labels.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty and was not made by mlgcn prepare"):
        prepare(table, tmp_path / "other", SMALL)


def test_a_file_that_reads_back_as_another_image_stops_the_run(tmp_path, table, monkeypatch):
    monkeypatch.setattr("mlgcn.data.prepare.one_image.decode_grey", lambda path: np.zeros((32, 32), dtype=np.uint8))
    with pytest.raises(OSError, match="reads back as another image"):
        prepare(table, tmp_path / "out", SMALL)
    assert not [path for path in (tmp_path / "out" / "images").rglob("*.png") if not path.name.startswith(".")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "Expecting"),
        ("[1]", "holds list, expected a mapping"),
        ('{"size": 32}', r"lacks \['labels_sha256'\]"),
    ],
)
def test_a_folder_whose_record_is_damaged_is_refused(tmp_path, table, content, told):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prepare.json").write_text(content)
    with pytest.raises(ValueError, match=rf"prepare\.json: not as mlgcn prepare writes it: {told}"):
        prepare(table, tmp_path / "out", SMALL)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 16}, r"size must be in 32\.\.4096, got 16"),
        ({"resample": "cubic"}, "resample is 'cubic', expected one of"),
        ({"format": "gif"}, r"format is 'gif', expected one of \['jpeg', 'png'\]"),
    ],
)
def test_other_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


def test_a_shard_or_a_number_of_processes_that_is_none_is_refused(tmp_path, table):
    for shard in ((0, 2), (3, 2)):
        with pytest.raises(ValueError, match=rf"shard is {shard[0]}/{shard[1]}, expected i/n"):
            prepare(table, tmp_path / "out", SMALL, shard=shard)
    with pytest.raises(ValueError, match="workers must be >= 0, got -1"):
        prepare(table, tmp_path / "out", SMALL, workers=-1)


def test_a_worker_that_is_killed_is_told_in_words(tmp_path, table, monkeypatch):
    monkeypatch.setattr(run, "_start_worker", os.abort)
    with pytest.raises(OSError, match="a worker process was killed"):
        prepare(table, tmp_path / "out", SMALL, workers=1)


# The command


def test_the_command_prepares_goes_on_and_says_how_to_train(tmp_path, capsys):
    arguments = ["prepare", "phantom", "--options.images", "12", "--out", str(tmp_path / "out"), "--size", "48",
                 "--workers", "0"]  # fmt: skip
    cli.main(arguments)
    said = capsys.readouterr().out
    assert "12 images written, 0 found finished, 0 unreadable" in said
    assert f"--data.source table --data.root {tmp_path / 'out'} --data.image_size 48" in said
    cli.main(arguments)
    assert "0 images written, 12 found finished" in capsys.readouterr().out
    found, expected = read_source("table", tmp_path / "out"), read_source("phantom", images=12)
    np.testing.assert_array_equal(found.values, expected.values)
    for new, old in zip(found.images.path, expected.images.path, strict=True):
        np.testing.assert_allclose(read_image(new, 48).int(), read_image(old, 48).int(), atol=20)


def test_the_command_takes_a_shard_and_names_unreadable_files(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    Image.fromarray(read_image("phantom:0:1", 64)[0].numpy()).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "labels.csv").write_text("path,Mass\na.png,1\nb.png,0\n")
    for shard, said, then in (
        ("1/2", "1 images written", "still to do: --shard 2/2\nonce all parts lie in one folder"),
        ("2/2", "1 unreadable", "\nto train: --data.source table"),
    ):
        cli.main(["prepare", "table", "--root", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--shard", shard,
                  "--workers", "0"])  # fmt: skip
        out = capsys.readouterr().out
        assert said in out and then in out and ("\nto train:" in out) == (shard == "2/2")
    assert read_source("table", tmp_path / "out").images.path.tolist() == [
        str(tmp_path / "out" / "images" / "a.png.jpg")
    ]


def test_the_command_writes_nowhere_below_the_folder_that_the_images_are_said_to_be_in(tmp_path, capsys):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    Image.fromarray(read_image("phantom:0:1", 64)[0].numpy()).save(tmp_path / "images" / "deep" / "a.png")
    (tmp_path / "labels.csv").write_text("path,Mass\ndeep/a.png,1\n")
    before = contents(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["prepare", "table", "--root", str(tmp_path / "labels.csv"), "--options.images",
                  str(tmp_path / "images"), "--out", str(tmp_path / "images" / "small"), "--workers", "0"])  # fmt: skip
    assert f"must stand apart from the originals in {tmp_path / 'images'}" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_the_command_knows_a_folder_of_images_whose_name_is_a_number(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024").mkdir()
    (tmp_path / "labels.csv").write_text("path,Mass\nphantom:0:1,1\n")
    arguments = ["prepare", "table", "--root", "labels.csv", "--options.images", "2024", "--workers", "0", "--out"]
    with pytest.raises(SystemExit):
        cli.main([*arguments, "2024/small"])
    assert "must stand apart from the originals in 2024" in capsys.readouterr().err
    cli.main([*arguments, "small"])
    assert "images" not in json.loads((tmp_path / "small" / "prepare.json").read_text())["options"]


def test_the_command_records_the_policy_and_writes_labels_as_it_read_them(tmp_path, capsys):
    (tmp_path / "in.csv").write_text("path,Mass,Edema\nphantom:0:1,1,-1\nphantom:0:2,,0\n")

    def run_with(out, *options):
        cli.main(["prepare", "table", "--root", str(tmp_path / "in.csv"), "--out", str(tmp_path / out), "--size", "32",
                  "--workers", "0", *options])  # fmt: skip
        return capsys.readouterr().out

    assert f"--data.root '{tmp_path}/with a blank' " in run_with("with a blank")
    said = run_with("plain")
    assert "as the reader's options made them (uncertain unknown, blank unknown)" in said
    assert "to train: " in said and "soft" not in said
    table = read_source("table", tmp_path / "plain", uncertain=0.5)
    np.testing.assert_array_equal(table.values, [[1, np.nan], [np.nan, 0]])
    recorded = json.loads((tmp_path / "plain" / "prepare.json").read_text())
    assert recorded["source"] == "table" and recorded["options"] == {
        "csv": "labels.csv", "labels": None, "path_column": "path", "uncertain": "unknown", "blank": "unknown",
        "soft": False,
    }  # fmt: skip
    said = run_with("soft", "--options.uncertain", "0.5", "--options.blank", "negative")
    assert "(uncertain 0.5, blank negative)" in said and "--data.options.soft true" in said.splitlines()[-1]
    np.testing.assert_array_equal(read_source("table", tmp_path / "soft", soft=True).values, [[1, 0.5], [0, 0]])
    with pytest.raises(SystemExit):
        run_with("plain", "--options.uncertain", "0.5")
    error = capsys.readouterr().err
    assert "'uncertain': 'unknown'" in error and "choose another folder" in error and error.count("\n") == 1


def test_the_command_checks_a_sample_and_writes_nothing(tmp_path, capsys, originals):
    (originals / "labels.csv").write_text("path,Mass\n" + "".join(f"{number}.png,1\n" for number in range(11)))
    arguments = ["prepare", "table", "--root", str(originals), "--check"]
    before = contents(tmp_path)
    cli.main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 of 11 images are unreadable or look wrong" and len(lines) == 4
    assert "3.png: truncated or damaged PNG" in lines[1] and lines[2].startswith(f"  {originals / '4.png'}: inverted")
    assert "8.png: the file is empty" in lines[3]
    cli.main([*arguments, "1"])
    assert "of 1 images" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        cli.main([*arguments, "--strict"])
    assert stopped.value.code == 2
    assert "--strict: 3 of 11 images are unreadable" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out FOLDER is missing"),
        (["--check", "--out", "somewhere"], "--out has no effect with --check"),
        (["--out", "somewhere", "--strict"], "--strict has no effect without --check"),
        (["--check", "0"], "check"),
    ],
)
def test_options_of_a_check_and_of_the_work_are_not_mixed(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["prepare", "phantom", *arguments])
    assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert not contents(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "3/2"], "--shard is '3/2', expected I/N with I from 1 to N"),
        (["--shard", "half"], "--shard is 'half'"),
        (["--size", "5000"], "size must be in 32..4096, got 5000"),
        (["--format", "gif"], "format"),
        (["--workers", "-1"], "workers"),
        (["--options.imges", "5"], "did you mean 'images'"),
        (["--rsample", "area"], "unknown option '--rsample'; did you mean '--resample'?"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["prepare", "phantom", "--out", str(tmp_path / "out"), *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
