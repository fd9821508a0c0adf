import json

import numpy as np
import pandas as pd
import pytest

from mlgcn.labels import describe_rule
from mlgcn.metrics import holm, multilabel_report, paired_differences
from mlgcn.predictions import Predictions
from mlgcn.reporting.compare import compare
from mlgcn.reporting.compare_tables import comparison_rows
from mlgcn.reporting.tables import as_text

NAMES = ["Opacity", "Edema", "[b]Hernia[/b]", "Mass"]
GROUPS = {"head": ["Opacity"], "medium": ["Mass", "Edema"], "tail": ["[b]Hernia[/b]"]}
KEYS = {"delta", "low", "high", "p", "p_holm", "a", "b"}


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def known(images=60):
    """Targets, and images of two per study and three per patient."""
    rng = np.random.default_rng(9)
    targets = (rng.uniform(size=(images, 4)) < [0.5, 0.4, 0.1, 0.2]).astype(float)
    rows = np.arange(images)
    return targets, pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in rows],
            "patient_id": [f"p{row // 3}" for row in rows],
            "study_id": [f"s{row // 2}" for row in rows],
            "view": "frontal",
        }
    )


def made(seed=0, skill=0.2, images=60):
    """Predictions of a model by its seed."""
    targets, rows = known(images)
    scores = np.clip(np.random.default_rng(seed).normal(0.4 + skill * targets, 0.2), 0, 1)
    return Predictions(rows, NAMES, scores, targets)


def changed(predictions, **changes):
    parts = {name: getattr(predictions, name) for name in ("images", "names", "scores", "targets")} | changes
    return Predictions(**parts)


def as_run(predictions, folder, groups=GROUPS, rule="by hand", threshold=0.5, name="test_metrics.json"):
    """A folder of predictions and metrics, as a run has them."""
    predictions.write(folder / "predictions.parquet")
    report = multilabel_report(predictions.scores, predictions.targets, predictions.names, groups, rule, threshold)
    (folder / name).write_text(json.dumps(report))
    return report


def test_differences_are_those_of_both_reports_and_of_the_same_resamples():
    one, other = made(0), made(1)
    one.write("a.parquet")
    other.write("b.csv")
    result = compare(["a.parquet", "b.csv"], resamples=50, seed=3, level=0.9)
    assert (one.targets.mean(axis=0) > 0.1).tolist() == [True, True, False, True]
    groups = {"head": ["Opacity", "Edema", "Mass"], "medium": ["[b]Hernia[/b]"], "tail": []}
    reports = [multilabel_report(side.scores, side.targets, NAMES, groups, "") for side in (one, other)]
    expected = paired_differences(
        ["mAP", "mAUC", "mF1", "mBACC"], one.scores, other.scores, one.targets, NAMES, groups, one.images.patient_id,
        50, 3, 0.9,
    )  # fmt: skip
    for pick in (
        lambda of: of["mAP"],
        lambda of: of["mF1"],
        lambda of: of["groups"]["medium"]["mAUC"],
        lambda of: of["groups"]["head"]["mBACC"],
        lambda of: of["per_label"]["Mass"]["F1"],
    ):
        a, b = (pick(report) for report in reports)
        entry = pick(result)
        assert set(entry) == KEYS
        np.testing.assert_allclose([entry["a"], entry["b"], entry["delta"]], [a, b, a - b], rtol=0, atol=1e-12)
        assert entry == {key: pick(expected)[key] for key in KEYS}
    assert result["groups"]["tail"]["mAP"] == dict.fromkeys(KEYS)
    about = {key: part for key, part in result.items() if not isinstance(part, dict)}
    assert about == {
        "a": "a.parquet", "b": "b.csv", "images": 60, "patients": 20, "cluster": "patient", "resamples": 50,
        "level": 0.9, "rule": describe_rule("prevalence", "the images compared"),
    }  # fmt: skip
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("seed", range(3))
def test_permuting_patients_images_and_a_files_labels_leaves_everything_as_it_is(seed):
    rng = np.random.default_rng(seed)
    one, other = made(0), made(1)
    one.write("a.parquet")
    other.write("b.parquet")
    expected = compare(["a.parquet", "b.parquet"], resamples=30)
    renamed = dict(zip(one.images.patient_id.unique(), rng.permutation(20).astype(str), strict=True))
    for name, side in (("a.parquet", one), ("b.parquet", other)):
        order = rng.permutation(60)
        images = side.images.assign(patient_id=side.images.patient_id.map(renamed)).iloc[order]
        side = changed(side, images=images, scores=side.scores[order], targets=side.targets[order])
        (side if name == "a.parquet" else side.aligned(rng.permutation(NAMES).tolist())).write(name)
    assert compare(["a.parquet", "b.parquet"], resamples=30) == expected


