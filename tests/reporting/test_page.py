import base64
import contextlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mlgcn.graph import cooccurrence, save_graph
from mlgcn.labels import LabelTable
from mlgcn.losses import BCELoss, LargeLossReconsideration, MultiExpertLoss, loss_gradients
from mlgcn.metrics import multilabel_report
from mlgcn.predictions import Predictions
from mlgcn.reporting import write_page
from mlgcn.reporting.compare import compare
from mlgcn.reporting.page_figures import SECTIONS, page_figures
from mlgcn.reporting.tables import detail_lines, number
from mlgcn.run_directory import EvaluationFiles, RunDirectory

HOSTILE = '<script>alert("x")</script>&\'"'
NAMES = ["Lung Opacity", "Hernia", HOSTILE]
# Of the figures, those that need no more than predictions and metrics.
PLAIN = ["frequency", "precision_recall", "reliability", "confusion"]
GROUPS = {"head": ["Lung Opacity"], "medium": ["Hernia"], "tail": [HOSTILE]}


class Page(HTMLParser):
    """Tags with their attributes, and the text outside style and script."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.inside = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("style", "script"):
            self.words.append(data)

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def made_evaluation(folder):
    """The files of an evaluation whose third label has no positive."""
    rng = np.random.default_rng(0)
    targets = (rng.uniform(size=(80, 3)) < [0.5, 0.2, 0]).astype(np.float32)
    ids = [f"{i:03d}" for i in range(80)]
    images = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": "frontal"})
    predictions = Predictions(images, NAMES, rng.uniform(size=(80, 3)), targets)
    files = EvaluationFiles(folder / "evaluation", folder / "evaluation" / "metrics.json")
    predictions.write(files.predictions)
    report = multilabel_report(predictions.scores, predictions.targets, NAMES, GROUPS, "by a rule & more")
    files.metrics.write_text(json.dumps(report | {"split": "test", "unreadable": ["a<b>.png"]}))
    return files


def made_run(folder):
    """A run directory with what a page shows of it."""
    run = RunDirectory(folder / "a <run>")
    run.path.mkdir()
    part = {"images": 1234, "patients": 567, "known": dict.fromkeys(NAMES, 1234)}
    parts = {
        "train": part | {"positives": dict(zip(NAMES, [600, 98, 0], strict=True))},
        "test": part | {"positives": dict(zip(NAMES, [300, 49, 1], strict=True))},
    }
    run.splits.write_text(json.dumps({"method": "by patient", "parts": parts, "warnings": ["Patients are shared."]}))
    run.config.write_text("data:\n  source: <phantom>\n")
    run.environment.write_text('{"torch": "2.15"}')
    save_graph(run.label_graph, cooccurrence([[1, 1, 0]] * 2 + [[1, 0, 0]] * 7 + [[0, 1, 0]] * 2, NAMES))
    log = {"epoch": [0, 0], "step": [5, 10], "train/loss": [1.0, 0.5], "val/mAP": [np.nan, 0.3]}
    pd.DataFrame(log).to_csv(run.metrics, index=False)
    return run


def compared(folder, predictions):
    """The comparison of predictions with others whose labels and images stand in reverse."""
    predictions.write(folder / "ours.parquet")
    images, names = predictions.images[::-1], predictions.names[::-1]
    other = 1 - predictions.scores[::-1, ::-1], predictions.targets[::-1, ::-1]
    Predictions(images, names, *other).write(folder / "theirs.parquet")
    with contextlib.chdir(folder):
        return compare(["ours.parquet", "theirs.parquet"], resamples=20)


@pytest.fixture
def evaluation(tmp_path):
    return made_evaluation(tmp_path)


@pytest.fixture
def run(tmp_path):
    return made_run(tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files of an evaluation with its page, for tests that only read it."""
    folder = tmp_path_factory.mktemp("written")
    files = made_evaluation(folder)
    assert write_page(files, made_run(folder)) == files.report
    return files


