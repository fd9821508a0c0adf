"""What is made of the sentences of radiology reports. All sentences but Open-i's were written for these tests."""

import math
import multiprocessing
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis.strategies import data, lists, permutations, sampled_from

from mlgcn.data.annotation import (
    Report,
    annotate,
    annotate_reports,
    annotator,
    label_set,
    mesh_labels,
    read_annotation_reports,
    score,
    score_table,
)
from mlgcn.data.annotation.annotator import Annotator
from mlgcn.data.annotation.lists import MESH, read_cues, read_findings, read_lists
from mlgcn.data.annotation.patterns import parse_phrase
from mlgcn.data.annotation.scoring import read_headings
from mlgcn.data.ontology import canonical, label_space

pytest.importorskip("spacy", reason="spaCy is not installed")

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "annotation.md"

# How a report names each label: what fits behind "there is", "no evidence of" and "possible".
NAMED = {
    "Adenopathy": "right paratracheal lymphadenopathy",
    "Alveolar Lung Disease": "bilateral air-space disease",
    "Aortic Aneurysm": "aneurysmal dilatation of the descending aorta",
    "Atelectasis": "platelike atelectasis at the left base",
    "Azygos Lobe": "an azygous lobe",
    "Bilateral Hilar Enlargement": "bilateral hilar enlargement",
    "Bronchiectasis": "bronchiectatic change",
    "Bulla": "apical bullae",
    "Calcification of the Aorta": "calcification of the aortic arch",
    "Cardiomegaly": "mild enlargement of the cardiac silhouette",
    "Cardiomyopathy": "dilated cardiomyopathy",
    "Clavicle Fracture": "fracture of the distal left clavicle",
    "Consolidation": "lobar consolidation",
    "Diaphragmatic Hernia": "left diaphragmatic hernia",
    "Edema": "interstitial oedema",
    "Embolus": "septic emboli",
    "Emphysema": "emphysematous change",
    "Enlarged Cardiomediastinum": "mediastinal widening",
    "Fibrosis": "basal fibrosis",
    "Fissure": "fluid in the minor fissure",
    "Fracture": "humeral fracture",
    "Granuloma": "a calcified granuloma",
    "Hemothorax": "haemothorax",
    "Hernia": "a small hiatal hernia",
    "Hilum": "prominence of the left hilum",
    "Hydropneumothorax": "hydropneumothorax",
    "Hypertension": "systemic hypertension",
    "Infarction": "pulmonary infarct",
    "Infiltration": "patchy infiltrates",
    "Kyphosis": "thoracic kyphosis",
    "Left Atrial Enlargement": "left atrial enlargement",
    "Lobar Atelectasis": "right upper lobe collapse",
    "Lung Lesion": "a cavitary lesion",
    "Lung Opacity": "hazy opacities",
    "Mass": "a spiculated mass",
    "Massive Cardiomegaly": "massive cardiomegaly",
    "Mediastinal Shift": "mediastinal shift",
    "Mitral Insufficiency": "mitral valve regurgitation",
    "Mucoid Impaction": "mucus plugging",
    "Multiple Pulmonary Nodules": "multiple bilateral pulmonary nodules",
    "Nodule": "a 9 mm round nodule",
    "Osteopenia": "diffuse osteopenia",
    "Pericardial Effusion": "pericardial effusion",
    "Pleural Calcification": "calcified pleural plaques",
    "Pleural Effusion": "a right effusion",
    "Pleural Other": "pleural scarring",
    "Pleural Thickening": "biapical pleural thickening",
    "Pneumomediastinum": "mediastinal air",
    "Pneumonia": "lower lobe pneumonia",
    "Pneumopericardium": "pneumopericardium",
    "Pneumoperitoneum": "free intraperitoneal air",
    "Pneumothorax": "apical pneumothorax",
    "Pulmonary Arterial Hypertension": "pulmonary arterial hypertension",
    "Pulmonary Embolism": "pulmonary emboli",
    "Pulmonary Hypertension": "pulmonary hypertension",
    "Rib Fracture": "fractures of the left fifth and sixth ribs",
    "Round(ed) Atelectasis": "rounded atelectasis",
    "Scoliosis": "dextroscoliosis",
    "Segmental Atelectasis": "segmental atelectasis",
    "Small Lung Nodules": "tiny nodules",
    "Subcutaneous Emphysema": "subcutaneous gas",
    "Support Devices": "a nasogastric tube",
    "Tortuous Aorta": "tortuosity of the thoracic aorta",
    "Tuberculosis": "active tuberculosis",
    "Unilaterally Elevated Diaphragm": "elevation of the right hemidiaphragm",
}
SENTENCES = [f"{start} {named}." for named in NAMED.values() for start in ("There is", "No", "There may be")] + [
    "Heart size is normal and the lungs are clear.",
    "Opacity may represent atelectasis versus pneumonia.",
    "No pneumothorax, however there is a small effusion.",
    "The pleural effusion has resolved, pneumonia cannot be excluded.",
    "No effusion, heart is mildly enlarged.",
]


