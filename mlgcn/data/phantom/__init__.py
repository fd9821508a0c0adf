"""Synthetic chest X-rays with the labels, the prevalences and the company of labels of CXR-LT 2023."""

from mlgcn.data.phantom.population import LABELS, plan_images
from mlgcn.data.phantom.radiograph import draw_phantom, parse_phantom_path, phantom_path

__all__ = ["LABELS", "draw_phantom", "parse_phantom_path", "phantom_path", "plan_images"]