def test_the_page_holds_the_numbers_next_to_no_skill(written):
    report, text = json.loads(written.metrics.read_text()), Page(written.report.read_text()).text
    assert text.startswith("a <run> – mlgcn a <run> test split · 80 images · 3 labels")
    assert f"mAP {report['mAP']:.3f} no skill {report['no_skill_mAP']:.3f}" in text
    assert f"mAUC {report['mAUC']:.3f} no skill 0.500" in text
    head = [number(report["groups"]["head"][mean]) for mean in ("mAP", "no_skill_mAP", "mAUC", "mF1", "mBACC")]
    assert f"head{''.join(head)}1" in text
    shares = [report["per_label"][name]["prevalence"] for name in NAMES[:2]]
    # Called positive throughout, precision is the prevalence and recall 1.
    always = np.mean([2 * share * 1 / (share + 1) for share in shares])
    assert f"mF1 {report['mF1']:.3f} all positive {always:.3f}" in text
    assert "Groups by a rule & more." in text and text.endswith("Research software, not a medical device.")


def test_the_page_warns_about_everything_that_limits_the_numbers(written):
    text = Page(written.report.read_text()).text
    assert "Patients are shared." in text
    assert f"Training saw no positive image of {HOSTILE}, which" in text
    assert f"Undefined for 1 of 3 labels and left out of the means: AP, AUC, F1 of {HOSTILE}." in text
    assert "Unreadable and not in the numbers (1): a<b>.png." in text


def test_the_page_shows_split_configuration_and_environment(written):
    page = Page(written.report.read_text())
    for piece in ("train1,2345676981", "source: <phantom>", '{"torch": "2.15"}', "by patient"):
        assert piece in page.text
    assert len(page.attributes("details")) == 3


def test_the_figures_are_embedded_and_also_written(written):
    page = Page(written.report.read_text())
    names = ["frequency", "labels_per_image", "cooccurrence", "head_cooccurrence", *PLAIN[1:], "training"]
    assert [figure["id"] for figure in page.attributes("figure")] == names
    for name, image in zip(names, page.attributes("img"), strict=True):
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/png;base64" and image["alt"]
        assert base64.b64decode(data) == (written.figures / f"{name}.png").read_bytes()


def test_the_page_loads_nothing(written):
    html = written.report.read_text()
    page = Page(html)
    links = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert all(link.startswith("data:") for link in links)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", html))
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.attributes("meta"))


def test_a_hostile_label_name_stays_text(written):
    html = written.report.read_text()
    assert HOSTILE in Page(html).text
    assert "alert(" not in "".join(re.findall(r"<script>.*?</script>", html, re.DOTALL))
    assert html.count("<script>") == 1


def test_a_page_needs_no_run(evaluation):
    page = Page(write_page(evaluation).read_text())
    assert page.text.startswith("evaluation – mlgcn")
    assert [figure["id"] for figure in page.attributes("figure")] == PLAIN
    assert "in training" not in page.text and not page.attributes("details")


def test_what_an_unfinished_run_lacks_is_left_out(evaluation, run):
    for path in (run.splits, run.config, run.environment, run.label_graph, run.metrics):
        path.unlink()
    evaluation.figures.mkdir()
    (evaluation.figures / "cases.png").touch()  # of an evaluation before
    assert len(Page(write_page(evaluation, run).read_text()).attributes("figure")) == len(PLAIN)
    assert {path.stem for path in evaluation.figures.iterdir()} == set(PLAIN)


def test_the_sections_hold_all_figures_that_there_are_with_remarks_behind_their_captions(run, evaluated, tmp_path):
    predictions, report = evaluated(70, images=60, resamples=5)
    save_graph(run.label_graph, cooccurrence(np.nan_to_num(predictions.targets), predictions.names))
    gradients = loss_gradients(MultiExpertLoss(LargeLossReconsideration(BCELoss())), {predictions.names[0]: 0}, 70)
    run.loss_gradients.write_text(json.dumps({"loss": "bce", "groups": {"head": predictions.names[0]}, **gradients}))
    paths = [f"phantom:0:{row}" if row % 2 else "gone.png" for row in range(60)]
    table = LabelTable(predictions.targets, predictions.names, image_id=predictions.images.image_id, path=paths)
    found = compared(tmp_path, predictions)
    figures, remarks = page_figures(report, predictions, run, table=table, comparison=found)
    assert set(figures) == {name for title, names in SECTIONS.items() if title != "Model" for name in names}
    for name, said in {
        "frequency": "is the 95% interval of the AP (5 resamples of 60 images, less their bias)",
        "labels_per_image": "On the left, how often each of all labels occurs.",
        "confusion": "The 30 most frequent labels are drawn.",
        "risk_coverage": "The areas under the curves: disagreement ",
        "cases": " of them could not be read.",
        "increments": "A: ours.parquet, B: theirs.parquet. mAP: these images show no difference between A and B (95 %",
        "loss_gradients": "Drawn without large-loss reconsideration",
    }.items():
        assert said in remarks[name]


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ({"head": [], "medium": NAMES}, NAMES),
        ({"head": NAMES[2:], "medium": NAMES[:2]}, NAMES),  # with no other label in any image
        (GROUPS, [*NAMES[:2], "Mass"]),
    ],
)
def test_what_comes_with_head_labels_is_drawn_only_where_some_of_the_report_come_with_others(
    groups, names, evaluation, run
):
    predictions = Predictions.read(evaluation.predictions)
    save_graph(run.label_graph, cooccurrence([[1, 1, 0]] * 2 + [[0, 0, 1]], names))
    report = multilabel_report(predictions.scores, predictions.targets, NAMES, groups, "a rule")
    figures, _ = page_figures(report, predictions, run)
    assert "cooccurrence" in figures and "head_cooccurrence" not in figures


