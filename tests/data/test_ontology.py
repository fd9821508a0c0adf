"""The label ontology: its spaces as published, its mapping rules restated cell by cell, and what a bad file is told."""

import math

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.ontology import (
    SHIPPED,
    canonical,
    describe_mapping,
    label_space,
    label_spaces,
    map_labels,
    read_ontology,
)
from mlgcn.data.phantom import LABELS
from mlgcn.data.sources.nih import FINDINGS, NO_FINDING
from mlgcn.labels import IMAGE_COLUMNS, LabelTable

NAN = float("nan")
FILE = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
SIZES = {
    "cxr_lt_2023": 26, "cxr_lt_2024": 45, "cxr_lt_2024_task1": 40, "cxr_lt_2024_task2": 26, "cxr_lt_2024_task3": 5,
    "cxr_lt_2026": 30, "cxr_lt_2026_task2": 6, "ltml_mimic_cxr": 39, "mimic_cxr_jpg": 14, "chexpert": 14, "nih": 15,
    "vinbigdata": 15, "vindr": 28, "padchest": 174 + 19, "phantom": 26, "torchxrayvision": 18,
}  # fmt: skip


def plain(name):
    return "".join(sign for sign in name.lower() if sign.isalnum())


# Restated from the file alone: the finding of every name, and its parents.
MEANING = {plain(n): f for f, entry in FILE["findings"].items() for n in [f, *entry.get("names", [])]}
PARENTS = {f: entry.get("parents", []) for f, entry in FILE["findings"].items()}


def is_kind(finding, of):
    return any(parent == of or is_kind(parent, of) for parent in PARENTS.get(finding, []))


def cell(row, target):
    """What a row {label: value} says of a target label, by the rules as they are written."""
    finding = MEANING.get(plain(target), plain(target))
    meant = {name: MEANING.get(plain(name), plain(name)) for name in row}

    def own(f):
        known = [row[name] for name in row if meant[name] == f and not math.isnan(row[name])]
        return max(known) if known else NAN

    def kind_found(f):
        return any(row[name] == 1 and is_kind(meant[name], f) for name in row)

    if not math.isnan(own(finding)):
        return own(finding)
    if kind_found(finding):
        return 1.0
    denied = any(is_kind(finding, f) and own(f) == 0 and not kind_found(f) for f in meant.values())
    return 0.0 if denied else NAN


def table_of(rows, names, **columns):
    return LabelTable(np.array(rows, dtype=float), names, image_id=[f"i{n}" for n in range(len(rows))], **columns)


def mapped(row, onto, **options):
    """One image's labels {label: value} in other labels."""
    table = map_labels(table_of([list(row.values())], list(row), **options), onto)
    return dict(zip(table.names, table.values[0].tolist(), strict=True))


def test_the_spaces_have_as_many_labels_as_published_and_name_them_as_the_sources_do():
    assert {name: len(labels) for name, labels in label_spaces().items()} == SIZES
    assert label_space("nih") == (*FINDINGS, NO_FINDING)
    assert label_space("phantom") == LABELS and sorted(LABELS) == list(label_space("cxr_lt_2023"))
    task1, task2, task3 = (label_space(f"cxr_lt_2024_task{task}") for task in (1, 2, 3))
    assert list(label_space("cxr_lt_2024")) == sorted({*task1, *task3}) and len({*task1, *task3}) == 45
    assert [{"Normal": "No Finding"}.get(name, name) for name in task2] == list(label_space("cxr_lt_2023"))
    assert task3 == ("Bulla", "Cardiomyopathy", "Hilum", "Osteopenia", "Scoliosis")
    assert sorted(label_space("chexpert")) == list(label_space("mimic_cxr_jpg"))
    assert not set(label_space("vinbigdata")) - set(label_space("vindr"))
    assert list(label_space("padchest")) == sorted(label_space("padchest"), key=str.casefold)
    assert not set(map(plain, label_space("cxr_lt_2026_task2"))) & set(map(plain, label_space("cxr_lt_2026")))


def test_every_label_means_a_finding_but_for_those_of_padchest_that_are_set_apart():
    unknown = {(space, name) for space, labels in label_spaces().items() for name in labels if canonical(name) is None}
    assert unknown == {("padchest", name) for name in FILE["apart"]}
    labels = [name for labels in label_spaces().values() for name in labels]
    assert set(map(canonical, labels)) - {None} == set(FILE["findings"])


