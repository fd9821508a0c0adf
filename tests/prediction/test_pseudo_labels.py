"""A model's probabilities in place of unknown labels."""

from copy import copy

import numpy as np
import pytest

from mlgcn.data.sources import read_source
from mlgcn.labels import LabelTable
from mlgcn.prediction import Predictor, pseudo_labels

NAN = np.nan


@pytest.fixture
def predictor(tiny_model):
    return Predictor(*tiny_model(), device="cpu")


@pytest.fixture
def table():
    phantoms = read_source("phantom", images=6)
    values = [[1, NAN], [0, NAN], [NAN, NAN], [NAN, 1], [1, 0], [NAN, 0]]
    return LabelTable(
        np.array(values), ["Pleural Effusion", "Mass"], image_id=phantoms.images.image_id, path=phantoms.images.path
    )


def test_only_unknown_values_are_filled_with_the_model_s_probabilities(predictor, table):
    filled, number = pseudo_labels(predictor, table)
    scores = predictor.predict(table.images.path.tolist())
    assert filled.names == tuple(predictor.names)
    for row, image in enumerate(table.values):
        for name in filled.names:
            source = {"Effusion": 0, "Mass": 1}.get(name)
            known = source is not None and not np.isnan(image[source])
            expected = image[source] if known else scores[name][row]
            assert filled.values[row, filled.names.index(name)] == pytest.approx(expected, abs=1e-6)
    assert number == 6 * 5 - 6


def test_only_sure_probabilities_are_filled(predictor, table):
    everything, _ = pseudo_labels(predictor, table)
    p = everything.values[np.isnan(everything.certain)]
    bound = float(np.median(np.maximum(p, 1 - p)))
    filled, number = pseudo_labels(predictor, table, confidence=bound)
    kept = ~np.isnan(filled.values)
    np.testing.assert_array_equal(filled.values[kept], everything.values[kept])
    left = everything.values[~kept]
    assert number == (np.maximum(p, 1 - p) >= bound).sum() and (np.maximum(left, 1 - left) < bound).all() and left.size


def test_what_a_model_is_sure_of_does_not_count_as_known(predictor, table, monkeypatch):
    predict = predictor.predict_table

    def surely(*args):
        predictions = copy(predict(*args))
        predictions.scores = np.round(predictions.scores)
        return predictions

    monkeypatch.setattr(predictor, "predict_table", surely)
    filled, number = pseudo_labels(predictor, table, confidence=1.0)
    assert number == 6 * 5 - 6 and filled.known.sum() == 6
    assert ((filled.values == 0) | (filled.values == 1)).sum() == 6


def test_a_confidence_out_of_range_is_refused(predictor, table):
    with pytest.raises(ValueError, match=r"confidence must lie in \[0, 1\], got 1.5"):
        pseudo_labels(predictor, table, confidence=1.5)
