import json
import re
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from mlgcn.metrics import multilabel_report
from mlgcn.prediction import Diagnostics
from mlgcn.prediction.diagnostics import Similarity
from mlgcn.prediction.edge_influence import EdgeInfluence
from mlgcn.predictions import Predictions
from mlgcn.reporting import write_page
from mlgcn.reporting.diagnostic_figures import (
    classifier_norms_figure,
    classifier_similarity_figure,
    diagnostic_figures,
    diagnostic_remarks,
    edge_influence_figure,
    expert_disagreement_figure,
)
from mlgcn.reporting.figures import GROUP_COLOURS, save_figures
from mlgcn.run_directory import EvaluationFiles, RunDirectory

FIGURES = ["classifier_norms", "expert_disagreement", "classifier_similarity", "edge_influence"]
NO_EDGES = "the label graph joins no two labels"


@pytest.fixture
def diagnostics(tmp_path):
    """Made-up diagnostics as their file has them; one label's name would be a formula to matplotlib."""

    def build(labels=7, experts=3, cut=5, edges=5, compared=None, attention="labels", images=40, lift=True):
        rng = np.random.default_rng(labels)
        names = tuple(f"Finding $x_{place}$" for place in range(labels))
        thirds = [labels // 3, 2 * labels // 3]
        positives = rng.permutation(labels) * 10
        order = np.argsort(-positives, kind="stable")
        by_group = zip(GROUP_COLOURS, np.split(order, thirds), strict=True)
        size = compared or labels
        cosine, together = (rng.uniform(low, high, (size, size)) for low, high in ((-0.5, 1), (0.1, 9)))
        source = rng.permutation(labels)[np.arange(cut) % labels]
        built = Diagnostics(
            names=names,
            groups={group: [names[place] for place in places] for group, places in by_group},
            positives=positives,
            images=images,
            attention=attention,
            norms=rng.uniform(1, 2, (experts, labels)).astype(np.float32),
            disagreement=np.full(labels, np.nan if experts == 1 else 0.01, np.float32) * np.arange(labels, dtype="f4"),
            similarity=Similarity(
                labels=order[:size],
                cosine=_symmetric(cosine),
                lift=_symmetric(together) if lift else None,
                linked=rng.uniform(size=(size, size)) < 0.2,
                spearman=0.25 if lift else None,
            ),
            edges=EdgeInfluence(
                source=source,
                target=(source + 1) % labels,
                weight=np.linspace(0.3, 0.1, cut, dtype=np.float32),
                change=rng.uniform(size=(cut, labels)).astype(np.float32),
                ap_change=rng.normal(0, 0.01, cut).astype(np.float32),
                edges=edges,
                images=min(images, 64) if cut else 0,
                missing="" if cut else NO_EDGES,
            ),
        )
        built.save(tmp_path / "diagnostics.json")
        return json.loads((tmp_path / "diagnostics.json").read_text())

    return build


def _symmetric(matrix):
    return ((matrix + matrix.T) / 2).astype(np.float32)


def from_frequent_to_rare(content):
    return sorted(range(len(content["names"])), key=lambda place: -content["positives"][place])


def plain(texts):
    return [text.get_text().replace(r"\$", "$") for text in texts]


def test_every_expert_has_a_line_through_its_norms_from_head_to_tail(diagnostics):
    content = diagnostics()
    axis = classifier_norms_figure(content).axes[0]
    order = from_frequent_to_rare(content)
    assert [line.get_label() for line in axis.lines] == ["expert 1", "expert 2", "expert 3"]
    for line, norms in zip(axis.lines, content["norms"], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), [norms[place] for place in order])
    assert plain(axis.get_xticklabels()) == [content["names"][place] for place in order]
    assert axis.get_ylabel() == "length of the classifier"


def test_each_label_stands_over_the_colour_of_its_group(diagnostics):
    content = diagnostics()
    axis = classifier_norms_figure(content).axes[0]
    strip = [artist for artist in axis.get_children() if isinstance(artist, Rectangle) and artist is not axis.patch]
    group_of = {name: group for group, members in content["groups"].items() for name in members}
    for patch, place in zip(sorted(strip, key=Rectangle.get_x), from_frequent_to_rare(content), strict=True):
        assert mpl.colors.same_color(patch.get_facecolor(), GROUP_COLOURS[group_of[content["names"][place]]])