@pytest.mark.parametrize("label", NAMED)
def test_every_label_is_found_denied_and_doubted(label):
    assert annotate(f"There is {NAMED[label]}.")[label] == 1
    assert annotate(f"No evidence of {NAMED[label]}.")[label] == 0
    assert annotate(f"Possible {NAMED[label]}.")[label] == -1


def test_the_sentences_above_name_every_label_of_both_spaces():
    assert list(read_findings().labels) == sorted(NAMED)
    wanted = {canonical(name) for space in ("ltml_mimic_cxr", "cxr_lt_2024") for name in label_space(space)}
    assert wanted - {canonical("No Finding")} <= {canonical(name) for name in NAMED}


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        # Denial, before and after.
        "No effusion, consolidation, or pneumothorax.": {"Pleural Effusion": 0, "Consolidation": 0, "Pneumothorax": 0},
        "The lungs are clear without focal consolidation.": {"Consolidation": 0, "Lung Opacity": 0},
        "Negative for pneumothorax.": {"Pneumothorax": 0},
        "Pneumothorax is not seen.": {"Pneumothorax": 0},
        "The right effusion has completely resolved.": {"Pleural Effusion": 0},
        "Interval removal of the endotracheal tube.": {"Support Devices": 0},
        "The heart is not enlarged.": {"Cardiomegaly": 0},
        "There isn't any pneumothorax.": {"Pneumothorax": 0},
        "No focal opacity to suggest pneumonia.": {"Lung Opacity": 0, "Pneumonia": 0},
        "No displaced rib fracture.": {"Rib Fracture": 0},
        "Nothing to suggest pneumonia.": {"Pneumonia": 0},
        "There is nothing acute suggestive of edema.": {"Edema": 0},
        "Unlikely pneumonia.": {"Pneumonia": 0},
        "Left opacity, unlikely to represent pneumonia.": {"Lung Opacity": 1, "Pneumonia": 0},
        "Opacity unlikely to be an effusion.": {"Lung Opacity": 1, "Pleural Effusion": 0},
        "Pneumonia unlikely, small effusion.": {"Pneumonia": 0, "Pleural Effusion": 1},
        "Pneumonia is unlikely, small effusion.": {"Pneumonia": 0, "Pleural Effusion": 1},
        "No longer present is a pneumothorax.": {"Pneumothorax": 0},
        "No longer seen are the effusions.": {"Pleural Effusion": 0},
        # A finding is absent by what the report says of the organ.
        "Heart size is normal.": {"Cardiomegaly": 0},
        "Heart size at the upper limits of normal.": {"Cardiomegaly": 0},
        "Cardiac silhouette and mediastinum are within normal limits.": {
            "Cardiomegaly": 0,
            "Enlarged Cardiomediastinum": 0,
        },
        "Heart size is not normal.": {},
        # Doubt.
        "Pneumonia cannot be excluded.": {"Pneumonia": -1},
        "Pneumonia can not entirely be ruled out.": {"Pneumonia": -1},
        "Opacity may represent atelectasis versus pneumonia.": {"Lung Opacity": 1, "Atelectasis": -1, "Pneumonia": -1},
        "Atelectasis or infiltrate at the base.": {"Atelectasis": -1, "Infiltration": -1, "Lung Opacity": -1},
        "Findings could be consistent with edema.": {"Edema": -1},
        "Doubtful pneumonia.": {"Pneumonia": -1},
        "Pneumonia is doubtful.": {"Pneumonia": -1},
        "? pneumonia": {"Pneumonia": -1},
        "Left opacity, ?pneumonia.": {"Lung Opacity": 1, "Pneumonia": -1},
        "Effusion (?? edema).": {"Pleural Effusion": 1, "Edema": -1},
        "No effusion? Atelectasis.": {"Pleural Effusion": 0, "Atelectasis": 1},
        "Borderline heart size.": {"Cardiomegaly": -1},
        "Anterior wedge deformity of a vertebra.": {"Fracture": -1},
        "No pneumothorax, possible small effusion.": {"Pneumothorax": 0, "Pleural Effusion": -1},
        # Where a cue's reach ends.
        "No consolidation, but there is a small effusion.": {"Consolidation": 0, "Pleural Effusion": 1},
        "No pneumothorax with small effusion.": {"Pneumothorax": 0, "Pleural Effusion": 1},
        "No effusion, the heart is enlarged.": {"Pleural Effusion": 0, "Cardiomegaly": 1},
        "No effusion; atelectasis at the base.": {"Pleural Effusion": 0, "Atelectasis": 1},
        "Small effusion, pneumothorax is not seen.": {"Pleural Effusion": 1, "Pneumothorax": 0},
        "Effusion, edema and pneumothorax are not seen.": {"Pleural Effusion": 0, "Edema": 0, "Pneumothorax": 0},
        "No pneumothorax\n\nCardiomegaly": {"Pneumothorax": 0, "Cardiomegaly": 1},
        "- No pneumothorax\n- Cardiomegaly": {"Pneumothorax": 0, "Cardiomegaly": 1},
        "No focal\nconsolidation": {"Consolidation": 0},
        # Words that only look like a cue.
        "No change in the pleural effusion.": {"Pleural Effusion": 1},
        "No significant interval change in cardiomegaly.": {"Cardiomegaly": 1},
        "Not only atelectasis.": {"Atelectasis": 1},
        # The longest phrase wins.
        "Pericardial effusion.": {"Pericardial Effusion": 1},
        "No pericardial or pleural effusion.": {"Pericardial Effusion": 0, "Pleural Effusion": 0},
        "Pleural thickening.": {"Pleural Thickening": 1, "Pleural Other": 1},
        "Hiatal hernia.": {"Hernia": 1},
        "Inguinal hernia.": {},
        "Subcutaneous emphysema.": {"Subcutaneous Emphysema": 1},
        "Pulmonary hypertension.": {"Pulmonary Hypertension": 1},
        "Mild mass effect on the trachea.": {},
        "Sclerotic bone lesions.": {},
        "Bilateral hilar adenopathy.": {"Adenopathy": 1, "Bilateral Hilar Enlargement": 1, "Hilum": 1},
        "Subsegmental atelectasis.": {"Atelectasis": 1},
        # One phrase may stand in two, and hold two.
        "The aorta is calcified and tortuous.": {"Calcification of the Aorta": 1, "Tortuous Aorta": 1},
        "Kyphoscoliosis.": {"Kyphosis": 1, "Scoliosis": 1},
        # A narrower label takes the wider with it, and a denied one does not.
        "Left rib fractures.": {"Rib Fracture": 1, "Fracture": 1},
        "Hydropneumothorax.": {"Hydropneumothorax": 1, "Pneumothorax": 1, "Pleural Effusion": 1},
        # Sides are no part of a label, except for one.
        "Right pneumothorax.": {"Pneumothorax": 1},
        "Elevated left hemidiaphragm.": {"Unilaterally Elevated Diaphragm": 1},
        "Flattened hemidiaphragms.": {},
        # Asked about, of the past, or to come.
        "Evaluate for pneumonia.": {},
        "History of tuberculosis.": {},
        "If there is concern for rib fracture, dedicated views are advised.": {},
        "Nondisplaced fractures may not be visible.": {},
        # Of several mentions the positive one, then the uncertain one.
        "No effusion. Small left effusion.": {"Pleural Effusion": 1},
        "Possible effusion. No effusion.": {"Pleural Effusion": -1},
        "": {},
        "___": {},
        "XXXX XXXX.": {},
    }.items(),
)
def test_a_sentence_gives_these_labels(text, expected):
    found = annotate(text)
    found.pop("Normal", None)
    assert found == expected


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The lungs are clear. Heart size is normal. No pneumothorax.", 1),
        ("No acute cardiopulmonary process.", 1),
        ("Sternotomy wires are intact. The lungs are clear.", 1),
        ("Small effusion. The lungs are clear.", 0),
        ("Degenerative changes of the spine. The lungs are clear.", 0),
        ("Possible effusion. The lungs are clear.", -1),
        ("No acute pulmonary edema. Stable cardiomegaly.", 0),
    ],
)
def test_a_chest_is_normal_where_nothing_abnormal_is_named(text, normal):
    assert annotate(text)["Normal"] == normal