@pytest.mark.parametrize("copy", ["a.parquet", "copy.parquet", "copy.csv", "copy.npz"])
def test_a_model_and_itself_differ_by_exactly_0(copy):
    model = made()
    model.write("a.parquet")
    if copy.endswith(".npz"):
        arrays = {column: model.images[column].to_numpy(dtype=str) for column in model.images}
        np.savez(copy, scores=model.scores, targets=model.targets, names=NAMES, **arrays)
    else:
        model.write(copy)
    result = compare(["a.parquet", copy], resamples=20)
    entries = [result[name] for name in ("mAP", "mAUC", "mF1", "mBACC")]
    entries += [entry for metrics in result["per_label"].values() for entry in metrics.values()]
    entries += [entry for group in ("head", "medium") for entry in result["groups"][group].values()]
    assert len(entries) == 4 + 4 * 4 + 2 * 4
    for entry in entries:
        assert entry["a"] == entry["b"]
        assert [entry[key] for key in ("delta", "low", "high", "p", "p_holm")] == [0, 0, 0, 1, 1]
    text = as_text(comparison_rows(result))
    assert "mAP: these images show no difference between A and B" in text


def test_a_pattern_means_seeds_whose_metric_is_averaged_inside_each_resample(tmp_path):
    sides = [made(seed) for seed in range(3)]
    for seed, side in enumerate(sides[:2]):
        as_run(side, tmp_path / f"seo-{seed}", threshold=0.3 + 0.2 * seed)
    sides[2].write("b.parquet")
    scores = np.stack([side.scores for side in sides[:2]])
    result = compare(["seo-*", "b.parquet"], resamples=40, threshold=0.4, metrics=["mAP", "mF1"])
    expected = paired_differences(
        ["mAP", "mF1"], scores, sides[2].scores, sides[2].targets, NAMES, GROUPS, sides[2].images.patient_id, 40,
        thresholds_a=0.4, thresholds_b=0.4,
    )  # fmt: skip
    assert result["settings"]["seeds"] == [2, 1] and result["a"] == "seo-*"
    assert result["mF1"] == {key: expected["mF1"][key] for key in KEYS}
    single = [compare([f"seo-{seed}", "b.parquet"], resamples=1)["mAP"]["a"] for seed in (0, 1)]
    assert result["mAP"]["a"] == pytest.approx(np.mean(single))
    assert "A: seo-*, mean of 2 seeds\nB: b.parquet\n" in as_text(comparison_rows(result))


def test_runs_bring_their_groups_and_thresholds(tmp_path):
    reports = [
        as_run(made(0), tmp_path / "one", threshold=[0.5, 0.4, 0.6, 0.45]),
        as_run(made(1), tmp_path / "other", rule="another", groups={"all": NAMES}, threshold=0.3),
    ]
    result = compare(["one", "other"], resamples=5)
    assert (result["rule"], result["settings"]["thresholds"]) == ("by hand", "own")
    assert list(result["groups"]) == ["head", "medium", "tail"]
    assert [result["mF1"]["a"], result["mF1"]["b"]] == pytest.approx([report["mF1"] for report in reports])
    medium = result["groups"]["medium"]["mF1"]["a"]
    assert medium == pytest.approx(reports[0]["groups"]["medium"]["mF1"])
    # An evaluation of a run has its metrics under another name.
    as_run(made(0), tmp_path / "other" / "evaluations" / "tta", threshold=0.2, name="metrics.json")
    assert compare(["one", "other/evaluations/tta"], resamples=5)["settings"]["thresholds"] == "own"
    # A file has none of its own, and both sides are to be decided alike.
    made(1).write("b.parquet")
    with_file = compare(["one", "b.parquet"], resamples=5)
    assert (with_file["rule"], with_file["settings"]["thresholds"]) == ("by hand", 0.5)


