"""Where metrics go: metrics.csv, which is the truth, and Weights & Biases."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from mlgcn.config import Config, TrackingConfig, config_to_dict
from mlgcn.run_directory import LadderDirectory, RunDirectory
from mlgcn.stopping import is_main_process

SECONDS_BETWEEN_WRITES = 10
SENT = ("mAP", "mAUC", "mF1", "mBACC")


class Tracking:
    """The loggers of a run, open from its start until after evaluation.

    W&B runs in the mode of WANDB_MODE, or else as configured; offline it writes below the run's folder and needs no
    account. Its run keeps one id across resumes.
    Raises: ValueError if W&B is to be online but no login is stored, since it would ask for one.
    """

    def __init__(self, run: RunDirectory, config: Config) -> None:
        self.csv = CsvLogger(run.metrics)
        self.wandb: wandb.Run | None = None
        self._run, self._config = run, config
        self._mode = _wandb_mode(config.tracking)

    def start(self) -> list[Logger]:
        """Opens the loggers, for Lightning's trainer; the run's folder must be there."""
        if self._mode == "disabled" or not is_main_process():
            return [self.csv]
        self.wandb = _wandb_run(self._run, self._config.tracking, self._mode, config_to_dict(self._config))
        return [self.csv, WandbLogger(experiment=self.wandb, save_dir=self.wandb.dir)]

    def evaluation(
        self, report: Mapping[str, Any], figures: Mapping[str, Path], increments: pd.DataFrame | None = None
    ) -> None:
        """Sends the final metrics, the table by label, the figures, and by label what is gained over other models."""
        if self.wandb is None:
            return
        overall = {f"test/{name}": report[name] for name in (*SENT, "no_skill_mAP")}
        groups = {f"test/{name}_{group}": values[name] for group, values in report["groups"].items() for name in SENT}
        self.wandb.summary.update({name: value for name, value in (overall | groups).items() if value is not None})
        tables = {"test/per_label": pd.DataFrame(report["per_label"]).T.rename_axis("label").reset_index()}
        if increments is not None:
            tables["test/increments"] = increments
        images = {f"figures/{name}": wandb.Image(str(path)) for name, path in figures.items()}
        self.wandb.log({**{name: _table(frame) for name, frame in tables.items()}, **images})

    def diagnostics(self, numbers: Mapping[str, float | None]) -> None:
        """Sends what the model made of the label graph, without what is undefined."""
        if self.wandb is not None:
            defined = {f"diagnostics/{name}": value for name, value in numbers.items() if value is not None}
            self.wandb.summary.update(defined)

    def finish(self) -> None:
        """Closes the W&B run; what is offline stays below the run's folder, for `wandb sync`."""
        if self.wandb is not None:
            self.wandb.finish()
            self.wandb = None


class CsvLogger(Logger):
    """Metrics by step in one CSV file, a row a step, which a resumed run goes on with.

    Lightning's own logger starts the file anew when a run is resumed.
    Columns: step, seconds since the run's first start, epoch, and the metrics as they come up. The file is written
    every few seconds, after validation, and when training ends or is stopped.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: dict[int, dict[str, float]] = {}
        self.start = self.saved = time.monotonic()
        if path.is_file():
            for row in pd.read_csv(path).to_dict("records"):
                self.rows[int(row["step"])] = {str(key): value for key, value in row.items() if pd.notna(value)}
            self.start -= max((row["seconds"] for row in self.rows.values()), default=0)

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration has a file of its own."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = self.rows.setdefault(int(step or 0), {"step": int(step or 0)})
        row |= {"seconds": round(time.monotonic() - self.start, 2), **metrics}
        if time.monotonic() - self.saved > SECONDS_BETWEEN_WRITES:
            self.save()

    @rank_zero_only
    def forget_after(self, step: int) -> None:
        """Drops what was logged after a step that the run goes back to."""
        self.rows = {at: row for at, row in self.rows.items() if at < step}

    @rank_zero_only
    def save(self) -> None:
        if self.rows:
            pd.DataFrame([self.rows[step] for step in sorted(self.rows)]).to_csv(self.path, index=False)
        self.saved = time.monotonic()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()


def track_table(ladder: LadderDirectory, config: TrackingConfig, table: pd.DataFrame, figure: Path) -> None:
    """Sends the table of a ladder and its figure to W&B, as a run of its own; where W&B is disabled, nothing.

    Raises: ValueError as Tracking.
    """
    mode = _wandb_mode(config)
    if mode == "disabled":
        return
    run = _wandb_run(ladder, config, mode)
    run.log({"ladder": _table(table), "figures/ladder": wandb.Image(str(figure))})
    run.finish()


def _table(frame: pd.DataFrame) -> wandb.Table:
    """For W&B, which wants one type in a column: text, or numbers of which the undefined are NaN."""
    text = [name for name in frame if frame[name].map(lambda value: isinstance(value, str)).any()]
    filled = frame.fillna(dict.fromkeys(text, ""))
    return wandb.Table(dataframe=filled.astype({name: str if name in text else float for name in frame}))


def _wandb_mode(config: TrackingConfig) -> str:
    mode = os.environ.get("WANDB_MODE") or config.wandb
    if mode == "online" and not wandb.api.api_key:
        raise ValueError("tracking.wandb is online, but no W&B login is stored: run `wandb login`, or use offline")
    return mode


def _wandb_run(
    folder: RunDirectory | LadderDirectory, config: TrackingConfig, mode: str, settings: dict[str, Any] | None = None
) -> wandb.Run:
    if not folder.wandb_id.is_file():
        folder.wandb_id.write_text(uuid4().hex[:8])
    return wandb.init(
        project=config.project,
        name=config.name or folder.path.name,
        id=folder.wandb_id.read_text().strip(),
        dir=folder.path,
        mode=mode,  # type: ignore[arg-type]
        config=settings,
        resume="allow" if mode == "online" else None,  # offline it would only warn; the id is what counts
        settings=wandb.Settings(silent=True, console="off"),
    )
