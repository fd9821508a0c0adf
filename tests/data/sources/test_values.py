"""The policy of label values."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgcn.data.sources.values import label_values, meaning

POLICY = st.sampled_from(["positive", "negative", "unknown", 0.3, "0.7"])
AS_NUMBER = {"positive": 1.0, "negative": 0.0, "unknown": np.nan, 0.3: 0.3, "0.7": 0.7}


@given(
    cells=st.lists(st.sampled_from(["1", "1.0", "0", "0.0", "-1", "-1.0", "", " 1 ", "  "]), min_size=1, max_size=9),
    uncertain=POLICY,
    blank=POLICY,
)
def test_each_value_means_what_the_policy_says(cells, uncertain, blank):
    values, soft = label_values(Path("f"), pd.DataFrame({"a": cells}), ["a"], uncertain=uncertain, blank=blank)
    expected = []
    for cell in cells:
        policy = {"-1": uncertain, "": blank}.get(cell.strip().removesuffix(".0"))
        expected.append(float(cell) if policy is None else AS_NUMBER[policy])
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-6)
    assert soft == any(0 < AS_NUMBER[policy] < 1 for policy in (uncertain, blank))


def test_soft_columns_hold_any_number_from_0_to_1():
    values, soft = label_values(Path("f"), pd.DataFrame({"a": ["0.25", "1e-3", "1", ""]}), ["a"], soft=True)
    np.testing.assert_array_equal(values[:, 0], np.array([0.25, 1e-3, 1, np.nan], dtype=np.float32))
    assert soft


@pytest.mark.parametrize(("cell", "soft"), [("0.5", False), ("2", False), ("nan", True), ("1.5", True), ("yes", True)])
def test_any_other_value_is_named_with_file_line_and_column(tmp_path, cell, soft):
    rows = pd.DataFrame({"a": ["1", "0"], "b": ["0", cell]})
    rows.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(ValueError, match=rf"labels\.csv: column 'b' holds '{cell}' in line 3, expected"):
        label_values(tmp_path / "labels.csv", rows, ["a", "b"], soft=soft)


@pytest.mark.parametrize("policy", ["maybe", 1.5, -0.1, "nan", "", None, True, False, [0.5]])
def test_another_policy_is_refused(policy):
    with pytest.raises(
        ValueError, match=r"blank is .*, expected one of \['positive', 'negative', 'unknown'\] or a num"
    ):
        meaning("blank", policy)
