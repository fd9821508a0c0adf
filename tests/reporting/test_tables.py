import numpy as np
import pytest

from mlgcn.metrics import multilabel_report
from mlgcn.reporting import as_text, summary_table
from mlgcn.reporting.tables import by_frequency, number

NAMES = ["Rare", "Common", "Never", "[bold]Odd[/bold]"]
GROUPS = {"head": ["Common"], "medium": ["[bold]Odd[/bold]"], "tail": ["Rare", "Never"]}


@pytest.fixture
def report():
    rng = np.random.default_rng(0)
    targets = (rng.uniform(size=(2000, 4)) < [0.005, 0.4, 0, 0.1]).astype(float)
    return multilabel_report(rng.uniform(size=(2000, 4)), targets, NAMES, GROUPS, "by a rule", 0.5)


def test_a_line_for_each_group_and_one_for_all(report):
    lines = [line.split() for line in as_text(summary_table(report, per_label=False)).splitlines()]
    rows = {line[0]: line[1:] for line in lines if line}
    for name, group in report["groups"].items():
        shown = [number(group[key]) for key in ("mAP", "no_skill_mAP", "mAUC", "mF1", "mBACC")]
        assert rows[name] == [*shown, str(group["labels"]), f"{group['positives']:,}"]
    positives = sum(group["positives"] for group in report["groups"].values())
    assert rows["all"][0] == number(report["mAP"]) and rows["all"][-2:] == ["4", f"{positives:,}"]


def test_the_rule_and_the_undefined_labels_are_told(report):
    text = as_text(summary_table(report))
    assert "Groups by a rule." in text
    assert "Undefined for 1 of 4 labels and left out of the means: AP, AUC, F1 of Never." in " ".join(text.split())


def test_labels_go_from_frequent_to_rare_and_keep_their_brackets(report):
    text = as_text(summary_table(report))
    places = [text.rindex(f"\n {name} ") for name in ("Common", "[bold]Odd[/bold]", "Rare", "Never")]
    assert places == sorted(places)
    assert by_frequency(report) == ["Common", "[bold]Odd[/bold]", "Rare", "Never"]


def test_unseen_labels_have_a_line_for_the_harmonic_mean_and_one_for_each_side_of_chance(report):
    assert "harmonic" not in as_text(summary_table(report)) and "Unseen" not in as_text(summary_table(report))
    sides = {"Rare": "above", "Common": "within", "[bold]Odd[/bold]": "above"}
    report["harmonic"] = {"mAP": 0.25, "mAUC": None}
    report["chance"] = {name: {"low": 0.4, "high": 0.6, "verdict": verdict} for name, verdict in sides.items()}
    text = " ".join(as_text(summary_table(report)).split())
    assert "harmonic 0.250 – – – – –" in text
    auc = {name: number(report["per_label"][name]["AUC"]) for name in sides}
    above = f"Rare {auc['Rare']} (0.400 to 0.600); [bold]Odd[/bold] {auc['[bold]Odd[/bold]']} (0.400 to 0.600)."
    assert f"Unseen, AUC above what chance gives (95 %): {above}" in text
    assert f"Unseen, AUC within what chance gives (95 %): Common {auc['Common']} (0.400 to 0.600)." in text


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0.12345, "0.123"), (1.0, "1.000"), (0.0, "0.000"), (0.000123, "0.00012")]
)
def test_numbers_have_three_decimals_unless_that_would_hide_them(value, shown):
    assert number(value) == shown