@pytest.mark.parametrize("text", ["Portable chest.", "", "A nasogastric tube is in place.", "The lungs are not clear."])
def test_a_report_that_says_nothing_of_disease_does_not_call_the_chest_normal(text):
    assert "Normal" not in annotate(text)


@pytest.mark.parametrize(
    "text",
    [
        "INDICATION: Rule out pneumonia, known effusion.\n\nFINDINGS: Heart size is normal.",
        "INDICATION:\n\n Known effusion.\n\nIMPRESSION:\n\n Heart size is normal.",
        "HISTORY:  Effusion.\n \n Heart size is normal.",
        "Reason for exam: effusion. Comparison: prior effusion. Findings: Heart size is normal.",
        "EXAMINATION: CHEST\n\nHeart size is normal.\n\nRECOMMENDATION(S): none\nNOTIFICATION: effusion told by phone.",
    ],
)
def test_what_was_asked_done_and_compared_is_left_out(text):
    assert annotate(text) == {"Cardiomegaly": 0, "Normal": 1}


@settings(max_examples=60)
@given(chosen=lists(sampled_from(SENTENCES), min_size=1, max_size=4), draw=data())
def test_neither_case_nor_full_lines_nor_the_order_of_sentences_matter(chosen, draw):
    words = " ".join(chosen).split(" ")
    gaps = draw.draw(lists(sampled_from([" ", "\n", "  ", "\n  "]), min_size=len(words), max_size=len(words)))
    wrapped = "".join(word + gap for word, gap in zip(words, gaps, strict=True))
    shuffled = " ".join(draw.draw(permutations(chosen)))
    expected = annotate(" ".join(chosen))
    assert annotate(wrapped) == annotate(wrapped.upper()) == annotate(shuffled) == expected


