import numpy as np
import pytest

from mlgcn.losses import AdaptiveNegativeRegularizationLoss, MultiExpertLoss, loss_gradients
from mlgcn.reporting.evaluation_figures import (
    loss_gradients_figure,
    reliability_figure,
    risk_coverage_figure,
    views_figure,
)
from mlgcn.reporting.figures import save_figures


def shown(texts):
    return [text.get_text().replace(r"\$", "$") for text in texts]


def test_the_reliability_curves_are_those_of_the_pooled_scores(evaluated):
    predictions, report = evaluated(7)
    curves = reliability_figure(report).axes[:4]
    columns = {"all": range(7), "head": range(3), "medium": range(3, 5), "tail": range(5, 7)}
    for axis, (group, held) in zip(curves, columns.items(), strict=True):
        scores, targets = predictions.scores[:, held].astype(float), predictions.targets[:, held]
        expected, distance = [], 0.0
        for low in np.arange(10) / 10:
            chosen = ~np.isnan(targets) & (scores > low if low else scores >= 0) & (scores <= np.round(low + 0.1, 9))
            if chosen.any():
                expected.append((scores[chosen].mean(), targets[chosen].mean()))
                distance += abs(scores[chosen].sum() - targets[chosen].sum()) / (~np.isnan(targets)).sum()
        np.testing.assert_allclose(np.transpose(axis.lines[1].get_data()), expected, atol=1e-6)
        assert axis.get_title(loc="left") == f"{group}, {len(held)} labels: ECE {distance:.3f}"


def test_each_view_has_a_row_with_its_images_and_means(evaluated):
    _, report = evaluated(7)
    panels = views_figure(report).axes
    views = report["per_view"]
    rows = [f"{name}\n{of['images']:,} images, {7 - of['undefined_count']['AP']} labels" for name, of in views.items()]
    assert shown(panels[0].get_yticklabels()) == rows and len(rows) == 2
    for axis, metric in zip(panels, ("mAP", "mAUC", "mF1"), strict=True):
        assert axis.get_title(loc="left") == metric
        assert shown(axis.texts) == [f"{of[metric]:.3f}" for of in views.values()]
    report["per_view"]["frontal"]["mAP"] = None
    assert shown(views_figure(report).axes[0].texts)[0] == "undefined"


def test_risk_falls_as_uncertain_images_are_left_out_and_the_gain_is_a_share_of_the_possible(evaluated):
    _, report = evaluated(7)
    uncertainty = report["uncertainty"]
    figure = risk_coverage_figure(uncertainty)
    curves, gains = figure.axes
    for line, kind in zip(curves.lines, ("disagreement", "probability", "oracle", "random"), strict=True):
        np.testing.assert_array_equal(line.get_data(), [uncertainty["coverage"], uncertainty["curves"][kind]])
        assert f"area {uncertainty['AURC'][kind]:.3f}" in line.get_label()
    rows = [uncertainty["AURC"], *uncertainty["groups"].values()]
    assert shown(gains.get_yticklabels()) == ["all", *uncertainty["groups"]]
    for points, kind in zip(gains.collections, ("disagreement", "probability"), strict=True):
        expected = [(of["random"] - of[kind]) / (of["random"] - of["oracle"]) for of in rows]
        np.testing.assert_allclose(points.get_offsets()[:, 0], expected)


def test_a_group_that_is_never_known_has_no_gain(evaluated):
    _, report = evaluated(7)
    report["uncertainty"]["groups"]["tail"] = dict.fromkeys(report["uncertainty"]["AURC"])
    points = risk_coverage_figure(report["uncertainty"]).axes[1].collections[0]
    assert np.ma.getmaskarray(np.ma.masked_invalid(points.get_offsets()))[:, 0].tolist() == [False, False, False, True]


def test_each_group_has_a_panel_with_the_gradients_of_its_label_over_those_of_the_cross_entropy():
    loss = MultiExpertLoss(AdaptiveNegativeRegularizationLoss([400, 3], 1000))
    groups = {"head": "Opacity", "tail": "$x_0$"}
    gradients = {"loss": "anr", "groups": groups, **loss_gradients(loss, {"Opacity": 0, "$x_0$": 1}, 2)}
    figure = loss_gradients_figure(gradients)
    for axis, (group, name) in zip(figure.axes, groups.items(), strict=True):
        assert axis.get_title(loc="left").replace(r"\$", "$") == name and axis.get_title(loc="right") == group
        _, plain_positive, positive, plain_negative, negative = axis.lines
        for line, sign in ((positive, "positive"), (negative, "negative")):
            np.testing.assert_array_equal(line.get_data(), [gradients["logits"], gradients["labels"][name][sign]])
        np.testing.assert_allclose(plain_negative.get_ydata() - plain_positive.get_ydata(), 1)
        assert positive.get_linestyle() != negative.get_linestyle()  # they differ without colour too
    assert shown(figure.legends[0].get_texts()) == ["anr, positive", "anr, negative", "cross-entropy"]


@pytest.mark.parametrize("labels", [1, 70])
def test_few_and_many_labels_are_drawn(evaluated, tmp_path, labels):
    _, report = evaluated(labels)
    figures = {
        "reliability": reliability_figure(report),
        "views": views_figure(report),
        "risk": risk_coverage_figure(report["uncertainty"]),
    }
    assert all(path.stat().st_size for path in save_figures(figures, tmp_path).values())