def test_the_page_shows_a_comparison_as_long_as_there_is_one(evaluation, tmp_path):
    evaluation.comparison.write_text(json.dumps(compared(tmp_path, Predictions.read(evaluation.predictions))))
    page = Page(write_page(evaluation).read_text())
    assert "increments" in [figure["id"] for figure in page.attributes("figure")]
    assert "right of 0 this model (A) is better" in page.text and "A: ours.parquet, B: theirs.parquet." in page.text
    evaluation.comparison.unlink()
    assert "increments" not in write_page(evaluation).read_text()
    assert not (evaluation.figures / "increments.png").exists()


def test_the_page_tells_intervals_views_and_columns_as_the_terminal_does(evaluated, tmp_path):
    predictions, report = evaluated(3, images=60, resamples=5)
    files = EvaluationFiles(tmp_path, tmp_path / "metrics.json")
    predictions.write(files.predictions)
    report |= multilabel_report(
        predictions.scores, predictions.targets, predictions.names, {"head": predictions.names}, "all",
        views=predictions.images.view, columns={"site": ["north", "<south>"] * 30},
    )  # fmt: skip
    files.metrics.write_text(json.dumps(report | {"split": "test"}))
    text, lines = Page(write_page(files).read_text()).text, detail_lines(report)
    assert [line.split("(")[0] for line in lines] == ["95% intervals ", "By view ", "By site "]
    assert all(line in text for line in lines)


def test_without_a_table_or_with_nothing_to_read_there_is_no_image_sheet(evaluated):
    predictions, report = evaluated(3, images=40)
    table = LabelTable(predictions.targets, predictions.names, image_id=predictions.images.image_id)
    for scored in (None, table):
        assert "cases" not in page_figures(report, predictions, table=scored)[0]


@pytest.mark.parametrize(
    ("disagreement", "said"),
    [
        (0.2, "oracle 0.100 (without intervals)."),
        (0.5, "(without intervals); leaving images out at random does as well as the disagreement, or better."),
    ],
)
def test_the_remark_says_whether_the_disagreement_tells_the_errors(evaluated, disagreement, said):
    predictions, report = evaluated(3, images=40)
    report["uncertainty"]["AURC"] = {"disagreement": disagreement, "probability": 0.3, "oracle": 0.1, "random": 0.5}
    remark = page_figures(report, predictions)[1]["risk_coverage"]
    assert remark.startswith(f"The areas under the curves: disagreement {disagreement:.3f}, probability 0.300, random")
    assert remark.endswith(said)


def test_the_runs_name_in_the_report_is_the_title(evaluation, run):
    report = json.loads(evaluation.metrics.read_text())
    evaluation.metrics.write_text(json.dumps(report | {"run": "the name"}))
    assert Page(write_page(evaluation, run).read_text()).text.startswith("the name – mlgcn")


def test_predictions_of_other_labels_are_refused(evaluation):
    predictions = Predictions.read(evaluation.predictions)
    renamed = Predictions(predictions.images, ["A", "B", "C"], predictions.scores, predictions.targets)
    renamed.write(evaluation.predictions)
    with pytest.raises(ValueError, match=r"lacks \['Lung Opacity'"):
        write_page(evaluation)


def test_the_same_files_give_the_same_page(evaluation, run, written):
    assert write_page(evaluation, run).read_bytes() == written.report.read_bytes()
