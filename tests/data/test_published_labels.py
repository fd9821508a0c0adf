"""Labels that the name of a reader tells, against those that each reader lists for itself."""

import pytest

from mlgcn.data.ontology import label_space
from mlgcn.data.published_labels import OPEN, published_labels
from mlgcn.data.sources import (
    SOURCES,
    chexpert,
    cxr_lt_2023,
    cxr_lt_2024,
    cxr_lt_2026,
    ltml_mimic_cxr,
    mimic_cxr_jpg,
    nih,
    read_source,
    vindr,
)

LISTED = [
    ("chexpert", {}, chexpert.LABELS),
    ("cxr_lt_2023", {"blank": "negative"}, cxr_lt_2023.LABELS),
    ("cxr_lt_2024", {}, cxr_lt_2024.LABELS),
    *[("cxr_lt_2024", {"task": task}, labels) for task, labels in cxr_lt_2024.TASKS.items()],
    ("cxr_lt_2026", {}, cxr_lt_2026.SEEN),
    ("ltml_mimic_cxr", {}, ltml_mimic_cxr.LABELS),
    ("mimic_cxr_jpg", {"labeler": "negbio"}, mimic_cxr_jpg.LABELS),
    ("nih", {}, nih.FINDINGS),
    ("nih", {"no_finding": True}, (*nih.FINDINGS, nih.NO_FINDING)),
    ("padchest", {}, label_space("padchest")),
    ("padchest", {"labels": ["pneumonia", "normal"]}, ("pneumonia", "normal")),
    ("phantom", {}, read_source("phantom", images=8).names),
    ("vindr", {}, vindr.VINDR_LABELS),
    ("vindr", {"release": "vinbigdata"}, vindr.VINBIGDATA_LABELS),
]


@pytest.mark.parametrize(("name", "options", "labels"), LISTED)
def test_a_name_tells_the_labels_that_its_reader_gives(name, options, labels):
    # A space has the order of its table, which is not everywhere the reader's.
    assert sorted(published_labels(name, **options)) == sorted(labels)


def test_every_reader_is_told_or_left_open():
    assert {name for name, *_ in LISTED} | set(OPEN) == set(SOURCES)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("table", {}),
        ("torchxrayvision", {}),
        ("mimic_cxr_jpg", {"labels": "of_reports.csv"}),
        ("padchest", {"least": 10}),
        ("padchest", {"leave_out": ["exclude"]}),
    ],
)
def test_labels_that_only_tables_tell_are_none(name, options):
    assert published_labels(name, **options) is None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nhi", {}, "unknown data source 'nhi'; did you mean 'nih'"),
        ("nih", {"no_findings": True}, "'no_findings'; did you mean 'no_finding'"),
        ("cxr_lt_2024", {"task": 4}, "unknown label space 'cxr_lt_2024_task4'"),
        ("vindr", {"release": "vinbigdat"}, "unknown label space 'vinbigdat'; did you mean 'vinbigdata'"),
    ],
)
def test_names_and_options_that_there_are_not_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        published_labels(name, **options)