def test_findings_are_called_as_cxr_lt_calls_them():
    for name in (*label_space("cxr_lt_2023"), *label_space("cxr_lt_2024")):
        assert canonical(name) == ("No Finding" if name == "Normal" else name)


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("Effusion", "Pleural Effusion"),
        ("Pleural_Thickening", "Pleural Thickening"),
        ("pleural-thickening", "Pleural Thickening"),
        ("Normal", "No Finding"),
        ("no finding", "No Finding"),
        ("Airspace Opacity", "Lung Opacity"),
        ("pulmonary edema", "Edema"),
        ("Pulmonary fibrosis", "Fibrosis"),
        ("infiltrates", "Infiltration"),
        ("bullas", "Bulla"),
        ("pneumoperitoneo", "Pneumoperitoneum"),
        ("aortic elongation", "Tortuous Aorta"),
        ("aortic atheromatosis", "Calcification of the Aorta"),
        ("hemidiaphragm elevation", "Unilaterally Elevated Diaphragm"),
        ("round atelectasis", "Round(ed) Atelectasis"),
        ("Rounded Atelectasis", "Round(ed) Atelectasis"),
        ("Other disease", "Other Disease"),
        ("exclude", None),
        ("Some Syndrome", None),
        ("", None),
    ],
)
def test_synonyms_and_spellings_mean_one_finding(name, finding):
    assert canonical(name) == finding


@pytest.mark.parametrize(
    ("kind", "wider"),
    [
        ("Lobar Atelectasis", "Atelectasis"),
        ("Round(ed) Atelectasis", "Atelectasis"),
        ("loculated pleural effusion", "Effusion"),
        ("Hydropneumothorax", "Pneumothorax"),
        ("Hydropneumothorax", "Pleural Effusion"),
        ("callus rib fracture", "Fracture"),
        ("Nodule", "Nodule/Mass"),
        ("central venous catheter via jugular vein", "Support Devices"),
    ],
)
def test_a_kind_makes_the_wider_finding_positive_and_its_absence_denies_the_kind(kind, wider):
    assert mapped({kind: 1}, [wider]) == {wider: 1}
    assert mapped({wider: 0}, [kind]) == {kind: 0}
    for row, target in (({kind: 0}, wider), ({kind: NAN}, wider), ({wider: 1}, kind), ({wider: NAN}, kind)):
        assert math.isnan(mapped(row, [target])[target])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Subcutaneous Emphysema", "Emphysema"),
        ("Pulmonary Embolism", "Embolus"),
        ("Pulmonary Hypertension", "Hypertension"),
        ("Cardiomegaly", "Enlarged Cardiomediastinum"),
        ("Edema", "Lung Opacity"),
        ("Nodule", "Lung Lesion"),
        ("Pleural Thickening", "Pleural Other"),
        ("Fissure Thickening", "Fissure"),
        ("No Finding", "Atelectasis"),
    ],
)
@pytest.mark.parametrize("value", [0, 1])
def test_near_findings_say_nothing_about_each_other(one, other, value):
    assert math.isnan(mapped({one: value}, [other])[other])
    assert math.isnan(mapped({other: value}, [one])[one])


def test_nih_in_the_labels_of_cxr_lt_leaves_unknown_what_it_does_not_tell():
    row = dict.fromkeys(label_space("nih"), 0.0) | {"Effusion": 1.0, "Pleural_Thickening": 1.0}
    found = mapped(row, "cxr_lt_2024")
    assert {name for name, value in found.items() if value == 1} == {"Pleural Effusion", "Pleural Thickening"}
    told = {{"Effusion": "Pleural Effusion", "No Finding": "Normal"}.get(n, n.replace("_", " ")) for n in row}
    kinds = {"Lobar Atelectasis", "Round(ed) Atelectasis", "Hydropneumothorax"}
    assert {name for name, value in found.items() if value == 0} == (told | kinds) - {
        "Pleural Effusion", "Pleural Thickening",
    }  # fmt: skip
    assert sum(map(math.isnan, found.values())) == 45 - 15 - 3


def test_a_positive_kind_withdraws_what_the_wider_finding_says_of_the_others_but_changes_no_label():
    found = mapped({"Fracture": 0, "Rib Fracture": 1}, ["Fracture", "Rib Fracture", "Clavicle Fracture"])
    assert found["Fracture"] == 0 and found["Rib Fracture"] == 1 and math.isnan(found["Clavicle Fracture"])


