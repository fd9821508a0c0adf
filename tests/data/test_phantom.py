"""Phantoms: the population behind the labels, the pictures, and the files."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlgcn.data.phantom import draw_phantom, parse_phantom_path, phantom_path, plan_images
from mlgcn.data.phantom.population import CONDITIONAL, COUNTS, LABELS, RELIEF, Shot, share_without_labels, shot
from mlgcn.data.phantom.radiograph import draw_shot
from mlgcn.data.sources.phantom import read_phantom, write_phantoms

SAMPLE = 120_000


@pytest.fixture(scope="module")
def population():
    return plan_images(11, SAMPLE)


def column(plan, label):
    return plan.labels[:, LABELS.index(label)]


def with_labels(given: Shot, *names: str, projection: str = "pa") -> Shot:
    return replace(given, labels=np.isin(LABELS, names), projection=projection)


# Population


def test_labels_come_from_frequent_to_rare():
    assert len(LABELS) == 26
    assert list(COUNTS.values()) == sorted(COUNTS.values(), reverse=True)


def test_prevalences_are_those_of_cxr_lt_within_the_error_of_patients(population):
    patients = pd.Series(population.patient)
    for label, count in COUNTS.items():
        expected = count / 264849
        # Images of a patient are correlated: the error comes from sums over patients, not from single images.
        residual = (column(population, label) - expected).astype(float)
        error = np.sqrt((pd.Series(residual).groupby(patients).sum() ** 2).sum()) / SAMPLE
        assert abs(residual.mean()) < 4.5 * error, label


def test_relief_is_the_share_that_keeps_the_marginals_exact():
    # A label is drawn with (1 - s) q, and given to an empty study with P(empty) q / sum(q); both sum to q.
    assert share_without_labels(RELIEF) == pytest.approx(RELIEF * CONDITIONAL.sum(), rel=1e-3)


def test_about_65_percent_carry_two_labels_or_more_and_every_image_has_one(population):
    carried = population.labels.sum(axis=1)
    assert carried.min() >= 1
    assert 0.60 < (carried >= 2).mean() < 0.70


def test_no_finding_stands_alone_or_with_devices(population):
    healthy = population.labels[column(population, "No Finding")]
    others = [i for i, name in enumerate(LABELS) if name not in ("No Finding", "Support Devices")]
    assert not healthy[:, others].any()
    devices = healthy[:, LABELS.index("Support Devices")].mean()
    assert 0 < devices < column(population, "Support Devices").mean()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Support Devices", "Pleural Effusion"),
        ("Edema", "Cardiomegaly"),
        ("Edema", "Pleural Effusion"),
        ("Pneumonia", "Lung Opacity"),
        ("Pneumonia", "Consolidation"),
        ("Pneumothorax", "Subcutaneous Emphysema"),
        ("Pneumothorax", "Pneumomediastinum"),
        ("Calcification of the Aorta", "Tortuous Aorta"),
        ("Pleural Thickening", "Pleural Other"),
    ],
)
def test_findings_that_belong_together_meet_more_often_than_by_chance(population, one, other):
    a, b = column(population, one), column(population, other)
    assert (a & b).mean() > 1.15 * a.mean() * b.mean()


def test_studies_share_labels_and_belong_to_one_patient(population):
    first = np.unique(population.study, return_index=True)[1]
    of_study = first[np.unique(population.study, return_inverse=True)[1]]
    assert (population.labels == population.labels[of_study]).all()
    assert (population.patient == population.patient[of_study]).all()


def test_patients_have_several_studies_and_studies_several_views(population):
    views = np.unique(population.study, return_counts=True)[1]
    studies = pd.Series(population.study).groupby(population.patient).nunique()
    assert set(views) == {1, 2, 3}
    assert studies.mean() > 1.5
    assert set(population.view) == {"frontal", "lateral", "unknown"}
    assert 0.1 < (population.view == "lateral").mean() < 0.3


def test_studies_of_a_patient_resemble_each_other(population):
    frame = pd.DataFrame(population.labels, columns=LABELS).groupby(population.study).first()
    patient = pd.Series(population.patient).groupby(population.study).first()
    same = patient.to_numpy()[1:] == patient.to_numpy()[:-1]
    for label in ("Cardiomegaly", "Support Devices", "Hernia"):
        now, before = frame[label].to_numpy()[1:], frame[label].to_numpy()[:-1]
        assert now[same & before].mean() > 1.3 * now.mean()


# Identity


def test_an_image_depends_on_seed_and_index_alone():
    few, many = read_phantom(images=50), read_phantom(images=333)
    pd.testing.assert_frame_equal(few.images, many.images.iloc[:50])
    np.testing.assert_array_equal(few.values, many.values[:50])
    np.testing.assert_array_equal(shot(0, 49).labels, many.values[49])
    np.testing.assert_array_equal(draw_phantom(0, 49, 64), draw_phantom(0, 49, 64))


def test_other_seeds_and_indices_are_other_pictures():
    pictures = {draw_phantom(seed, index, 48).tobytes() for seed in (0, 1) for index in range(6)}
    assert len(pictures) == 12


@pytest.mark.parametrize("path", ["phantom:0:17", "phantom:4294967296:0"])
def test_a_path_names_seed_and_index(path):
    assert phantom_path(*parse_phantom_path(path)) == path


@pytest.mark.parametrize("path", ["", "phantom:0", "phantom:0:1:2", "phantom:-1:2", "phantom:0:x", "phantom:0:1\n"])
def test_a_malformed_path_is_refused(path):
    with pytest.raises(ValueError, match="phantom:<seed>:<index>"):
        parse_phantom_path(path)


# Pictures


@pytest.mark.parametrize("size", [32, 97, 224])
def test_a_picture_is_grey_square_and_uses_the_range(size):
    picture = draw_phantom(3, 5, size)
    assert picture.dtype == np.uint8
    assert picture.shape == (size, size)
    assert picture.min() < 30
    assert picture.max() > 200


@pytest.mark.parametrize("projection", ["pa", "ap", "lateral"])
def test_a_picture_looks_the_same_at_every_size(projection):
    given = replace(shot(1, 40), projection=projection)
    small, large = draw_shot(given, 64).astype(float), draw_shot(given, 256).astype(float)
    shrunk = large.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.985


def test_views_and_studies_of_a_patient_show_the_same_body():
    plan = plan_images(0, 320)
    frontal = [i for i in range(320) if plan.projection[i] == "pa"]
    pairs = [(i, j) for i, j in pairwise(frontal) if plan.patient[i] == plan.patient[j]]
    strangers = [(i, j) for i, j in pairwise(frontal) if plan.patient[i] != plan.patient[j]]

    def likeness(pairs):
        def picture(i):
            return draw_shot(with_labels(replace(shot(0, i), index=7), "No Finding"), 64).astype(float).ravel()

        return np.mean([np.corrcoef(picture(i), picture(j))[0, 1] for i, j in pairs[:12]])

    assert likeness(pairs) > 0.99 > likeness(strangers)


# Where a sign may change a frontal picture: top, bottom, left and right as shares of the picture.
LUNGS, CENTRE, EVERYWHERE = (0.08, 0.85, 0.03, 0.97), (0.0, 0.85, 0.25, 0.80), (0, 1, 0, 1)
REGION = {
    "Support Devices": EVERYWHERE,
    "Cardiomegaly": (0.3, 0.85, 0.1, 0.95),
    "Pleural Effusion": (0.35, 1, 0.03, 0.97),
    "Atelectasis": (0.4, 0.95, 0.03, 0.97),
    "Enlarged Cardiomediastinum": CENTRE,
    "Calcification of the Aorta": (0.2, 0.5, 0.4, 0.7),
    "Emphysema": EVERYWHERE,
    "Hernia": (0.5, 0.9, 0.3, 0.75),
    "Tortuous Aorta": CENTRE,
    "Subcutaneous Emphysema": EVERYWHERE,
    "Pneumomediastinum": CENTRE,
    "Pneumoperitoneum": (0.6, 0.95, 0.03, 0.97),
}
FINDINGS = [name for name in LABELS if name != "No Finding"]


@pytest.mark.parametrize("label", FINDINGS)
def test_a_sign_changes_the_picture_where_it_belongs(label):
    top, bottom, left, right = REGION.get(label, LUNGS)
    for index in (3, 90, 200):
        with_sign = draw_shot(with_labels(shot(2, index), label), 96).astype(float)
        change = np.abs(with_sign - draw_shot(with_labels(shot(2, index)), 96))
        inside = change[round(96 * top) : round(96 * bottom), round(96 * left) : round(96 * right)]
        assert inside.max() > 20
        assert inside.sum() > 0.9 * change.sum()


@pytest.mark.parametrize("label", FINDINGS)
def test_a_sign_shows_from_the_side_too(label):
    given = shot(2, 90)
    plain = draw_shot(with_labels(given, projection="lateral"), 96).astype(float)
    assert np.abs(draw_shot(with_labels(given, label, projection="lateral"), 96) - plain).max() > 15


def test_no_finding_adds_nothing():
    given = shot(2, 3)
    np.testing.assert_array_equal(draw_shot(with_labels(given, "No Finding"), 96), draw_shot(with_labels(given), 96))


def test_fluid_is_bright_and_free_air_is_dark():
    given = shot(2, 3)
    plain = draw_shot(with_labels(given), 96).astype(float)
    for label, sign in (("Pleural Effusion", 1), ("Consolidation", 1), ("Mass", 1), ("Pneumoperitoneum", -1)):
        change = draw_shot(with_labels(given, label), 96) - plain
        assert sign * change.sum() > 0


# Errors and files


def test_bad_requests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="root"):
        read_phantom(tmp_path)
    for wrong in (0, -3, 2.0, True):
        with pytest.raises(ValueError, match="images"):
            read_phantom(images=wrong)
    with pytest.raises(ValueError, match="seed"):
        read_phantom(seed=-1)
    for size in (31, 1025):
        with pytest.raises(ValueError, match="size"):
            draw_phantom(0, 0, size)
        with pytest.raises(ValueError, match="size"):
            write_phantoms(tmp_path / "new", images=2, size=size)
    with pytest.raises(ValueError, match="index"):
        draw_phantom(0, -1, 96)
    assert not (tmp_path / "new").exists()


def test_written_phantoms_are_those_that_are_drawn(tmp_path):
    table = write_phantoms(tmp_path / "out", images=40, seed=5, size=48)
    rows = pd.read_csv(tmp_path / "out" / "labels.csv", dtype=str)
    assert list(rows) == ["image_id", "path", "patient_id", "study_id", "view", *LABELS]
    np.testing.assert_array_equal(rows[list(LABELS)].to_numpy(dtype=np.float32), read_phantom(images=40, seed=5).values)
    assert rows.image_id.tolist() == read_phantom(images=40, seed=5).images.image_id.tolist()
    with Image.open(tmp_path / "out" / rows.path[17]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), draw_phantom(5, 17, 48))
    with Image.open(table.images.path[17]) as picture:
        assert picture.size == (48, 48)
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.size[0] > 1000


def test_a_folder_with_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="not empty"):
        write_phantoms(tmp_path, images=2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
