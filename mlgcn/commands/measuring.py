"""A model's evaluation, from its scores to the report, as train.py and evaluate.py share it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn.checkpoint import Description
from mlgcn.commands.console import say
from mlgcn.config import Config, EvaluationConfig
from mlgcn.labels import GROUPS, LabelTable, studies_of
from mlgcn.metrics import zero_shot_summary
from mlgcn.metrics.means import nan_for_0
from mlgcn.prediction import Scorer
from mlgcn.prediction.gating import normal_label
from mlgcn.predictions import Predictions, study_shares
from mlgcn.reporting.compare import RESAMPLES, compare
from mlgcn.reporting.compare_tables import comparison_rows
from mlgcn.reporting.evaluation import evaluation_report
from mlgcn.reporting.grouping import Grouping, group_by, other_groups
from mlgcn.reporting.page import write_page
from mlgcn.reporting.paired import check_sides
from mlgcn.reporting.tables import summary_table
from mlgcn.run_directory import EvaluationFiles, RunDirectory


def evaluate(
    scorer: Scorer,
    table: LabelTable,
    files: EvaluationFiles,
    run: RunDirectory | None,
    split: str,
    config: Config,
    against: Sequence[str] = (),
    **measuring: Any,
) -> dict[str, Any]:
    """Scores the table's images, writes predictions and metrics, and if groups are head, medium and tail, the page.

    Args:
        run: of the model, or none: of a checkpoint or an ensemble.
        against: sides as of mlgcn.reporting.compare.compare, which the model is compared with.
        measuring: as in measure.
    Returns: the metrics.
    Raises: as check_scoring, before anything is scored; as compare.
    """
    check_scoring(table, config, scorer.settings, against)
    files.report.unlink(missing_ok=True)  # of an evaluation before, which must not stand beside other numbers
    predictions = scorer.predict_table(
        table, config.data.batch_size, config.data.num_workers, config.data.unreadable == "skip"
    )
    predictions.write(files.predictions)
    report = measure(scorer, predictions, files.metrics, run, split, **measuring)
    say(summary_table(report))
    _compare(files, against, scorer.settings, measuring.get("seed", 0))
    shown = table if config.evaluation.image_sheet else None
    # The page's figures tell head, medium and tail apart.
    if set(report["groups"]) <= set(GROUPS):
        say(f"report: {write_page(files, run, shown)}")
    else:
        say(f"metrics: {files.metrics}")
    return report


def check_scoring(table: LabelTable, config: Config, settings: EvaluationConfig, against: Sequence[str] = ()) -> None:
    """Whether images can be scored and compared as the settings say, before hours go into that.

    Args:
        config: of the network and the data.
        against: as in evaluate.
    Raises: ValueError on a study whose views weigh nothing, without the one label that normal gating needs, and as
        check_sides.
    """
    images = table.images
    if settings.normal_gating is not None:
        normal_label(table.names)
    if settings.merge_views:
        images = study_shares(images, settings.view_weights)[0]
    elif config.fusion.views is not None:
        images = studies_of(images)[0]
    check_sides(against, table.names, images.image_id, whole=config.data.unreadable == "error")


def _compare(files: EvaluationFiles, against: Sequence[str], settings: EvaluationConfig, seed: int) -> None:
    """Writes and says what the predictions just written gain over others'; where there are none, nothing is kept."""
    files.comparison.unlink(missing_ok=True)  # of an evaluation before
    if not against:
        return
    # Holm's correction is for the number of sides too: with fewer resamples no label could be told apart.
    resamples = max(settings.bootstrap, RESAMPLES * len(against))
    result = compare([str(files.folder), *against], settings.cluster, resamples, seed)
    files.comparison.write_text(json.dumps(result, indent=2, allow_nan=False))
    say(comparison_rows(result))


def measure(
    scorer: Scorer,
    predictions: Predictions,
    path: Path,
    run: RunDirectory | None,
    split: str,
    grouping: Grouping | None = None,
    about: Mapping[str, Any] | None = None,
    **measuring: Any,
) -> dict[str, Any]:
    """The metrics of what the scorer has just predicted, which it also writes as JSON.

    Args:
        grouping: of the labels; by default as the run has them.
        about: what else the metrics are to hold.
        measuring: as in evaluation_report.
    """
    described, settings = scorer.description, scorer.settings
    grouping = grouping or model_groups(described, None)
    report = evaluation_report(
        predictions,
        grouping.groups,
        grouping.rule,
        described.thresholds,
        settings.bootstrap,
        settings.cluster,
        others=grouping.others,
        **measuring,
    )
    if "unseen" in described.groups:
        report |= zero_shot_summary(report)
    report |= {"run": run.path.resolve().name} if run else {}
    report |= {"split": split, "unreadable": scorer.unreadable, **(about or {})}
    path.write_text(json.dumps(report, indent=2))
    return report


def model_groups(described: Description, asked: str | None) -> Grouping:
    """The groups that are asked for, or those of the model; counts are those of its training split."""
    prevalence = np.array(described.positives) / nan_for_0(np.array(described.known))
    if asked is not None:
        return group_by(described.names, prevalence, asked)
    if "unseen" in described.groups:
        return Grouping(described.groups, described.rule)
    others = other_groups(described.names, prevalence, described.rule)
    return Grouping(described.groups, described.rule, others)