def test_norms_and_similarity_with_joint_attention_say_that_they_stand_before_it(diagnostics):
    content = diagnostics(attention="joint")
    for draw in (classifier_norms_figure, classifier_similarity_figure):
        assert "before the attention" in draw(content).axes[0].get_ylabel()


def test_many_labels_are_drawn_without_their_names(diagnostics):
    axis = classifier_norms_figure(diagnostics(labels=61)).axes[0]
    assert all(len(line.get_ydata()) == 61 for line in axis.lines)
    assert axis.get_xlabel() == "61 labels, from frequent to rare in training"
    assert not any("Finding" in text for text in plain(axis.get_xticklabels()))


def test_every_label_has_a_bar_of_disagreement(diagnostics):
    content = diagnostics()
    axis = expert_disagreement_figure(content).axes[0]
    expected = [content["disagreement"][place] for place in from_frequent_to_rare(content)]
    assert [bar.get_height() for bar in axis.containers[0]] == expected


def test_every_pair_that_is_told_is_a_point_and_joined_ones_stand_out(diagnostics):
    content = diagnostics()
    similarity = content["similarity"]
    similarity["lift"][0][1] = similarity["lift"][1][0] = None
    apart, joined = classifier_similarity_figure(content).axes[0].collections
    expected = {True: [], False: []}
    for i in range(7):
        for j in range(i):
            if similarity["lift"][i][j] is not None:
                linked = similarity["linked"][i][j] or similarity["linked"][j][i]
                expected[linked].append((similarity["lift"][i][j], similarity["cosine"][i][j]))
    for drawn, points in ((joined, expected[True]), (apart, expected[False])):
        shown = np.ma.filled(np.ma.masked_invalid(drawn.get_offsets()), np.nan)
        shown = shown[~np.isnan(shown).any(axis=1)]
        assert sorted(map(tuple, shown.tolist())) == sorted(points) and points


def test_the_similarity_tells_its_correlation_and_names_pairs_by_their_labels(diagnostics):
    content = diagnostics()
    figure = classifier_similarity_figure(content)
    assert "Spearman's rank correlation 0.250" in plain(figure.legends[0].get_texts())
    similarity, notes = content["similarity"], figure.axes[0].texts
    assert 0 < len(notes) <= 8
    for note, name in zip(notes, plain(notes), strict=True):
        ends = [content["names"].index(label) for label in name.split(" – ")]
        i, j = (similarity["labels"].index(place) for place in ends)
        assert note.xy == (similarity["lift"][i][j], similarity["cosine"][i][j])


