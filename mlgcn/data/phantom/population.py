"""Who is X-rayed and what they have: patients, studies, views and labels, each image from (seed, index) alone."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

# Positives of each label among the 264,849 images of CXR-LT 2023 (Holste et al.), from frequent to rare.
COUNTS = {
    "Support Devices": 89140,
    "Lung Opacity": 79931,
    "Cardiomegaly": 76900,
    "Pleural Effusion": 69240,
    "Atelectasis": 67597,
    "Pneumonia": 48093,
    "No Finding": 41869,
    "Edema": 38574,
    "Enlarged Cardiomediastinum": 30119,
    "Consolidation": 16038,
    "Pneumothorax": 14983,
    "Fracture": 11883,
    "Infiltration": 10218,
    "Nodule": 7663,
    "Mass": 5529,
    "Calcification of the Aorta": 4361,
    "Emphysema": 4255,
    "Hernia": 4049,
    "Tortuous Aorta": 3499,
    "Pleural Thickening": 3369,
    "Lung Lesion": 2533,
    "Subcutaneous Emphysema": 2453,
    "Fibrosis": 1158,
    "Pneumomediastinum": 788,
    "Pleural Other": 675,
    "Pneumoperitoneum": 543,
}
LABELS = tuple(COUNTS)
FINDINGS = tuple(name for name in LABELS if name != "No Finding")
PREVALENCE = np.array(list(COUNTS.values())) / 264849

# Patients never span blocks, so that an image can be planned without planning those before it.
BLOCK = 32
VIEWS_PER_STUDY = (0.55, 0.35, 0.10)  # shares of studies with one, two and three views
NEW_PATIENT = 0.4  # probability that a study is its patient's first
DEVICES_WITHOUT_FINDING = 0.12  # share of the No Finding images that show support devices

# What findings have in common: loadings of the latent severity of each finding on shared causes.
CAUSES = {
    "congestion": {
        "Edema": 0.7, "Cardiomegaly": 0.55, "Pleural Effusion": 0.45, "Enlarged Cardiomediastinum": 0.3,
        "Pneumonia": -0.3, "Nodule": -0.2,
    },
    "intensive care": {
        "Support Devices": 0.65, "Pleural Effusion": 0.35, "Atelectasis": 0.3, "Subcutaneous Emphysema": 0.4,
        "Pneumothorax": 0.35, "Pneumomediastinum": 0.3, "Pneumoperitoneum": 0.3, "Cardiomegaly": -0.3,
    },
    "infection": {
        "Pneumonia": 0.7, "Consolidation": 0.6, "Lung Opacity": 0.5, "Infiltration": 0.4, "Cardiomegaly": -0.3,
        "Support Devices": -0.2, "Atelectasis": -0.3,
    },
    "air leak": {
        "Subcutaneous Emphysema": 0.75, "Pneumomediastinum": 0.75, "Pneumothorax": 0.6, "Fracture": 0.35,
        "Pneumoperitoneum": 0.3,
    },
    "age": {
        "Calcification of the Aorta": 0.7, "Tortuous Aorta": 0.7, "Hernia": 0.35, "Emphysema": 0.3, "Fracture": 0.2,
        "Enlarged Cardiomediastinum": 0.25, "Lung Opacity": -0.2,
    },
    "tumour": {"Lung Lesion": 0.65, "Mass": 0.55, "Nodule": 0.5, "Lung Opacity": 0.2, "Atelectasis": -0.2},
    "scar": {
        "Pleural Thickening": 0.5, "Pleural Other": 0.6, "Fibrosis": 0.6, "Emphysema": 0.3, "Nodule": 0.2,
    },
}  # fmt: skip
# Share of a finding's own latent that belongs to the patient and not to the study.
PERSISTENCE = {
    **dict.fromkeys(FINDINGS, 0.4),
    **dict.fromkeys(
        ("Calcification of the Aorta", "Tortuous Aorta", "Hernia", "Emphysema", "Fibrosis", "Pleural Thickening"), 0.85
    ),
    **dict.fromkeys(("Cardiomegaly", "Pleural Other", "Nodule", "Mass", "Lung Lesion"), 0.7),
}
CAUSE_PERSISTENCE = 0.5

# Studies with findings that would come out empty are given one label, drawn in proportion to its prevalence; every
# threshold is lowered by this share in return. At this value share_without_labels(RELIEF) = RELIEF * sum(CONDITIONAL),
# so that the marginals come out exact. A test solves it anew.
RELIEF = 0.022366

_LOADINGS = np.array([[cause.get(name, 0.0) for cause in CAUSES.values()] for name in FINDINGS])  # [25, causes]
_OWN = np.sqrt(1 - (_LOADINGS**2).sum(1))
_PERSISTENCE = np.array([PERSISTENCE[name] for name in FINDINGS])
# Devices come first among all labels and among the findings, so that one number serves both.
_DEVICES, _NO_FINDING = LABELS.index("Support Devices"), LABELS.index("No Finding")
_FINDING_COLUMNS = np.array([LABELS.index(name) for name in FINDINGS])
_HEALTHY = PREVALENCE[_NO_FINDING]

# Prevalence of each finding among the images that are not No Finding.
CONDITIONAL = PREVALENCE[_FINDING_COLUMNS].copy()
CONDITIONAL[_DEVICES] -= _HEALTHY * DEVICES_WITHOUT_FINDING
CONDITIONAL /= 1 - _HEALTHY


@dataclass(frozen=True, eq=False)
class Shot:
    """One image to draw: whose it is, how it was taken, and what it shows (labels: bool [26])."""

    seed: int
    index: int
    patient: int
    study: int
    projection: str
    view: str
    labels: np.ndarray


class Plan(NamedTuple):
    """The plan of consecutive images, all arrays [N]; labels bool [N, 26]. Patients and studies are numbers."""

    patient: np.ndarray
    study: np.ndarray
    projection: np.ndarray
    view: np.ndarray
    labels: np.ndarray


def shot(seed: int, index: int) -> Shot:
    """The plan of one image.

    Raises: ValueError if seed or index is negative.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must be >= 0, got {seed} and {index}")
    block, row = plan_block(seed, index // BLOCK), index % BLOCK
    patient, study = int(block.patient[row]), int(block.study[row])
    return Shot(seed, index, patient, study, str(block.projection[row]), str(block.view[row]), block.labels[row])


def plan_images(seed: int, images: int) -> Plan:
    """The plan of images 0 to `images` - 1 of a seed."""
    blocks = [plan_block(seed, number) for number in range(-(-images // BLOCK))]
    return Plan(*(np.concatenate(columns)[:images] for columns in zip(*blocks, strict=True)))


@lru_cache(maxsize=4096)
def plan_block(seed: int, number: int) -> Plan:
    """The plan of one block of images."""
    rng = np.random.default_rng([seed, 0, number])
    views = rng.choice(3, size=BLOCK, p=VIEWS_PER_STUDY) + 1
    study = np.repeat(np.arange(BLOCK), views)[:BLOCK]
    position = np.arange(BLOCK) - (np.cumsum(views) - views)[study]  # 0, 1, 2 within its study
    first = rng.random(BLOCK) < NEW_PATIENT
    first[0] = False  # study 0 opens patient 0
    patient_of_study = np.cumsum(first)
    labels = _study_labels(rng, patient_of_study)
    projection, view = _projections(rng, labels, study, position)
    start = number * BLOCK
    plan = Plan(start + patient_of_study[study], start + study, projection, view, labels[study])
    for column in plan:
        column.flags.writeable = False  # cached: all callers share it
    return plan


def share_without_labels(relief: float, points: int = 2**14) -> float:
    """The share of studies with findings that come out empty when every threshold is lowered by `relief`.

    Given the shared causes the findings are independent, so that only the causes need integration (Sobol points).
    """
    from scipy.stats import qmc  # takes longer to import than all else here to run

    causes = ndtri(qmc.Sobol(_LOADINGS.shape[1], seed=0).random(points))  # [points, causes]
    spare = (_thresholds(relief) - causes @ _LOADINGS.T) / _OWN
    return float(ndtr(spare).prod(axis=1).mean())


def _thresholds(relief: float) -> np.ndarray:
    return -ndtri(CONDITIONAL * (1 - relief))


_THRESHOLDS = _thresholds(RELIEF)
_FILL = np.cumsum(CONDITIONAL / CONDITIONAL.sum())
_DEVICES_THRESHOLD = -ndtri(DEVICES_WITHOUT_FINDING)
_HEALTHY_THRESHOLD = ndtri(_HEALTHY)


def _study_labels(rng: np.random.Generator, patient: np.ndarray) -> np.ndarray:
    """Labels of the studies of a block, bool [studies, 26]; patient [studies] numbers their patients."""
    studies, causes = len(patient), _LOADINGS.shape[1]
    lasting = rng.standard_normal((studies, causes + len(FINDINGS) + 1))[patient]
    passing = rng.standard_normal(lasting.shape)
    share = np.concatenate([np.full(causes, CAUSE_PERSISTENCE), _PERSISTENCE, [0.5]])
    latent = np.sqrt(share) * lasting + np.sqrt(1 - share) * passing
    severity = latent[:, :causes] @ _LOADINGS.T + latent[:, causes:-1] * _OWN
    found = severity > _THRESHOLDS
    empty = np.flatnonzero(~found.any(axis=1))
    found[empty, np.minimum(np.searchsorted(_FILL, rng.random(studies)[empty]), len(FINDINGS) - 1)] = True
    healthy = latent[:, -1] < _HEALTHY_THRESHOLD
    found[healthy] = False
    labels = np.zeros((studies, len(LABELS)), dtype=bool)
    labels[:, _FINDING_COLUMNS] = found
    labels[:, _NO_FINDING] = healthy
    labels[:, _DEVICES] |= healthy & (severity[:, _DEVICES] > _DEVICES_THRESHOLD)
    return labels


def _projections(
    rng: np.random.Generator, labels: np.ndarray, study: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Projection (pa, ap, lateral) and view (frontal, lateral, unknown) of each image of a block."""
    # The very ill are X-rayed lying, from front to back: their heart looks wider, their breath is shallow.
    ill = labels[:, _DEVICES] | labels[:, LABELS.index("Edema")]
    lying = (rng.random(len(labels)) < np.where(ill, 0.7, 0.3))[study]
    lateral_share = np.where(position == 1, np.where(lying, 0.15, 0.85), 0.03)
    lateral = rng.random(len(study)) < lateral_share
    projection = np.where(lateral, "lateral", np.where(lying, "ap", "pa"))
    view = np.where(rng.random(len(study)) < 0.01, "unknown", np.where(lateral, "lateral", "frontal"))
    return projection, view