@settings(max_examples=20)
@given(order=permutations(range(8)))
def test_reports_are_annotated_each_by_itself(order):
    reports = [(str(i), SENTENCES[i * 7]) for i in order]
    values = annotate_reports(reports)
    assert values.index.tolist() == [str(i) for i in order] and values.index.name == "study_id"
    for identifier, text in reports:
        told = values.loc[identifier].dropna().astype(int).to_dict()
        assert told == annotate(text)


def test_more_workers_give_the_same_rows(monkeypatch):
    # Forked here, since each spawned process would import torch anew.
    monkeypatch.setattr(annotator, "get_context", lambda _: multiprocessing.get_context("fork"))
    reports = [(str(i), text) for i, text in enumerate(SENTENCES)]
    pd.testing.assert_frame_equal(annotate_reports(reports, workers=2), annotate_reports(reports))


def test_the_columns_are_the_labels_of_the_space_in_its_order():
    values = annotate_reports([("a", "Cardiomegaly."), ("b", "")], "ltml")
    assert tuple(values) == label_space("ltml_mimic_cxr") and len(values.columns) == 39
    assert values.Cardiomegaly.tolist()[0] == 1 and math.isnan(values.Cardiomegaly["b"])
    assert len(label_set("cxr_lt_2024")) == 45
    assert label_set(["No Finding", "Effusion"]) == {"No Finding": "Normal", "Effusion": "Pleural Effusion"}
    assert annotate_reports([("a", "Lungs are clear.")], ["No Finding"])["No Finding"].tolist() == [1]