def test_of_two_labels_of_one_finding_the_larger_known_value_counts():
    assert mapped({"Effusion": 0, "Pleural Effusion": 1}, ["pleural effusion"]) == {"pleural effusion": 1}
    assert mapped({"Effusion": 0, "Pleural Effusion": NAN}, ["pleural effusion"]) == {"pleural effusion": 0}
    found = mapped({"Effusion": 0, "Pleural Effusion": 0.25}, ["pleural effusion"], soft=True)
    assert found == {"pleural effusion": 0.25}


def test_soft_values_are_kept_for_the_same_finding_and_say_nothing_of_others():
    found = mapped(
        {"Rib Fracture": 0.5, "Edema": 0.25, "Atelectasis": 0.5}, ["Fracture", "Edema", "Lobar Atelectasis"], soft=True
    )
    assert found["Edema"] == 0.25 and math.isnan(found["Fracture"]) and math.isnan(found["Lobar Atelectasis"])


def test_labels_that_the_ontology_lacks_map_onto_their_own_spelling_alone():
    found = mapped({"Some_Syndrome": 1, "exclude": 0}, ["some syndrome", "Exclude", "Other Syndrome"])
    assert found["some syndrome"] == 1 and found["Exclude"] == 0 and math.isnan(found["Other Syndrome"])


def test_images_stay_as_they_are():
    table = table_of(
        [[1, 0], [0, NAN]], ["Effusion", "Mass"], path=["a.png", "b.png"], patient_id=["p", "q"], study_id=["s", "t"],
        view=["frontal", "lateral"], split=["train", "test"], soft=True,
    )  # fmt: skip
    found = map_labels(table, "cxr_lt_2023")
    assert found.images[list(IMAGE_COLUMNS)].equals(table.images[list(IMAGE_COLUMNS)])
    assert found.names == label_space("cxr_lt_2023") and found.soft


NAMES = sorted({name for labels in label_spaces().values() for name in labels} | {"Some Syndrome"})
ROWS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 1.0, 0.5, NAN]), min_size=1, max_size=30)
TARGETS = st.sampled_from(list(SIZES)) | st.lists(st.sampled_from(NAMES), min_size=1, max_size=9, unique=True)


@settings(max_examples=60)
@given(first=ROWS, seed=st.integers(0, 99), onto=TARGETS)
def test_every_cell_follows_the_rules(first, seed, onto):
    names = list(first)
    more = np.random.default_rng(seed).choice([0, 1, 0.5, NAN], size=(3, len(names)))
    rows = np.concatenate([[list(first.values())], more])
    found = map_labels(table_of(rows, names, soft=True), onto)
    expected = [[cell(dict(zip(names, row, strict=True)), name) for name in found.names] for row in rows.tolist()]
    np.testing.assert_array_equal(found.values, expected)


@settings(max_examples=30)
@given(space=st.sampled_from(list(SIZES)), seed=st.integers(0, 99))
def test_a_table_in_its_own_labels_keeps_every_known_value(space, seed):
    names = label_space(space)
    values = np.random.default_rng(seed).choice([0, 1, 0.5, NAN], size=(4, len(names)))
    found = map_labels(table_of(values, names, soft=True), space).values
    known = ~np.isnan(values)
    np.testing.assert_array_equal(found[known], values[known])


@settings(max_examples=30)
@given(row=ROWS, onto=TARGETS, value=st.sampled_from([1.0, NAN]))
def test_nothing_becomes_negative_without_a_negative(row, onto, value):
    assert 0 not in mapped(dict.fromkeys(row, value), onto).values()


@settings(max_examples=30)
@given(names=st.lists(st.sampled_from(NAMES), max_size=20, unique=True), onto=TARGETS)
def test_the_described_sources_are_those_that_can_change_a_label(names, onto):
    matches = describe_mapping(names, onto)
    targets = label_space(onto) if isinstance(onto, str) else onto
    assert list(dict.fromkeys(m.target for m in matches if m.target)) == list(targets)
    for target in targets:
        found = {(m.source, m.how) for m in matches if m.target == target and m.source}
        expected = set()
        for name in names:
            of, source = (MEANING.get(plain(n), plain(n)) for n in (target, name))
            how = "same" if of == source else "child" if is_kind(source, of) else "parent" if is_kind(of, source) else 0
            expected |= {(name, how)} if how else set()
        assert found == expected
        assert expected or next(m for m in matches if m.target == target).how == "unmapped"
    used = {m.source for m in matches if m.target}
    assert [m.source for m in matches if m.target is None] == [name for name in names if name not in used]