def test_names_of_similar_pairs_do_not_lie_on_each_other(diagnostics):
    content = diagnostics()
    cosine = np.array(content["similarity"]["cosine"])
    content["similarity"]["cosine"] = (0.8 + 0.2 * cosine).tolist()  # in a part of a figure that shows 0 too
    figure = classifier_similarity_figure(content)
    FigureCanvasAgg(figure).draw()
    boxes = [note.get_window_extent() for note in figure.axes[0].texts]
    assert len(boxes) > 1 and not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_the_edges_that_change_their_target_most_are_rows_of_their_changes(diagnostics):
    content = diagnostics(cut=7, edges=7)
    heat, precision = edge_influence_figure(content).axes[:2]
    edges, order = content["edges"], from_frequent_to_rare(content)
    rows = sorted(range(7), key=lambda edge: -edges["change"][edge][edges["target"][edge]])
    expected = [[edges["change"][edge][place] for place in order] for edge in rows]
    np.testing.assert_array_equal(heat.images[0].get_array(), expected)
    names = [f"{content['names'][edges['source'][e]]} → {content['names'][edges['target'][e]]}" for e in rows]
    assert plain(heat.get_yticklabels()) == names
    assert plain(heat.get_xticklabels()) == [content["names"][place] for place in order]
    framed = [(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in heat.patches]
    assert framed == [(order.index(edges["target"][edge]), row) for row, edge in enumerate(rows)]
    assert [bar.get_width() for bar in precision.containers[0]] == [edges["ap_change"][edge] for edge in rows]


def test_an_edge_into_a_label_without_a_positive_has_no_change_of_ap(diagnostics):
    content = diagnostics()
    content["edges"]["ap_change"] = [None, 0.1, None, 0.0, -0.2]
    precision = edge_influence_figure(content).axes[1]
    assert plain(precision.texts) == ["no positive"] * 2 and precision.get_xlim() == pytest.approx((-0.22, 0.22))


def test_of_many_edges_and_labels_the_most_changed_are_drawn(diagnostics):
    content = diagnostics(labels=50, cut=30, edges=30)
    heat = edge_influence_figure(content).axes[0]
    assert heat.images[0].get_array().shape == (20, 36) and len(heat.get_yticklabels()) == 20
    change = np.array(content["edges"]["change"])
    drawn = sorted(range(30), key=lambda edge: -change[edge, content["edges"]["target"][edge]])[:20]
    most = change[drawn].max(axis=0)
    columns = [content["names"].index(name) for name in plain(heat.get_xticklabels())]
    assert min(most[columns]) >= max(np.delete(most, columns))


def test_the_remarks_say_what_was_left_out(diagnostics):
    assert not any(diagnostic_remarks(diagnostics()).values())
    content = diagnostics(labels=50, experts=1, cut=30, edges=1540, compared=9, attention="joint", images=200)
    assert diagnostic_remarks(content) == {
        "classifier_norms": "With one expert there is no disagreement to show.",
        "classifier_similarity": "Of 50 labels the 9 most frequent are compared.",
        "edge_influence": "Of 1,540 edges the 30 heaviest were cut. Of 30 cut edges the 20 that change their target "
        "most are drawn. Of 50 labels the 36 that change most are drawn. Measured on 64 of the 200 images.",
    }
    remarks = diagnostic_remarks(diagnostics(cut=0, edges=0, lift=False))
    remark = remarks.pop("classifier_norms")
    assert f"No edge could be cut: {NO_EDGES}." in remark and "could be compared with is not known" in remark
    assert not any(remarks.values())


def test_what_the_diagnostics_lack_has_no_figure(diagnostics, tmp_path):
    assert list(diagnostic_figures(diagnostics())) == FIGURES
    poor = diagnostic_figures(diagnostics(labels=2, experts=1, cut=0, edges=0, lift=False))
    assert list(poor) == ["classifier_norms"]
    rich = diagnostic_figures(diagnostics(labels=61, experts=9, cut=2, edges=2))
    for figures in (poor, rich):
        assert all(path.exists() for path in save_figures(figures, tmp_path / "figures").values())


@pytest.fixture
def evaluation(tmp_path):
    """The files of an evaluation, and a run without anything else."""
    rng = np.random.default_rng(0)
    names = [f"Finding $x_{place}$" for place in range(7)]
    targets = (rng.uniform(size=(30, 7)) < 0.4).astype(np.float32)
    ids = [str(number) for number in range(30)]
    images = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": "frontal"})
    predictions = Predictions(images, names, rng.uniform(size=(30, 7)), targets)
    files = EvaluationFiles(tmp_path / "evaluation", tmp_path / "evaluation" / "metrics.json")
    predictions.write(files.predictions)
    groups = {"head": names, "medium": [], "tail": []}
    report = multilabel_report(predictions.scores, predictions.targets, names, groups, "by a rule")
    files.metrics.write_text(json.dumps(report | {"split": "test"}))
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    return files, run


def test_the_page_shows_the_diagnostics_of_a_run_that_has_them(evaluation, diagnostics):
    files, run = evaluation
    plain_page = write_page(files, run).read_text()
    assert not any(f'id="{name}"' in plain_page for name in FIGURES)
    run.diagnostics.write_text(json.dumps(diagnostics(cut=2, edges=1540)))
    page = write_page(files, run).read_text()
    found = [name for name in re.findall(r'<figure id="(\w+)">', page) if name in FIGURES]
    assert found == FIGURES and all((files.figures / f"{name}.png").is_file() for name in FIGURES)
    captions = dict(zip(re.findall(r'<figure id="(\w+)">', page), re.findall(r"<figcaption>(.*)<", page), strict=True))
    assert all(len(captions[name]) > 60 for name in FIGURES)
    assert captions["edge_influence"].endswith(" Of 1,540 edges the 2 heaviest were cut.")
