"""The table of a ladder: its numbers from the files of runs, and every form of it."""

import json

import numpy as np
import pandas as pd
import pytest

from mlgcn.metrics import holm, multilabel_report, paired_differences, report_intervals
from mlgcn.predictions import Predictions
from mlgcn.reporting.ladder import ladder_report
from mlgcn.reporting.ladder_page import ladder_figure, write_ladder
from mlgcn.reporting.ladder_tables import (
    ladder_cells,
    ladder_frame,
    ladder_latex,
    ladder_lines,
    ladder_markdown,
    ladder_rows,
)
from mlgcn.reporting.tables import as_text
from mlgcn.run_directory import LadderDirectory

NAMES = ["Opacity", "Edema", "Hernia_1", "Mass"]
GROUPS = {"head": ["Opacity"], "medium": ["Mass", "Edema"], "tail": ["Hernia_1"]}
IMAGES, RESAMPLES = 90, 200
# Of each rung by seed; of the last, seed 0 is lost.
SKILLS = {"plain": {0: 0.0, 1: 0.02}, "better_100%": {0: 0.5, 1: 0.45}, "no_graph": {1: 0.01}}
STEPS = ["plain", "better_100%", "never_run"]


def known():
    rng = np.random.default_rng(9)
    targets = (rng.uniform(size=(IMAGES, 4)) < [0.5, 0.4, 0.15, 0.2]).astype(float)
    rows = np.arange(IMAGES)
    columns = {"image_id": rows, "patient_id": rows // 3, "study_id": rows // 2, "view": "frontal"}
    return targets, pd.DataFrame(columns).astype(str)


def scores_of(skill, seed):
    return np.clip(np.random.default_rng(seed).normal(0.3 + skill * known()[0], 0.2), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """Runs of three rungs, of the seeds 0 and 1, 0 and 1, and 1 alone, and no run of a fourth."""
    folder = LadderDirectory(tmp_path_factory.mktemp("ladder"))
    targets, images = known()
    for name, skills in SKILLS.items():
        for seed, skill in skills.items():
            run = folder.run(name, seed)
            # Another order of images and labels in every second run: they go by name.
            order, labels = np.arange(IMAGES), np.arange(4)
            if seed:
                order, labels = order[::-1], labels[::-1]
            scores = scores_of(skill, seed)[np.ix_(order, labels)]
            names = [NAMES[i] for i in labels]
            Predictions(images.iloc[order], names, scores, targets[np.ix_(order, labels)]).write(run.test.predictions)
            report = multilabel_report(
                scores, targets[np.ix_(order, labels)], names, GROUPS, "by hand", 0.4 + seed / 10
            )
            run.test.metrics.write_text(json.dumps(report))
            run.model.touch()
            run.test.report.touch()
    stopped = folder.run("plain", 1)
    for last in (stopped.test.report, stopped.model):  # evaluated without having been trained to its end
        last.unlink()
        assert list(folder.finished("plain", 3)) == [0]
        last.touch()
    return folder


@pytest.fixture(scope="module")
def rungs(ladder):
    return {name: ladder.finished(name, 3) for name in (*SKILLS, "never_run")}


@pytest.fixture(scope="module")
def report(rungs):
    report = ladder_report(rungs, STEPS, "no_graph", resamples=RESAMPLES, seed=4)
    for name, rung in report["rungs"].items():
        cost = {"parameters": 12_345_678, "flops": 2.5e9, "images_per_second": None if name == "never_run" else 45.6}
        rung |= {"published": "mAP 0.271" if name == "plain" else None, "cost": cost}
    return report | {"speed": "2 CPU threads", "seeds": 2}


def of_seeds(name):
    return np.stack([scores_of(skill, seed) for seed, skill in SKILLS[name].items()])


def test_metrics_are_means_over_the_seeds_with_intervals_over_patients(report):
    targets, images = known()
    for name, skills in SKILLS.items():
        rung = report["rungs"][name]
        reports = [
            multilabel_report(scores_of(skill, seed), targets, NAMES, GROUPS, "", 0.4 + seed / 10)
            for seed, skill in skills.items()
        ]
        assert rung["seeds"] == len(skills)
        thresholds = [[0.4 + seed / 10] * 4 for seed in skills]
        intervals = report_intervals(
            of_seeds(name), targets, NAMES, GROUPS, thresholds, images.patient_id, RESAMPLES, 4, "shifted"
        )
        for metric in ("mAP", "mAUC", "mF1"):
            held = rung["metrics"][metric]
            assert list(held["by_seed"]) == list(map(str, skills))
            np.testing.assert_allclose(list(held["by_seed"].values()), [each[metric] for each in reports], rtol=1e-12)
            np.testing.assert_allclose(held["mean"], np.mean([each[metric] for each in reports]), rtol=1e-12)
            np.testing.assert_allclose([held["low"], held["high"]], intervals[metric], rtol=1e-12)
        for group in GROUPS:
            expected = np.mean([each["groups"][group]["mAP"] for each in reports])
            np.testing.assert_allclose(rung["groups"][group], expected, rtol=1e-12)


def test_differences_are_paired_and_corrected_over_the_rungs(report):
    targets, images = known()
    first, second, third = SKILLS
    drawn = targets, NAMES, GROUPS, images.patient_id, RESAMPLES, 4
    wanted = {"previous": {second: first}, "baseline": {first: third, second: third}}
    for key, others in wanted.items():
        found = {
            name: paired_differences(["mAP", "mAUC"], of_seeds(name), of_seeds(other), *drawn)
            for name, other in others.items()
        }
        assert {name for name, rung in report["rungs"].items() if rung[key]} == set(others)
        for metric in ("mAP", "mAUC"):
            corrected = holm([each[metric]["p"] for each in found.values()])
            for (name, each), p_holm in zip(found.items(), corrected, strict=True):
                held = report["rungs"][name][key]
                assert held["name"] == others[name]
                for part in ("delta", "low", "high", "p"):
                    np.testing.assert_allclose(held[metric][part], each[metric][part], rtol=1e-12)
                np.testing.assert_allclose(held[metric]["p_holm"], p_holm, rtol=1e-12)


def test_a_rung_without_a_finished_run_stays_in_the_table_without_numbers(report):
    rung = report["rungs"]["never_run"]
    assert rung["seeds"] == 0 and rung["metrics"] is rung["groups"] is rung["previous"] is rung["baseline"] is None
    assert (report["images"], report["patients"], report["baseline"]) == (IMAGES, IMAGES // 3, "no_graph")


def test_the_frame_holds_every_number(report):
    frame = ladder_frame(report).set_index("rung")
    assert list(frame.index) == list(report["rungs"])
    better = report["rungs"]["better_100%"]
    assert frame.mAP["better_100%"] == better["metrics"]["mAP"]["mean"]
    assert frame.mAP_seed_1["better_100%"] == better["metrics"]["mAP"]["by_seed"]["1"]
    assert np.isnan(frame.mAP_seed_0["no_graph"])
    assert frame.baseline_mAP_p_holm["better_100%"] == better["baseline"]["mAP"]["p_holm"]
    assert frame.previous["better_100%"] == "plain" and np.isnan(frame.mAP["never_run"])
    assert frame.parameters["plain"] == 12_345_678 and np.isnan(frame.images_per_second["never_run"])


def test_every_form_has_the_same_cells(report):
    cells = ladder_cells(report)
    first = cells.iloc[0]
    plain = report["rungs"]["plain"]
    mean = plain["metrics"]["mAP"]
    assert first["mAP"] == f"{mean['mean']:.3f}" and first["mAP - step before"] == "–"
    assert first["95 % interval"] == f"{mean['low']:.3f} to {mean['high']:.3f}"
    assert first["seeds"] == f"{min(mean['by_seed'].values()):.3f} to {max(mean['by_seed'].values()):.3f}"
    entry = plain["baseline"]["mAP"]
    ends = f"{entry['low']:+.3f} to {entry['high']:+.3f}"
    assert first["mAP - no_graph"] == f"{entry['delta']:+.3f} ({ends}), p {entry['p_holm']:.3f}"
    assert (first["M parameters"], first["GFLOPs"], first["images/s"]) == ("12.3", "2.50", "45.6")
    assert set(cells.iloc[3].drop(["rung", "M parameters", "GFLOPs"])) == {"–"}
    markdown = ladder_markdown(report).splitlines()
    read = [[cell.strip() for cell in line.strip("|").split("|")] for line in [markdown[0], *markdown[2:6]]]
    assert read == [list(cells), *cells.values.tolist()]
    latex = ladder_latex(report)
    assert r"better\_100\%" in latex and r"\toprule" in latex and latex.count(r"\\") == 5


def test_the_terminal_shows_what_fits_and_stars_what_stands_after_holm(report):
    shown = as_text(ladder_rows(report)).splitlines()
    assert max(map(len, shown)) <= 100
    assert shown[1].split() == [
        "rung",
        "mAP",
        "95",
        "%",
        "interval",
        "head",
        "medium",
        "tail",
        "-",
        "step",
        "-",
        "no_graph",
    ]
    rows = {line.split()[0]: line.split() for line in shown[3:] if line.strip()}
    assert list(rows) == list(report["rungs"])
    better = report["rungs"]["better_100%"]
    assert rows["better_100%"][-2:] == [f"{better[key]['mAP']['delta']:+.3f}*" for key in ("previous", "baseline")]
    assert rows["plain"][-2:] == ["–", f"{report['rungs']['plain']['baseline']['mAP']['delta']:+.3f}"]


def test_the_sentences_say_which_rungs_help(report):
    lines = "\n".join(ladder_lines(report))
    assert "90 test images of 30 patients" in lines and "200 resamples" in lines and "Groups by hand." in lines
    delta = report["rungs"]["better_100%"]["previous"]["mAP"]["delta"]
    assert f"Against the step before, mAP is higher: better_100% ({delta:+.3f})." in lines
    assert "Against no_graph, mAP is higher: better_100% (" in lines and "not told apart: plain (" in lines
    assert "Fewer seeds than 2, the others having diverged: no_graph (1), never_run (0)." in lines
    assert "images/s: a training step without reading images, on 2 CPU threads." in lines


def test_all_files_are_written_and_hold_the_table(report, ladder):
    files = write_ladder(report, ladder, "data:\n  source: phantom <b>\n")
    assert [file.suffix for file in files] == [".json", ".csv", ".md", ".tex", ".html", ".png"]
    assert json.loads(files[0].read_text()) == report
    pd.testing.assert_frame_equal(pd.read_csv(files[1])[["rung", "mAP"]], ladder_frame(report)[["rung", "mAP"]])
    page = files[4].read_text()
    for cell in ladder_cells(report).values.ravel():
        assert cell in page
    assert "phantom &lt;b&gt;" in page and "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("baseline", ["no_graph", None])
def test_the_figure_has_a_row_a_rung_and_a_panel_for_the_baseline(rungs, baseline):
    report = ladder_report(rungs, STEPS, baseline, cluster="image", resamples=5)
    axes = ladder_figure(report).axes
    assert len(axes) == (1 if baseline is None else 2)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(SKILLS)  # what has no run has no row
    report |= {"speed": None}
    for rung in report["rungs"].values():
        rung |= {"published": None, "cost": dict.fromkeys(("parameters", "flops", "images_per_second"))}
    assert any("no_graph" in column for column in ladder_cells(report)) == (baseline is not None)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"baseline": "plane"}, "unknown baseline 'plane'; did you mean 'plain'"),
        ({}, {"steps": ["plain", "batter"]}, "unknown step 'batter'"),
        ({}, {"cluster": "patients"}, "unknown cluster 'patients'; did you mean 'patient'"),
        ({"plain": {}, "better_100%": {}, "no_graph": {}}, {}, "no rung of the ladder has a finished run"),
    ],
)
def test_bad_input_is_named(rungs, change, options, message):
    with pytest.raises(ValueError, match=message):
        ladder_report(rungs | change, **options)


def test_runs_with_other_test_images_are_refused(rungs, tmp_path):
    targets, images = known()
    other = LadderDirectory(tmp_path).run("other", 0)
    Predictions(images[1:], NAMES, scores_of(0, 0)[1:], targets[1:]).write(other.test.predictions)
    with pytest.raises(ValueError, match="hold other images, expected the same"):
        ladder_report(rungs | {"other": {0: other.path}})
