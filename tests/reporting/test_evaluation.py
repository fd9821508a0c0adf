"""The metrics of predictions, whoever made them."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from mlgcn.commands import evaluate
from mlgcn.labels import describe_rule
from mlgcn.metrics import area_under_risk, bootstrap, brier_score
from mlgcn.metrics.means import mean_defined
from mlgcn.predictions import Predictions
from mlgcn.reporting.evaluation import evaluation_report
from mlgcn.reporting.grouping import group_by
from mlgcn.reporting.tables import as_text, summary_table

NAMES = ["Effusion", "Mass", "Hernia"]


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    targets = (rng.random((240, 3)) < [0.4, 0.08, 0.02]).astype(float)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    scores = 1 / (1 + np.exp(-(rng.normal(size=targets.shape) + np.nan_to_num(targets))))
    number = np.arange(240)
    images = pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in number],
            "patient_id": [f"p{n // 3}" for n in number],
            "study_id": [f"s{n // 2}" for n in number],
            "view": np.where(number % 4 == 0, "lateral", "frontal"),
        },
        dtype=object,
    )
    return Predictions(images, NAMES, scores, targets)


def groups_of(predictions):
    return group_by(predictions.names, mean_defined(predictions.targets)).groups


def known(predictions, column):
    rows = ~np.isnan(predictions.targets[:, column])
    return predictions.targets[rows, column], predictions.scores[rows, column]


def test_groups_come_from_the_predictions_themselves(predictions):
    groups = groups_of(predictions)
    for name, group in (("Effusion", "head"), ("Mass", "medium")):
        assert name in groups[group]
    prevalence = [known(predictions, column)[0].mean() for column in range(3)]
    assert ("Hernia" in groups["tail"]) == (prevalence[2] < 0.01)


@pytest.mark.parametrize(("cluster", "column"), [("patient", "patient_id"), ("study", "study_id"), ("image", None)])
def test_intervals_are_those_of_the_bootstrap_over_what_is_named(predictions, cluster, column):
    report = evaluation_report(predictions, groups_of(predictions), "as found", resamples=200, cluster=cluster)
    clusters = None if column is None else predictions.images[column]
    expected = bootstrap("mAUC", predictions.scores, predictions.targets, clusters, 200, method="shifted")
    assert report["intervals"]["mAUC"] == pytest.approx([float(expected.low), float(expected.high)])
    assert report["intervals"]["settings"]["cluster"] == cluster
    drawn = {"patient": "80 patients", "study": "120 studies", "image": "240 images"}[cluster]
    assert f"200 resamples of {drawn}" in " ".join(as_text(summary_table(report)).split())


def test_the_numbers_are_those_of_scikit_learn_overall_and_by_view(predictions):
    report = json.loads(json.dumps(evaluation_report(predictions, groups_of(predictions), "as found")))
    found = [known(predictions, column) for column in range(3)]
    assert report["mAP"] == pytest.approx(np.mean([average_precision_score(*pair) for pair in found]))
    assert report["mAUC"] == pytest.approx(np.mean([roc_auc_score(*pair) for pair in found]))
    assert "intervals" not in report
    lateral = (predictions.images["view"] == "lateral").to_numpy()
    rows = lateral & ~np.isnan(predictions.targets[:, 0])
    part = Predictions(predictions.images[rows], NAMES, predictions.scores[rows], predictions.targets[rows])
    assert report["per_view"]["lateral"]["images"] == lateral.sum()
    assert set(report["per_view"]) == {"frontal", "lateral"}
    auc = evaluation_report(part, groups_of(part), "as found")["per_label"]["Effusion"]["AUC"]
    assert auc == pytest.approx(roc_auc_score(predictions.targets[rows, 0], predictions.scores[rows, 0]))


def test_uncertainty_is_reported_where_the_predictions_hold_the_experts_spread(predictions):
    groups = groups_of(predictions)
    assert "uncertainty" not in evaluation_report(predictions, groups, "a rule")
    spreads = np.random.default_rng(1).uniform(size=predictions.scores.shape)
    parts = predictions.images, NAMES, predictions.scores, predictions.targets, spreads
    found = json.loads(json.dumps(evaluation_report(Predictions(*parts), groups, "a rule")))["uncertainty"]
    assert found["AURC"]["disagreement"] == np.mean(area_under_risk(*parts[2:4], parts[4].astype(np.float32)))
    assert found["AURC"]["random"] == pytest.approx(np.mean(brier_score(*parts[2:4])))


def test_another_cluster_is_refused(predictions):
    with pytest.raises(ValueError, match="unknown cluster 'patients'; did you mean 'patient'"):
        evaluation_report(predictions, groups_of(predictions), "as found", resamples=10, cluster="patients")


# evaluate.py --predictions


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_file_of_predictions_is_measured_without_a_model(predictions, tmp_path, capsys, suffix):
    path = tmp_path / f"theirs{suffix}"
    predictions.write(path)
    evaluate.main(["--predictions", str(path), "--bootstrap", "50", "--out", str(tmp_path / "m.json")])
    report = json.loads((tmp_path / "m.json").read_text())
    expected = evaluation_report(
        predictions, groups_of(predictions), describe_rule("prevalence", "the file"), resamples=50
    )
    assert report.pop("predictions") == path.name
    assert report["mAP"] == pytest.approx(expected["mAP"], rel=1e-6) and set(report) == set(expected)
    assert "50 resamples of 80 patients" in " ".join(capsys.readouterr().out.split())


def measured(predictions, folder, *arguments):
    """The report of evaluate.py on predictions whose images have two further columns."""
    images = predictions.images.assign(sex=np.where(np.arange(240) % 3, "F", "M"), site=np.arange(240) % 13)
    images.loc[:4, "sex"] = ""
    path = folder / "theirs.parquet"
    Predictions(images, NAMES, predictions.scores, predictions.targets).write(path)
    evaluate.main(["--predictions", str(path), "--out", str(folder / "m.json"), *arguments])
    return json.loads((folder / "m.json").read_text())


def test_the_metrics_hold_what_is_promised(predictions, tmp_path):
    report = measured(predictions, tmp_path, "--bootstrap", "20")
    promised = {"mAP", "mAUC", "mF1", "mBACC", "groups", "per_label", "per_view", "rule", "undefined", "intervals"}
    assert promised <= set(report)
    low, high = report["intervals"]["mAUC"]
    assert low < report["mAUC"] < high


def test_metrics_are_told_for_each_value_of_further_columns(predictions, tmp_path, capsys):
    report = measured(predictions, tmp_path, "--by", "sex", "site")
    assert {column: len(values) for column, values in report["per_column"].items()} == {"sex": 3, "site": 13}
    rows = (np.arange(240) % 3 == 0) & (np.arange(240) > 4)
    auc = []
    for column in range(3):
        kept = rows & ~np.isnan(predictions.targets[:, column])
        if predictions.targets[kept, column].any():
            auc.append(roc_auc_score(predictions.targets[kept, column], predictions.scores[kept, column]))
    men = report["per_column"]["sex"]["M"]
    assert men["images"] == rows.sum() and men["mAUC"] == pytest.approx(np.mean(auc))
    assert report["per_column"]["sex"]["blank"]["images"] == 5
    shown = " ".join(capsys.readouterr().out.split())
    assert f"By sex (images), mAP and mAUC: F ({240 - rows.sum() - 5})" in shown
    assert "By site (images)" in shown and "and 3 more values." in shown
    untold = next(site for site, part in report["per_column"]["site"].items() if part["undefined_count"]["AP"])
    assert f"{untold} ({report['per_column']['site'][untold]['images']}, without " in shown


def test_groups_can_be_named(predictions, tmp_path, capsys):
    report = measured(predictions, tmp_path, "--groups", "{fluid: [Effusion], other: [Mass, Hernia]}")
    assert report["rule"] == "as given on the command line" and list(report["groups"]) == ["fluid", "other"]
    assert report["groups"]["fluid"]["mAP"] == pytest.approx(report["per_label"]["Effusion"]["AP"])
    (other,) = report["other_groups"]
    assert other == describe_rule("prevalence", "the file")
    expected = evaluation_report(predictions, groups_of(predictions), other)["groups"]
    assert report["other_groups"][other]["head"]["mAP"] == pytest.approx(expected["head"]["mAP"])
    assert " fluid " in capsys.readouterr().out


def test_intervals_are_made_as_asked_for(predictions, tmp_path, capsys):
    report = measured(predictions, tmp_path, "--bootstrap", "60", "--method", "bca", "--seed", "3")
    patients = predictions.images.patient_id
    expected = bootstrap("mAUC", predictions.scores, predictions.targets, patients, 60, 3, method="bca")
    assert report["intervals"]["mAUC"] == pytest.approx([float(expected.low), float(expected.high)])
    assert "60 resamples of 80 patients, BCa" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a run (--run) or a file of predictions (--predictions), one of them"),
        (["--run", "x", "--predictions", "y.csv"], "name a run (--run) or a file"),
        (["--predictions", "gone.npz"], "there is no file gone.npz"),
        (["--predictions", "p.json"], "p.json ends in '.json', expected .parquet, .csv or .npz"),
        (["--predictions", "p.csv", "--bootstrap", "-1"], 'Parser key "bootstrap"'),
        (
            ["--predictions", "p.csv", "--dir", "here"],
            "--dir: for runs, without effect on --predictions; --out",
        ),
        (["--run", "x", "y", "--experts", "1"], "--labels and --experts are for one run"),
        (["--run", "x", "--labels", "Mass", "--groups", "rank"], "--groups has no effect beside --labels"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        evaluate.main(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_a_file_of_images_can_be_measured_by_study(predictions, tmp_path):
    images = predictions.images.assign(study_id=predictions.images.patient_id)
    predictions = Predictions(images, predictions.names, predictions.scores, predictions.targets)
    weights = {"frontal": 1.0, "lateral": 3.0, "unknown": 2.0}
    given = ["--view_weights", json.dumps(weights)]
    for asked, merged in (([], predictions.by_study()), (given, predictions.by_study(weights))):
        report = measured(predictions, tmp_path, "--merge_views", "true", *asked)
        expected = evaluation_report(merged, groups_of(merged), "as found")
        assert report["images"] == len(merged) < len(predictions) and report["per_label"] == expected["per_label"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "sexes"], "unknown column 'sexes'; did you mean 'sex'"),
        (["--groups", "{fluid: [Effusion]}"], "groups do not hold every label once: other labels than expected"),
        (["--groups", "rank"], "rule 'rank' needs at least 18 labels"),
    ],
)
def test_what_the_predictions_do_not_have_is_named(predictions, tmp_path, arguments, message, capsys):
    with pytest.raises(SystemExit):
        measured(predictions, tmp_path, *arguments)
    assert message in capsys.readouterr().err
