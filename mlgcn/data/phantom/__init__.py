"""Synthetic chest X-rays with the labels, the prevalences and the company of labels of CXR-LT 2023."""

from mlgcn.data.phantom.population import LABELS, plan_images
from mlgcn.data.phantom.radiograph import SIZES, draw_phantom, parse_phantom_path, phantom_path
from mlgcn.data.phantom.sheet import save_contact_sheet

__all__ = [
    "LABELS",
    "SIZES",
    "draw_phantom",
    "parse_phantom_path",
    "phantom_path",
    "plan_images",
    "save_contact_sheet",
]
