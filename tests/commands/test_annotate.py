"""mlgcn annotate, as it is called: the table that it writes, what it prints, and the one line that bad input gets."""

import pandas as pd
import pytest

from mlgcn import cli
from mlgcn.commands import annotate
from mlgcn.data.ontology import label_space
from mlgcn.data.sources import read_source

pytest.importorskip("spacy", reason="spaCy is not installed")

OPENI = """<eCitation><MedlineCitation><Article><Abstract>
<AbstractText Label="INDICATION">Pneumonia?</AbstractText><AbstractText Label="FINDINGS">{}</AbstractText>
</Abstract></Article></MedlineCitation><MeSH><major>{}</major></MeSH></eCitation>"""


@pytest.fixture
def tree(tmp_path):
    """Two studies of a patient as MIMIC-CXR lays them out."""
    folder = tmp_path / "mimic" / "files" / "p10" / "p10000032"
    folder.mkdir(parents=True)
    (folder / "s50414267.txt").write_text("HISTORY: fever.\n\nIMPRESSION: No effusion. Possible pneumonia.\n")
    (folder / "s53189527.txt").write_text("FINDINGS: Cardiomegaly.\n")
    return str(tmp_path / "mimic")


def test_the_table_has_mimics_values_and_identifiers(tree, tmp_path, capsys):
    out = tmp_path / "made" / "labels.csv"
    cli.main(["annotate", tree, "--out", str(out), "--labels", "cxr_lt_2024"])
    rows = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert list(rows) == ["study_id", "patient_id", *label_space("cxr_lt_2024")]
    assert rows[
        ["study_id", "patient_id", "Pleural Effusion", "Pneumonia", "Cardiomegaly", "Normal"]
    ].values.tolist() == [
        ["50414267", "10000032", "0.0", "-1.0", "", "-1.0"],
        ["53189527", "10000032", "", "", "1.0", "0.0"],
    ]
    assert "2 reports, 0 of them without text" in capsys.readouterr().out


def test_labels_come_from_a_file_and_texts_from_columns(tmp_path):
    reports, labels, out = tmp_path / "reports.csv", tmp_path / "labels.txt", tmp_path / "out.csv"
    reports.write_text("uid,findings\na,Small effusion.\n")
    labels.write_text("Effusion\nNo Finding\n")
    annotate.main(
        [str(reports), "--column", "findings", "--study_column", "uid", "--labels", str(labels), "--out", str(out)]
    )
    assert out.read_text() == "study_id,Effusion,No Finding\na,1.0,0.0\n"


def test_a_source_reads_what_was_written_once_images_are_named(tree, tmp_path):
    out = tmp_path / "labels.csv"
    annotate.main([tree, "--labels", "ltml", "--out", str(out)])
    rows = pd.read_csv(out, dtype=str)
    rows.assign(path=rows.study_id + ".jpg").to_csv(out, index=False)
    table = read_source("table", tmp_path)
    assert table.names == label_space("ltml_mimic_cxr")
    assert table.images.patient_id.tolist() == ["10000032"] * 2
    assert table.values[1, table.names.index("Cardiomegaly")] == 1


def test_score_prints_agreement_with_the_headings(tmp_path, capsys):
    for number, (text, heading) in enumerate(
        (("Cardiomegaly.", "Cardiomegaly/mild"), ("Lungs are clear.", "normal")), 1
    ):
        (tmp_path / f"{number}.xml").write_text(OPENI.format(text, heading))
    annotate.main([str(tmp_path), "--score"])
    printed = capsys.readouterr().out
    assert "| Cardiomegaly | 1 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 0 | – |" in printed
    assert "| Normal | 0 | – |" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tree}"], "name a file to write with --out, or ask for --score"),
        (["{tree}", "--out", "x.csv", "--labels", "ltmll"], "unknown label space 'ltmll'; did you mean 'ltml'?"),
        (["nowhere", "--score"], "there is no file or folder nowhere"),
        (["{tree}", "--score"], "no report has MeSH headings to score against"),
        (["{tree}", "--score", "--column", "text"], "only a .csv or .csv.gz file has columns"),
    ],
)
def test_bad_input_gets_one_line(arguments, message, tree, capsys):
    with pytest.raises(SystemExit) as stopped:
        annotate.main([argument.format(tree=tree) for argument in arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
