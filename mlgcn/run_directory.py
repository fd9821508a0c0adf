"""The name of every file of a run, and of a ladder of runs, in one place."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EvaluationFiles:
    """The files of one evaluation: what was predicted, what came out, and the page that shows it."""

    folder: Path
    metrics: Path

    @property
    def predictions(self) -> Path:
        """Scores and targets, one row an image (mlgcn.predictions)."""
        return self.folder / "predictions.parquet"

    @property
    def comparison(self) -> Path:
        """What is gained over other runs, JSON (mlgcn.reporting.compare.compare); absent where none was named."""
        return self.folder / "comparison.json"

    @property
    def figures(self) -> Path:
        """Folder of the PNG figures."""
        return self.folder / "figures"

    @property
    def report(self) -> Path:
        """The self-contained page."""
        return self.folder / "report.html"


@dataclass(frozen=True)
class RunDirectory:
    """Everything that a run writes stands below this folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration, YAML."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions and machine, JSON."""
        return self.path / "environment.json"

    @property
    def sources(self) -> Path:
        """Where the labels come from: data sets, every option of their readers, mapping of labels, JSON."""
        return self.path / "sources.json"

    @property
    def splits(self) -> Path:
        """Images, patients and positives of each split, JSON."""
        return self.path / "splits.json"

    @property
    def split(self) -> Path:
        """Every image with its patient and the split it was given, CSV: image_id, patient_id, split."""
        return self.path / "split.csv"

    @property
    def unreadable(self) -> Path:
        """Why images were left out of training, one a line; absent where none was."""
        return self.path / "unreadable.txt"

    @property
    def diverged(self) -> Path:
        """Why training could not go on, where a ladder left it at that; absent elsewhere."""
        return self.path / "diverged.txt"

    @property
    def label_graph(self) -> Path:
        """Co-occurrence counts of the training split and the graph made of them, JSON (mlgcn.graph.load_graph)."""
        return self.path / "label_graph.json"

    @property
    def label_vectors(self) -> Path:
        """The label vectors, word2vec text."""
        return self.path / "label_vectors.txt"

    @property
    def loss_gradients(self) -> Path:
        """What the training loss pulls at the logits of a head, a medium and a tail label with, JSON."""
        return self.path / "loss_gradients.json"

    @property
    def metrics(self) -> Path:
        """Training and validation metrics by step, CSV."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of the training checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The checkpoint that a resumed run goes on from."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """The weights with the best validation metric, self-describing, written during training."""
        return self.checkpoints / "best.ckpt"

    @property
    def model(self) -> Path:
        """The finished model: the best weights with their thresholds, self-describing."""
        return self.path / "model.ckpt"

    @property
    def diagnostics(self) -> Path:
        """What the model made of the label graph, JSON (mlgcn.prediction.Diagnostics)."""
        return self.path / "model_diagnostics.json"

    @property
    def validation_metrics(self) -> Path:
        """Metrics of the finished model on the validation images that its thresholds were chosen on, JSON."""
        return self.path / "validation_metrics.json"

    @property
    def wandb_id(self) -> Path:
        """The W&B run id, kept across resumes."""
        return self.path / "wandb_id.txt"

    @property
    def test(self) -> EvaluationFiles:
        """The evaluation on the run's own test split."""
        return EvaluationFiles(self.path, self.path / "test_metrics.json")

    @property
    def finished(self) -> bool:
        """Whether the run was trained to its end and evaluated; the page is the last that is written."""
        # An unfinished run has the other two as well where somebody evaluated it.
        return self.model.is_file() and self.test.metrics.is_file() and self.test.report.is_file()

    def evaluation(self, name: str) -> EvaluationFiles:
        """Any further evaluation, by name."""
        folder = self.path / "evaluations" / name
        return EvaluationFiles(folder, folder / "metrics.json")


@dataclass(frozen=True)
class LadderDirectory:
    """Everything that a ladder writes stands below this folder."""

    path: Path

    @property
    def split(self) -> Path:
        """The split of all its runs, CSV as RunDirectory.split."""
        return self.path / "split.csv"

    @property
    def throughput(self) -> Path:
        """Images a second of every rung, and what they were measured on, JSON."""
        return self.path / "throughput.json"

    @property
    def figure(self) -> Path:
        """Every rung's mAP with its interval, PNG."""
        return self.path / "ladder.png"

    @property
    def wandb_id(self) -> Path:
        """The W&B run id of the table, kept when it is made again."""
        return self.path / "wandb_id.txt"

    def table(self, kind: str) -> Path:
        """The table as json (all numbers), csv, md, tex or html."""
        return self.path / f"ladder.{kind}"

    def run(self, name: str, seed: int) -> RunDirectory:
        """The run of a preset, or a YAML file, with a seed."""
        return RunDirectory(self.path / f"{re.sub(r'[.]ya?ml$', '', name).strip('/').replace('/', '-')}-seed-{seed}")

    def finished(self, name: str, seeds: int) -> dict[int, Path]:
        """By seed, the folders of a preset's runs that have all they end with."""
        runs = {seed: self.run(name, seed) for seed in range(seeds)}
        return {seed: run.path for seed, run in runs.items() if run.finished}
