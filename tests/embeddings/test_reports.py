import gzip
import io
import tarfile
import warnings
import zipfile

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from embeddings.reports import NEVER_JOINED, read_reports, report_sentences, report_vectors

CITATION = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
   <meta type="rr"/>
   <uId id="CXR{number}"/>
   <MedlineCitation Owner="Indiana University" Status="supplied by publisher">
      <Article PubModel="Electronic">
         <Abstract>
            <AbstractText Label="COMPARISON">Chest radiograph from XXXX.</AbstractText>
            <AbstractText Label="INDICATION">XXXX-year-old with pneumonia?</AbstractText>
            <AbstractText Label="FINDINGS">{findings}</AbstractText>
            <AbstractText Label="IMPRESSION">{impression}</AbstractText>
         </Abstract>
      </Article>
   </MedlineCitation>
   <MeSH><major>normal</major></MeSH>
</eCitation>
"""

MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)
 
 INDICATION:  ___ year old woman with ?pleural effusion  // ?pleural effusion
 
 COMPARISON:  ___
 
 FINDINGS: 
 
 The lungs are clear without focal consolidation. There is no pleural
 effusion.
 LINES: none.
 
 IMPRESSION: 
 
 No acute cardiopulmonary process.
 
 NOTIFICATION:  Discussed with Dr. ___ by telephone.
"""  # noqa: W291, W293 - the files have such blanks

MIMIC_WITHOUT_HEADINGS = """                                 FINAL REPORT
 PA AND LATERAL CHEST, ___
 
 HISTORY:  Fever.
 
 The heart is enlarged.
"""  # noqa: W293


@pytest.fixture
def openi_folder(tmp_path):
    """Three reports, of which the third says nothing."""
    folder = tmp_path / "ecgen-radiology"
    folder.mkdir()
    for number, findings, impression in (
        (1, "Heart size &lt; normal. Caf&#233;.", "Normal chest x-XXXX."),
        (10, "", "No pneumothorax."),
        (2, "", ""),
    ):
        content = CITATION.format(number=number, findings=findings, impression=impression)
        (folder / f"{number}.xml").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def mimic_folder(tmp_path):
    folder = tmp_path / "files"
    for name, text in (
        ("p10/p10000032/s50414267.txt", MIMIC),
        ("p10/p10000032/s9.txt", MIMIC_WITHOUT_HEADINGS),
        ("LICENSE.txt", "Not a report."),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


OPENI_TEXTS = ["Heart size < normal. Café.\n\nNormal chest x-XXXX.", "No pneumothorax."]


def test_of_an_openi_report_the_findings_and_the_impression_are_read(openi_folder):
    with pytest.warns(UserWarning, match=r"ecgen-radiology: 1 of 3 reports hold no text") as caught:
        assert read_reports(openi_folder) == OPENI_TEXTS
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(("name", "mode"), [("reports.tgz", "w:gz"), ("reports.tar", "w")])
@pytest.mark.filterwarnings("ignore:.*hold no text:UserWarning")
def test_a_tar_archive_reads_as_its_folder_does(openi_folder, tmp_path, name, mode):
    with tarfile.open(tmp_path / name, mode) as archive:
        archive.add(openi_folder, arcname="ecgen-radiology")
    assert read_reports(tmp_path / name) == OPENI_TEXTS


def test_a_zip_archive_reads_as_its_folder_does(mimic_folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "mimic-cxr-reports.zip", "w") as archive:
        for file in mimic_folder.rglob("*.txt"):
            archive.write(file, file.relative_to(tmp_path))
    assert read_reports(tmp_path / "mimic-cxr-reports.zip") == read_reports(mimic_folder)


def test_of_a_mimic_report_the_findings_and_the_impression_are_read_or_else_all_of_it(mimic_folder):
    with_headings, without = read_reports(mimic_folder)
    assert " ".join(with_headings.split()) == (
        "The lungs are clear without focal consolidation. There is no pleural effusion. LINES: none. "
        "No acute cardiopulmonary process."
    )
    assert without == MIMIC_WITHOUT_HEADINGS.strip()


def test_findings_and_impression_under_one_heading_are_read(tmp_path):
    (tmp_path / "s1.txt").write_text("HISTORY: Cough.\nFINDINGS AND IMPRESSION:  Clear lungs.\n")
    assert read_reports(tmp_path) == ["Clear lungs."]


@pytest.mark.parametrize("name", ["reports.csv", "reports.csv.gz"])
def test_of_a_table_the_named_columns_are_put_together(tmp_path, name):
    content = b'\xef\xbb\xbfstudy,impression,findings\ns1,Normal.,"Clear,\nlungs."\ns2,,NA\ns3,Edema.,\ns4,,\n'
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.warns(UserWarning, match="1 of 4 reports"):
        both = read_reports(tmp_path / name, column=["findings", "impression"])
    assert both == ["Clear,\nlungs.\n\nNormal.", "NA", "Edema."]
    assert read_reports(tmp_path / name, column="study") == ["s1", "s2", "s3", "s4"]


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tgz, expected a folder or archive"):
        read_reports(tmp_path / "nowhere.tgz")


def test_a_folder_without_reports_and_one_without_text_are_refused(tmp_path, openi_folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "LICENSE.txt").write_text("Not a report.")
    with pytest.raises(ValueError, match="empty holds no report, expected a folder or archive of Open-i's"):
        read_reports(tmp_path / "empty")
    for name in ("1.xml", "10.xml"):
        (openi_folder / name).unlink()
    with pytest.raises(ValueError, match="none of 1 reports holds any text"):
        read_reports(openi_folder)


ENTITIES = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<eCitation><Abstract></eCitation>", "mismatched tag"),
        (b"", "no element found"),
        (b"<html></html>", "holds <html>, expected Open-i's <eCitation>"),
        (f"<?xml version='1.0'?>{ENTITIES}<eCitation>&c;</eCitation>".encode(), "declares a document type"),
        (f"{ENTITIES}<eCitation>&c;</eCitation>".encode("utf-16"), "can't decode"),
    ],
)
def test_a_broken_or_foreign_xml_file_is_named(openi_folder, content, message):
    (openi_folder / "10.xml").write_bytes(content)
    with pytest.raises(ValueError, match=rf"ecgen-radiology/10\.xml: .*{message}"):
        read_reports(openi_folder)


