import numpy as np
import pandas as pd

from mlgcn.predictions import Predictions
from mlgcn.reporting.compare import compare
from mlgcn.reporting.compare_tables import comparison_rows, comparison_sentences
from mlgcn.reporting.tables import as_text


def test_the_table_shows_labels_by_p_and_at_most_10_of_a_metric(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"label-{column}" for column in range(13)]
    targets = (rng.uniform(size=(90, 13)) < np.linspace(0.5, 0.05, 13)).astype(float)
    targets[:, 12] = 0
    targets[:2, 11] = 1
    ids = [str(row) for row in range(90)]
    images = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": "frontal"})
    files = []
    for name, skill in (("a", 0.3), ("b", 0.1)):
        scores = np.clip(rng.normal(0.4 + skill * targets, 0.2), 0, 1)
        files.append(str(tmp_path / f"{name}.parquet"))
        Predictions(images, names, scores, targets).write(files[-1])
    result = compare(files, resamples=99, metrics=["mAUC"])
    auc = {name: result["per_label"][name]["AUC"] for name in names}
    assert auc["label-12"]["p"] is None
    by_p = sorted(names[:12], key=lambda name: (auc[name]["p"], -abs(auc[name]["delta"])))
    for everything, shown in ((False, by_p[:10]), (True, [*by_p, "label-12"])):
        text = as_text(comparison_rows(result, everything))
        lines = [line.split() for line in text.splitlines() if line.strip().startswith("label-")]
        assert [line[0] for line in lines] == shown
        assert lines[0][1:5] == [
            "AUC", f"{auc[by_p[0]]['a']:.3f}", f"{auc[by_p[0]]['b']:.3f}", f"{auc[by_p[0]]['delta']:+.3f}"
        ]  # fmt: skip
        assert lines[0][-2:] == [f"{auc[by_p[0]]['p']:.3f}", f"{auc[by_p[0]]['p_holm']:.3f}"]
        assert ("Of each metric 3 more labels" in text) is not everything
    assert lines[-1] == ["label-12", "AUC", *["–"] * 6]
    plain = " ".join(text.split())
    told = comparison_sentences(result)
    assert told[0] == f"A: {files[0]}, B: {files[1]}." and told[1].startswith("mAUC is higher for A than for B, by")
    few = "No Holm p can fall of a group below 0.060, of a label below 0.260: that needs more resamples."
    assert told[2:] == [few] and few in plain  # 3 * 2 / 100, 13 * 2 / 100
    assert "fall of a mean below 0.065, of a" in comparison_sentences(result | {"resamples": 30})[-1]
    assert "resamples" not in comparison_sentences(result | {"resamples": 999})[-1]
    assert "AUC undefined in some of the 99 resamples, which are left out: label-12 (99)" in plain