def test_the_settings_say_each_labels_group_and_positives():
    one, other = made(0), made(1)
    one.write("one.parquet")
    other.write("other.parquet")
    labels = compare(["one.parquet", "other.parquet"], resamples=5)["settings"]["labels"]
    assert {name: of["positives"] for name, of in labels.items()} == {
        name: int((one.targets[:, column] == 1).sum()) for column, name in enumerate(NAMES)
    }
    assert labels["Opacity"]["group"] == "head"


def test_groups_by_a_rule_are_counted_in_the_runs_training_split(tmp_path):
    as_run(made(0), tmp_path / "one")
    made(1).write("b.parquet")
    train = {"positives": dict(zip(NAMES, (1, 20, 300, 0), strict=True)), "known": dict.fromkeys(NAMES, 1000)}
    train["known"]["Mass"] = 0
    (tmp_path / "one" / "splits.json").write_text(json.dumps({"parts": {"train": train}}))
    result = compare(["one", "b.parquet"], resamples=2, rule="prevalence", metrics=["mAP"])
    assert result["rule"] == describe_rule("prevalence")
    of_label = {name: result["per_label"][name]["AP"]["a"] for name in NAMES}
    expected = [of_label["[b]Hernia[/b]"], of_label["Edema"], (of_label["Opacity"] + of_label["Mass"]) / 2]
    assert [result["groups"][group]["mAP"]["a"] for group in ("head", "medium", "tail")] == pytest.approx(expected)


def test_several_sides_are_compared_with_the_first_and_corrected_together():
    for name, seed, skill in (("a", 0, 0.5), ("b", 1, 0.1), ("c", 2, 0.3)):
        made(seed, skill).write(f"{name}.parquet")
    found = compare(["a.parquet", "b.parquet", "c.parquet"], resamples=199)
    assert list(found) == ["comparisons"]
    alone = [compare(["a.parquet", other], resamples=199) for other in ("b.parquet", "c.parquet")]
    assert [(one["a"], one["b"]) for one in found["comparisons"]] == [(one["a"], one["b"]) for one in alone]
    for pick in (
        lambda one: [one["mAUC"]],
        lambda one: [one["groups"][group]["mAUC"] for group in ("head", "medium")],
        lambda one: [one["per_label"][name]["AUC"] for name in NAMES],
    ):
        family = [entry for one in found["comparisons"] for entry in pick(one)]
        singly = [entry for one in alone for entry in pick(one)]
        np.testing.assert_array_equal([one["p"] for one in family], [one["p"] for one in singly])
        np.testing.assert_array_equal([one["p_holm"] for one in family], holm([one["p"] for one in family]))
    text = as_text(comparison_rows(found))
    assert text.count("Holm p: corrected over 2 comparisons") == 2
    assert "mAUC is higher for A than for B, by" in text


@pytest.mark.parametrize(("cluster", "drawn"), [("patient", 20), ("study", 30), ("image", 60)])
def test_what_is_drawn_together(cluster, drawn):
    made(0).write("a.parquet")
    made(1).write("b.parquet")
    result = compare(["a.parquet", "b.parquet"], cluster, resamples=2)
    assert result["settings"]["clusters"] == drawn and result["patients"] == 20
    words = {"patient": "20 patients", "study": "30 studies", "image": "60 images"}[cluster]
    assert f"2 resamples of {words}, seed 0" in as_text(comparison_rows(result))


def test_a_target_that_one_file_lacks_is_taken_from_another():
    one, other = made(0), made(1)
    one.write("a.parquet")
    other.write("b.parquet")
    expected = compare(["a.parquet", "b.parquet"], resamples=20)
    hidden = np.random.default_rng(0).uniform(size=one.targets.shape) < 0.5
    changed(one, targets=np.where(hidden, np.nan, one.targets)).write("a.parquet")
    changed(other, targets=np.where(hidden, other.targets, np.nan)).write("b.parquet")
    assert compare(["a.parquet", "b.parquet"], resamples=20) == expected