def test_a_broken_archive_is_named(openi_folder, tmp_path):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        archive.add(openi_folder, arcname="ecgen-radiology")
    (tmp_path / "half.tgz").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(ValueError, match=r"half\.tgz"):
        read_reports(tmp_path / "half.tgz")


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        (
            "r.csv",
            b"study,text\ns1,Clear.\n",
            "report",
            r"r\.csv: lacks the columns \['report'\]; it has \['study', 't",
        ),
        ("r.csv", b"study,text\ns1,Clear.\n", None, r"r\.csv: name the columns that hold text; it has \['study', 'te"),
        ("r.csv", b"text\nClear.,Normal.\n", "text", r"r\.csv: not readable as CSV: .*Expected 1 fields in line 2"),
        ("r.csv", b"", "text", r"r\.csv: not readable as CSV"),
        ("r.csv", b"text\n", "text", r"r\.csv holds no report"),
        ("r.csv", b"text\n\xff\n", "text", r"r\.csv: not readable as CSV"),
        ("r.csv.gz", b"text\nClear.\n", "text", r"r\.csv\.gz: not readable as CSV"),
        ("r.csv.gz", gzip.compress(b"text\nClear.\n" * 99, mtime=0)[:-20], "text", r"r\.csv\.gz: not readable as CSV"),
        ("r.parquet", b"PAR1", None, r"r\.parquet holds no report, expected"),
        ("r.parquet", b"PAR1", "text", r"r\.parquet: only a \.csv or \.csv\.gz file has columns, got column 'text'"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, name, content, column, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_reports(tmp_path / name, column=column)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The heart is normal.Lungs: clear", ["the heart is normal", "lungs", "clear"]),
        ("No effusion, or\n pneumothorax", ["no effusion or pneumothorax"]),
        ("Clear lungs\n\nNormal heart", ["clear lungs", "normal heart"]),
        ("- clear lungs\n - normal heart", ["clear lungs", "normal heart"]),
        ("A 3.3 x 6.1 cm mass at T8-T9 2. Stable", ["a x cm mass at", "stable"]),
        ("Normal chest x-XXXX from XXXX/XXXX", ["normal chest from"]),
        ("As seen by Dr. ___ on ___ in the ___-year-old", ["as seen by dr", "on in the year old"]),
        ("The patient's x-ray can’t show it", ["the patient x ray cant show it"]),
        ("XXXX. 1. ___ ... 12/33", []),
    ],
)
def test_sentences_are_lower_case_words_without_numbers_and_removed_names(text, expected):
    assert report_sentences([text], phrases=False) == [sentence.split() for sentence in expected]


