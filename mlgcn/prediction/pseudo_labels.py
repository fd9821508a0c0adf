"""A model's probabilities in place of labels that a data set does not have."""

import numpy as np

from mlgcn.data.combine import fill_unknown, soften
from mlgcn.data.ontology import map_labels
from mlgcn.labels import LabelTable
from mlgcn.prediction.ensemble import Scorer


def pseudo_labels(
    predictor: Scorer,
    table: LabelTable,
    confidence: float = 0.0,
    batch_size: int = 32,
    num_workers: int = 0,
    skip_unreadable: bool = False,
) -> tuple[LabelTable, int]:
    """The table, mapped onto the model's labels, with probabilities where it is unknown; and how many were filled in.

    What is known stays as it is, what is filled in stays soft. Images that cannot be read are left out, if that is
    asked for.
    Args:
        confidence: only probabilities p are filled in for which p or 1 - p is at least this; 0 fills in all.
    Source: the pseudo-labels of CheXFusion (Kim 2023), which keep the labels that external data have.
    Raises: ValueError if confidence is not in [0, 1], if no label of the table is one of the model's; as predict_table.
    """
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence must lie in [0, 1], got {confidence}")
    if predictor.scores_studies:
        raise ValueError("pseudo-labels are of images, and this run scores studies: take one on single images")
    table = map_labels(table, predictor.names)
    predictions = predictor.predict_table(table, batch_size, num_workers, skip_unreadable)
    row_of = {image: row for row, image in enumerate(table.images.image_id)}
    table = table.take(np.array([row_of[image] for image in predictions.images.image_id]))
    sure = np.maximum(predictions.scores, 1 - predictions.scores) >= confidence
    filled = fill_unknown(table, np.where(sure, soften(predictions.scores), np.nan))
    return filled, int(np.isnan(table.values).sum() - np.isnan(filled.values).sum())