def rename(predictions):
    return changed(predictions, names=[*NAMES[:3], "Nodule"])


def leave_out(predictions):
    return changed(
        predictions, images=predictions.images[4:], scores=predictions.scores[4:], targets=predictions.targets[4:]
    )


def other_patient(predictions):
    return changed(predictions, images=predictions.images.assign(patient_id=["px", *predictions.images.patient_id[1:]]))


def other_study(predictions):
    return changed(predictions, images=predictions.images.assign(study_id=["sx", *predictions.images.study_id[1:]]))


def other_target(predictions):
    targets = predictions.targets.copy()
    targets[7, 1] = 1 - targets[7, 1]
    return changed(predictions, targets=targets)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (rename, {}, r"b.parquet beside a.parquet: other labels .* lacks \['Mass'\] and has the unexpected \['Nodule'"),
        (leave_out, {}, "a.parquet and b.parquet hold other images.* 4 are only in a.parquet: i0, i1, i2; 0 are only"),
        (other_patient, {}, "b.parquet: image 'i0' has patient_id 'px', but 'p0' in a.parquet"),
        (other_study, {"cluster": "study"}, "b.parquet: image 'i0' has study_id 'sx', but 's0' in a.parquet"),
        (other_target, {}, "image 'i7', label 'Edema': the target is [01] in b.parquet, but [01] in a.parquet"),
        (None, {"cluster": "patients"}, "unknown cluster 'patients'; did you mean 'patient'"),
        (None, {"rule": "given"}, "unknown rule 'given'"),
        (None, {"rule": "rank"}, "needs at least 18 labels, got 4"),
        (None, {"metrics": ["AP"]}, "unknown metric over the labels 'AP'; did you mean 'mAP'"),
        (None, {"threshold": "own"}, "'own': a.parquet is no run with metrics"),
        (None, {"threshold": "half"}, r"threshold is 'half', expected a number in \[0, 1\] or 'own'"),
        (None, {"threshold": 1.5}, "threshold is 1.5, expected"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, options, message):
    made(0).write("a.parquet")
    (change or (lambda same: same))(made(1)).write("b.parquet")
    with pytest.raises(ValueError, match=message):
        compare(["a.parquet", "b.parquet"], resamples=2, **options)


def test_studies_may_differ_where_they_are_not_drawn():
    made(0).write("a.parquet")
    other_study(made(1)).write("b.parquet")
    assert compare(["a.parquet", "b.parquet"], resamples=2)["images"] == 60


def test_ids_that_repeat_are_refused():
    made(0).write("a.csv")
    table = pd.read_csv("a.csv")
    pd.concat([table, table[:1]]).to_csv("b.csv", index=False)
    with pytest.raises(ValueError, match=r"b.csv: column 'image_id', row 60: 'i0' occurs a second time"):
        compare(["a.csv", "b.csv"])


def test_what_is_not_there_is_named(tmp_path):
    made(0).write("a.parquet")
    (tmp_path / "empty").mkdir()
    for side, message in (
        ("gone", "no run or predictions file gone"),
        ("gone-*", "is named like 'gone-\\*'"),
        ("empty", "it has no predictions.parquet; evaluate.py writes it"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            compare(["a.parquet", side])
    with pytest.raises(ValueError, match=r"1 sides to compare \(a.parquet\), expected at least 2"):
        compare(["a.parquet"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "one/test_metrics.json: no JSON"),
        ("[]", "one/test_metrics.json: holds list, expected an object"),
        ("{}", "one/test_metrics.json: key 'rule' is missing"),
        ('{"rule": "", "groups": {}}', "one/test_metrics.json: key 'per_label' is missing"),
        ('{"rule": "", "groups": {}, "per_label": {}}', r"test_metrics.json beside its predictions: .* lacks \['Opac"),
    ],
)
def test_metrics_that_do_not_fit_are_refused(text, message, tmp_path):
    as_run(made(0), tmp_path / "one")
    (tmp_path / "one" / "test_metrics.json").write_text(text)
    made(1).write("b.parquet")
    with pytest.raises(ValueError, match=message):
        compare(["one", "b.parquet"])