def test_words_that_keep_company_become_one_token():
    texts = ["There is a large pleural effusion in the left lower lobe."] * 10 + [
        f"{side} {what}." for side in ("left", "large", "lower") for what in ("nodule", "mass", "opacity")
    ]
    sentences = report_sentences(texts)
    assert sentences[0] == ["there", "is", "a", "large_pleural_effusion", "in", "the", "left_lower_lobe"]
    assert sentences[10] == ["left", "nodule"]
    assert report_sentences(texts, min_count=11) == report_sentences(texts, threshold=1) != sentences
    assert report_sentences(texts, min_count=11) == report_sentences(texts, phrases=False)


@pytest.mark.parametrize(
    "text",
    ["No effusion.", "effusion, pneumothorax", "effusion of lung", "lobe XXXX nodule", "lobe 3 nodule", "mass - rib"],
)
def test_no_phrase_holds_a_denial_or_crosses_what_divides(text):
    assert report_sentences([text] * 50, threshold=-1) == report_sentences([text] * 50, phrases=False)


@given(lists(lists(sampled_from(["no", "of", "lung", "base", "clear", ",", "4", "."]), max_size=12), max_size=8))
def test_phrases_only_join_neighbours(texts):
    lines = [" ".join(words) for words in texts]
    joined = report_sentences(lines, min_count=1, threshold=0.1)
    assert [" ".join(words).replace("_", " ").split() for words in joined] == report_sentences(lines, phrases=False)
    assert not any(
        part in NEVER_JOINED for words in joined for word in words if "_" in word for part in word.split("_")
    )


def test_a_single_string_and_thresholds_out_of_range_are_refused():
    with pytest.raises(ValueError, match="got a single string"):
        report_sentences("No effusion.")
    with pytest.raises(ValueError, match="threshold should be between -1 and 1"):
        report_sentences(["No effusion."], threshold=2)
    with pytest.raises(ValueError, match="min_count"):
        report_sentences(["No effusion."], min_count=0)


def test_the_reports_of_openi_give_clinical_phrases_and_neighbours(openi_reports):
    with pytest.warns(UserWarning, match="28 of 3955 reports hold no text"):
        texts = read_reports(openi_reports)
    assert len(texts) == 3927
    with warnings.catch_warnings(action="error"):
        vectors = report_vectors(report_sentences(texts))
    phrases = {token for token in vectors.index_to_key if "_" in token}
    assert phrases >= {"pleural_effusion", "low_lung_volumes", "heart_size", "cardiomediastinal_silhouette"}
    assert not {token for token in phrases if {"no", "not", "without", "the", "of", "is"} & set(token.split("_"))}
    nearest = {word: [token for token, _ in vectors.most_similar(word)] for word in ("pneumothorax", "cardiomegaly")}
    assert "pleural_effusion" in nearest["pneumothorax"] and "mild_cardiomegaly" in nearest["cardiomegaly"]
    assert not any("xxx" in token or any(c.isdigit() for c in token) for token in vectors.index_to_key)