def test_an_unknown_space_names_the_nearest():
    table = table_of([[1]], ["Mass"])
    for call in (label_space, lambda name: map_labels(table, name), lambda name: describe_mapping(["Mass"], name)):
        with pytest.raises(ValueError, match="unknown label space 'padchst'; did you mean 'padchest'"):
            call("padchst")


def test_no_labels_and_repeated_labels_are_refused():
    table = table_of([[1]], ["Mass"])
    for call in (lambda: map_labels(table, []), lambda: describe_mapping(["Mass"], [])):
        with pytest.raises(ValueError, match="there are no labels to map onto"):
            call()
    with pytest.raises(ValueError, match=r"label names repeat: \['Mass'\]"):
        map_labels(table, ["Mass", "Mass"])


GOOD = """
spaces: {ours: [Mass, effusion, odd]}
findings:
  Mass: {}
  Pleural Effusion: {names: [Effusion]}
  Empyema: {parents: [Pleural Effusion]}
apart: [odd]
"""


def test_a_file_of_ones_own_is_read(tmp_path):
    (tmp_path / "own.yaml").write_text(GOOD)
    own = read_ontology(tmp_path / "own.yaml")
    assert own.spaces == {"ours": ("Mass", "effusion", "odd")}
    assert own.findings["effusion"] == "Pleural Effusion" and own.ancestors["Empyema"] == {"Pleural Effusion"}
    assert own.finding("EFFUSION") == "Pleural Effusion" and own.finding("Odd_One") == "oddone"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("names: [Effusion]", "names: [Effusion, mass]", "'mass' stands under two findings, 'Mass' and 'Pleural Eff"),
        ("names: [Effusion]", "names: [pleural_effusion]", "'pleural_effusion' stands under two findings"),
        ("Mass: {}", "Mass: {}\n  Mass: {}", "'Mass' stands twice"),
        ("[Pleural Effusion]", "[Pleural Efusion]", "'Empyema': unknown parent 'Pleural Efusion'; did you mean 'Pleur"),
        ("names: [Effusion]", "names: [Effusion], parents: [Empyema]", "'Pleural Effusion' is a kind of itself"),
        ("Mass: {}", "Mass: {parents: [Mass]}", "'Mass' is a kind of itself"),
        ("names: [Effusion]", "name: [Effusion]", "'Pleural Effusion': unknown entry 'name'; did you mean 'names'"),
        ("names: [Effusion]", "names: Effusion", "names of 'Pleural Effusion': got 'Effusion', expected a list"),
        ("names: [Effusion]", "names: [Effusion, No]", "names of 'Pleural Effusion': got False where a name should"),
        ("names: [Effusion]", "names: [Effusion, '-']", "names of 'Pleural Effusion': got '-' where a name should"),
        ("Mass: {}", "Mass:", "finding 'Mass': got None, expected a mapping"),
        ("Mass, effusion", "Mass, efusion", "space 'ours': 'efusion' is the name of no finding and not set apart"),
        ("Mass, effusion", "Effusion, Mass, effusion", "space 'ours': 'Effusion' and 'effusion' mean the same"),
        ("[Mass, effusion, odd]", "Mass", "space 'ours': got 'Mass', expected a list of names"),
        ("apart: [odd]", "apart: [odd, Mass]", r"apart: \['Mass'\] are findings as well"),
        ("apart:", "aside:", "the file: unknown entry 'aside'"),
        ("findings:", "findings: []\nx:", "unknown entry 'x'"),
        ("spaces: {ours: [Mass, effusion, odd]}", "spaces: [ours]", r"spaces: got \['ours'\], expected a mapping"),
        ("spaces:", "{", "not readable as YAML"),
    ],
)
def test_a_bad_file_is_refused_with_the_entry_that_is_wrong(tmp_path, old, new, message):
    path = tmp_path / "bad.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as refused:
        read_ontology(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.yaml"):
        read_ontology(tmp_path / "gone.yaml")