def test_bad_input_of_annotation_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="unknown label 'Cardiomegalie'; did you mean 'Cardiomegaly'"):
        label_set(["Cardiomegalie"])
    with pytest.raises(ValueError, match=r"unknown label space 'cxr_lt_2042'; did you mean .*there is no such file"):
        label_set("cxr_lt_2042")
    with pytest.raises(ValueError, match="'Edema' stands twice"):
        label_set(["Edema", "Edema"])
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"none.txt holds no labels"):
        label_set(str(tmp_path / "none.txt"))
    with pytest.raises(ValueError, match="no labels to annotate"):
        label_set([])
    with pytest.raises(ValueError, match="workers must be >= 1, got 0"):
        annotate_reports([], workers=0)
    with pytest.raises(ValueError, match=r"reports repeat: \['a'\]"):
        annotate_reports([("a", ""), ("a", "")])
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(ValueError, match=r"pip install 'mlgcn\[annotate\]'"):
        Annotator()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Edema: {present: [edema, (|o)edema]}", "'Edema' has the phrase '.*' twice, also as 'edema'"),
        ("Edema: {present: [edema], absent: [edema]}", "'Edema' has the phrase 'edema' twice"),
        ("Edema: {present: [edema]}\nnothing: [edema]", "'edema' stands under 'nothing' and 'Edema'"),
        ("Edema: {present: [edema]}\nEdema: {present: [oedema]}", "line 2: the key 'Edema' stands twice"),
        ("Edema: {implies: [Mass]}", "'Edema' has no phrases"),
        ("Edema: {present: [edema], implies: [Lung Mass]}", "'Edema' implies the unknown label 'Lung Mass'"),
        ("Edema: {present: [edema], abscent: [dry]}", "unknown key 'abscent'; did you mean 'absent'"),
        ("Edema: {present: edema}", "got 'edema', expected a list of phrases"),
        ("Edema: {present: [wet (lung]}", "unbalanced brackets"),
        ("Edema: {present: [... lung]}", "has an empty part"),
        ("Edema: {present: [Wet lung]}", "holds 'Wet', expected words of a-z"),
        ("- edema", "expected a mapping"),
        ("Edema: [", "not readable as YAML"),
    ],
)
def test_bad_lists_of_findings_are_named(tmp_path, text, message):
    path = tmp_path / "findings.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_findings(path)


def test_bad_lists_of_cues_and_headings_are_named(tmp_path):
    path = tmp_path / "list.yaml"
    with pytest.raises(FileNotFoundError, match=r"there is no file .*list.yaml"):
        read_lists(path)
    path.write_text("negated: {before: [no]}")
    with pytest.raises(ValueError, match=r"holds .'negated'., expected"):
        read_cues(path)
    path.write_text("Edemas: [Pulmonary Edema]")
    with pytest.raises(ValueError, match="unknown label 'Edemas'; did you mean 'Edema'"):
        read_headings(path)
    path.write_text("Edema: Pulmonary Edema")
    with pytest.raises(ValueError, match="expected a list of headings"):
        read_headings(path)


def test_a_written_phrase_stands_for_all_its_spellings():
    assert set(parse_phrase("(|sub)pleural (fluid|effusion(|s)) ... base", "here")) == {
        ((first, second), ("base",))
        for first in ("pleural", "subpleural")
        for second in ("fluid", "effusion", "effusions")
    }


MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PORTABLE AP)
 INDICATION:  ___ year old man with cardiomegaly  // effusion?

 COMPARISON:  ___

 The lungs are clear.  No pleural
 effusion or pneumothorax.
