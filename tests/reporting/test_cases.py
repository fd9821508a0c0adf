import numpy as np
import pytest
from PIL import Image

from mlgcn.labels import LabelTable
from mlgcn.predictions import Predictions
from mlgcn.reporting.cases import case_figure, read_thumbnails, worst_and_best
from mlgcn.reporting.figures import save_figures


def table_of(predictions, paths, **columns):
    ids = predictions.images.image_id.tolist()
    return LabelTable(predictions.targets, predictions.names, image_id=ids, path=paths, **columns)


def test_a_labels_images_are_those_on_the_wrong_side_of_its_threshold_and_the_best_found(evaluated):
    predictions, report = evaluated(7)
    cases = worst_and_best(predictions, report)
    assert [case.group for case in cases] == ["", "head", "head", "medium", "medium", "tail"]
    for case in cases[1:]:
        name = case.title.split("  (")[0].replace(r"\$", "$")
        column = predictions.names.index(name)
        scores, targets = predictions.scores[:, column], predictions.targets[:, column]
        missed = [row for row in np.argsort(scores) if targets[row] == 1 and scores[row] < 0.5]
        highest = np.argsort(scores)[::-1]
        alarms = [row for row in highest if targets[row] == 0 and scores[row] >= 0.5]
        found = [row for row in highest if targets[row] == 1 and scores[row] >= 0.5]
        for block, rows in zip(case.blocks, (missed, alarms, found), strict=True):
            assert list(block.rows) == rows[:3] and block.title.endswith(f"({len(rows)})")
            for row, text in zip(block.rows, block.texts, strict=True):
                assert text.split("\n")[:2] == [f"{scores[row]:.3f}", f"image {row}"]


def test_of_all_labels_the_images_with_the_largest_and_the_smallest_error_are_shown(evaluated):
    predictions, report = evaluated(7)
    wrong, right, apart = worst_and_best(predictions, report)[0].blocks
    errors = [
        np.nanmean((s - t) ** 2) for s, t in zip(predictions.scores.astype(float), predictions.targets, strict=True)
    ]
    assert list(wrong.rows) == np.argsort(errors)[::-1][:3].tolist()
    findings = [row for row in np.argsort(errors) if (predictions.targets[row] == 1).any()]
    assert list(right.rows) == findings[:3]
    assert list(apart.rows) == np.argsort(-predictions.spreads.mean(axis=1))[:3].tolist()
    plain = Predictions(predictions.images, predictions.names, predictions.scores, predictions.targets)
    assert len(worst_and_best(plain, report)[0].blocks) == 2


@pytest.fixture
def files(tmp_path, evaluated):
    """Predictions, their report, and a table whose images are files of one shade each, all but one."""
    predictions, report = evaluated(3, images=12)
    for row in range(11):
        Image.fromarray(np.full((20, 20), 20 * row, np.uint8)).save(tmp_path / f"{row}.png")
    return predictions, report, table_of(predictions, [str(tmp_path / f"{row}.png") for row in range(12)])


def test_thumbnails_are_the_images_of_the_rows_and_what_cannot_be_read_is_said(files, tmp_path):
    predictions, report, table = files
    cases = worst_and_best(predictions, report)
    shown = {row for case in cases for block in case.blocks for row in block.rows}
    images, failed = read_thumbnails(cases, predictions, table)
    assert set(images) == shown - {11} and len(failed) == (11 in shown)
    assert all(image.shape == (80, 80) and (image == 20 * row).all() for row, image in images.items())
    images.pop(next(iter(images)))
    axis = case_figure(cases, images).axes[0]
    words = [text.get_text() for text in axis.texts]
    places = [row for case in cases for block in case.blocks for row in block.rows]
    assert len(axis.images) == sum(row in images for row in places)
    assert words.count("not readable") == len(places) - len(axis.images) > 0
    assert save_figures({"cases": case_figure(cases, images)}, tmp_path)["cases"].stat().st_size


def test_a_study_shows_its_first_image(files, tmp_path):
    predictions, report, _ = files
    paths = [str(tmp_path / f"{row}.png") for row in (*range(11), *range(10, -1, -1))]
    ids = predictions.images.image_id[:11].tolist()
    table = LabelTable(
        np.zeros((22, 3)), predictions.names, image_id=[f"{number:02d}" for number in range(22)], path=paths,
        study_id=[*ids, *ids[::-1]], patient_id=[*ids, *ids[::-1]], view=["frontal"] * 11 + ["lateral"] * 11,
    )  # fmt: skip
    predictions = Predictions(
        predictions.images[:11], predictions.names, predictions.scores[:11], predictions.targets[:11]
    )
    images, failed = read_thumbnails(worst_and_best(predictions, report), predictions, table)
    assert not failed and all((image == 20 * row).all() for row, image in images.items())


def test_a_table_of_other_images_is_refused(files):
    predictions, report, table = files
    with pytest.raises(ValueError, match=r"the table has none of the images \['image 1', 'image 2'"):
        read_thumbnails(worst_and_best(predictions, report), predictions, table.take(np.array([0])))
