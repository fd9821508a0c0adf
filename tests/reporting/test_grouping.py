"""Groups of labels as they are asked for."""

import json

import numpy as np
import pytest
import yaml

from mlgcn.labels import describe_rule, group_labels
from mlgcn.reporting.grouping import group_by

NAMES = [f"label {number}" for number in range(20)]
PREVALENCE = np.geomspace(0.5, 0.001, 20)
GIVEN = {"lung": NAMES[:12], "heart": NAMES[12:]}


@pytest.mark.parametrize("rule", ["prevalence", "rank"])
def test_a_rule_is_counted_and_the_other_stands_beside_it(rule):
    found = group_by(NAMES, PREVALENCE, rule, "the file")
    (other,) = {"prevalence", "rank"} - {rule}
    assert (found.groups, found.rule) == (group_labels(NAMES, PREVALENCE, rule), describe_rule(rule, "the file"))
    assert found.others == {describe_rule(other, "the file"): group_labels(NAMES, PREVALENCE, other)}


def test_too_few_labels_have_no_ranks():
    assert group_by(NAMES[:17], PREVALENCE[:17]).others == {}
    with pytest.raises(ValueError, match="at least 18 labels, got 17"):
        group_by(NAMES[:17], PREVALENCE[:17], "rank")


def test_groups_are_taken_as_listed_in_a_file_or_inline(tmp_path):
    (tmp_path / "groups.yaml").write_text(yaml.safe_dump(GIVEN))
    (tmp_path / "groups.json").write_text(json.dumps(GIVEN))
    for name in ("groups.yaml", "groups.json"):
        found = group_by(NAMES, PREVALENCE, str(tmp_path / name))
        assert found.groups == GIVEN and found.rule == f"as given in {name}" and len(found.others) == 2
    inline = group_by(["Edema", "No Finding"], PREVALENCE[:2], "{lung: [Edema], none: [No Finding]}")
    assert inline.groups == {"lung": ["Edema"], "none": ["No Finding"]}
    assert inline.rule == "as given on the command line"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("prevalance", r"groups are 'prevalance', expected one of \['prevalence', 'rank'\], a YAML or JSON file"),
        ("gone.yaml", r"there is no file gone\.yaml"),
        ("{lung: [Edema}", "groups: not readable as YAML"),
        ("{}", "groups: expected names of groups"),
        ("{lung: Edema}", r"group 'lung' holds 'Edema', expected a list of names"),
        ("{lung: [label 1], heart: [label 2]}", "groups do not hold every label once"),
        ("{lung: [No, Edema]}", r"group 'lung' holds \[False, 'Edema'\], expected a list of names"),
    ],
)
def test_what_is_no_grouping_is_refused(asked, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        group_by(NAMES, PREVALENCE, asked)