"""


def mimic_tree(folder):
    for patient, study, text in (("10000032", "50414267", MIMIC), ("10000764", "57375967", " \n")):
        path = folder / "files" / f"p{patient[:2]}" / f"p{patient}" / f"s{study}.txt"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


def test_studies_and_patients_of_mimic_are_the_numbers_in_the_path(tmp_path):
    reports = read_annotation_reports(mimic_tree(tmp_path))
    assert [(report.study_id, report.patient_id) for report in reports] == [
        ("50414267", "10000032"),
        ("57375967", "10000764"),
    ]
    assert annotate(reports[0].text) == {
        "Lung Opacity": 0,
        "Consolidation": 0,
        "Pleural Effusion": 0,
        "Pneumothorax": 0,
        "Normal": 1,
    }
    assert reports[1].text == ""


def test_a_table_names_its_texts_and_studies(tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text('study_id,subject_id,findings,impression\n7,1,Effusion.,\n8,1,"","No, none."\n')
    assert read_annotation_reports(path, ["findings", "impression"]) == [
        Report("7", "1", "Effusion."),
        Report("8", "1", "No, none."),
    ]
    with pytest.raises(ValueError, match=r"lacks the columns \['uid'\]"):
        read_annotation_reports(path, "findings", "uid")
    with pytest.raises(ValueError, match="name the columns that hold text; it has"):
        read_annotation_reports(path)
    with pytest.raises(ValueError, match="the study '1' stands twice"):
        read_annotation_reports(path, "findings", "subject_id")
    path.write_text("study_id,text\n,Effusion.\n")
    with pytest.raises(ValueError, match=r"'Effusion.' has no study id"):
        read_annotation_reports(path, "text")


def test_bad_reports_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*none"):
        read_annotation_reports(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no report"):
        read_annotation_reports(tmp_path)
    (tmp_path / "s1.txt").write_text("\n")
    with pytest.raises(ValueError, match="none of 1 reports holds any text"):
        read_annotation_reports(tmp_path)
    with pytest.raises(ValueError, match=r"only a .csv or .csv.gz file has columns, got column 'text'"):
        read_annotation_reports(tmp_path, "text")
    (tmp_path / "1.xml").write_text("<html/>")
    with pytest.raises(ValueError, match=r"1.xml: holds <html>, expected Open-i's"):
        read_annotation_reports(tmp_path)


def test_headings_give_labels_by_name_and_qualifiers():
    assert mesh_labels(["Pleural Effusion/left/small", "Fractures, Bone/ribs/left/healed", "Aorta/prominent"]) == {
        "Pleural Effusion",
        "Fracture",
        "Rib Fracture",
    }
    assert mesh_labels(["normal"]) == {"Normal"} and mesh_labels(["Spine/degenerative"]) == set()


def test_every_heading_that_gives_a_label_gives_the_wider_ones_too():
    implied = read_findings().implies
    for label, texts in read_lists(MESH).items():
        for text in texts:
            found = mesh_labels([text])
            assert label in found and set(implied.get(label, ())) & set(read_headings()) <= found, text


def test_scores_are_precision_and_recall_of_each_half():
    texts = {
        "2": ("Cardiomegaly.", ("Cardiomegaly/mild",)),
        "4": ("Cardiomegaly.", ("normal",)),
        "6": ("Possible cardiomegaly.", ("Cardiac Shadow/enlarged",)),
        "8": ("Heart size is normal.", ("Cardiomegaly",)),
        "3": ("Cardiomegaly.", ("Cardiomegaly",)),
        "5": ("Cardiomegaly.", ("No Indexing",)),  # nobody looked
        "7": ("", ("Cardiomegaly",)),  # nothing to find
    }
    reports = [Report(number, "", text, headings) for number, (text, headings) in texts.items()]
    values = annotate_reports([(report.study_id, report.text) for report in reports], ["Cardiomegaly", "Hypertension"])
    rows = score(reports, values)
    assert rows.label.tolist() == ["Cardiomegaly"] * 2  # no heading tells of the other
    seen, held = (rows[rows.part == part].iloc[0] for part in ("seen", "held out"))
    assert (seen.positives, held.positives) == (3, 1)
    assert (seen["precision+"], seen["recall+"], seen["f1+"]) == (2 / 3, 2 / 3, 2 / 3)
    assert (seen["precision-"], seen["recall-"], seen["f1-"]) == (1 / 2, 1 / 3, 2 / 5)
    assert (held["precision+"], held["recall-"]) == (1, 1)
    assert "| Cardiomegaly | 1 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 3 | 0.67 |" in score_table(rows)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (Report("1", "", "Text.", ()), "no report has MeSH headings"),
        (Report("one", "", "Text.", ("normal",)), "'one' has no number"),
    ],
)
def test_only_open_i_is_scored(report, message):
    with pytest.raises(ValueError, match=message):
        score([report], annotate_reports([(report.study_id, report.text)]))


def test_the_documented_scores_are_those_of_the_reports(openi_reports):
    reports = read_annotation_reports(openi_reports)
    values = annotate_reports([(report.study_id, report.text) for report in reports])
    assert score_table(score(reports, values)) in DOCUMENT.read_text(encoding="utf-8")
