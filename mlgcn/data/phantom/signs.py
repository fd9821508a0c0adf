"""Which label has which sign, and in which order signs are drawn."""

from collections.abc import Callable, Sequence

from mlgcn.data.phantom import chest_signs as chest
from mlgcn.data.phantom import devices
from mlgcn.data.phantom import lung_signs as lung
from mlgcn.data.phantom.anatomy import Build, Thorax
from mlgcn.data.phantom.sign_tools import Sign

# Changes of the organs' shapes, made before anything is drawn.
RESHAPE: dict[str, Callable[[Build, Sign], None]] = {
    "Emphysema": lung.inflate,
    "Fibrosis": lung.shrink,
    "Atelectasis": lung.raise_dome,
    "Edema": lung.congest,
    "Cardiomegaly": chest.enlarge_heart,
    "Enlarged Cardiomediastinum": chest.widen_mediastinum,
    "Calcification of the Aorta": chest.prominent_knob,
    "Tortuous Aorta": chest.bend_aorta,
}

# From the depth of the lung outwards: what is drawn later may cover, collapse or overlie what stands before it.
DRAW: dict[str, Callable[[Thorax, Sign], None]] = {
    "Emphysema": lung.emphysema,
    "Fibrosis": lung.fibrosis,
    "Infiltration": lung.infiltration,
    "Edema": lung.edema,
    "Lung Opacity": lung.lung_opacity,
    "Pneumonia": lung.pneumonia,
    "Consolidation": lung.consolidation,
    "Atelectasis": lung.atelectasis,
    "Nodule": lung.nodule,
    "Mass": lung.mass,
    "Lung Lesion": lung.lung_lesion,
    "Tortuous Aorta": chest.tortuous_aorta,
    "Pneumothorax": chest.pneumothorax,
    "Pleural Thickening": chest.pleural_thickening,
    "Pleural Effusion": chest.pleural_effusion,
    "Pleural Other": chest.pleural_plaques,
    "Hernia": chest.hiatal_hernia,
    "Calcification of the Aorta": chest.aortic_calcification,
    "Pneumomediastinum": chest.pneumomediastinum,
    "Pneumoperitoneum": chest.pneumoperitoneum,
    "Fracture": chest.fracture,
    "Subcutaneous Emphysema": chest.subcutaneous_emphysema,
    "Support Devices": devices.support_devices,
}


def reshape_build(build: Build, signs: Sequence[Sign]) -> None:
    """Gives the organs the shapes that the signs ask for."""
    for sign in signs:
        if change := RESHAPE.get(sign.label):
            change(build, sign)


def draw_signs(thorax: Thorax, signs: Sequence[Sign]) -> None:
    """Draws the signs into the fields of the thorax."""
    present = {sign.label: sign for sign in signs}
    for label, draw in DRAW.items():
        if label in present:
            draw(thorax, present[label])
