"""Resizing a data set once, so that training reads small files."""

from mlgcn.data.prepare.manifest import parts_to_do, read_manifest
from mlgcn.data.prepare.one_image import Settings
from mlgcn.data.prepare.run import Report, prepare

__all__ = ["Report", "Settings", "parts_to_do", "prepare", "read_manifest"]
