"""Studies: all views of a patient from one occasion, with one set of labels."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from mlgcn.data.batch import Sample
from mlgcn.data.dataset import ImageDataset
from mlgcn.data.transforms import Augmentation
from mlgcn.labels import IMAGE_COLUMNS, VIEWS, LabelTable, merge_labels, studies_of


def study_table(table: LabelTable) -> LabelTable:
    """One row a study, in order of appearance: its labels merged, as merge_labels does, and image_id its study_id.

    view is that of all its images, or unknown where they differ; path that of its first image: frontal before lateral
    before unknown, then by image_id.
    Raises: ValueError on a table without images, or that names a study of several patients or splits.
    """
    if not len(table):
        raise ValueError("the table has no images, so there is no study")
    studies, groups = studies_of(table.images)
    order, first = _by_study(table.images)
    studies = studies.assign(path=table.images.path.to_numpy()[order[first[:-1]]])
    columns: dict[str, Any] = {column: studies[column].tolist() for column in IMAGE_COLUMNS}
    return LabelTable(merge_labels(table.values, groups), table.names, **columns, soft=table.soft)


class StudyDataset(Dataset[Sample]):
    """The studies of a table of images, each with up to so many of its images.

    The order of a study's images is frontal, lateral, unknown, then by image_id; for training it is random in each
    draw. The first that can be read are taken.

    Args:
        table: labels and paths of images; its studies are the rows, as study_table has them.
        views: the most images of a study.
        size, cache, skip_unreadable, soft, augmentation: see ImageDataset; a study none of whose images can be read has
            none, and with an augmentation the order of its images is random.
        seed: of the random order.
    Raises: ValueError unless views >= 1, or as study_table; UnreadableImageError as ImageDataset.
    """

    def __init__(
        self,
        table: LabelTable,
        size: int,
        views: int = 4,
        cache: bool = False,
        skip_unreadable: bool = False,
        soft: bool = False,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        if views < 1:
            raise ValueError(f"views is {views}, expected at least 1")
        self.table, self.views, self.seed = study_table(table), views, seed
        self.images = ImageDataset(table, size, cache, skip_unreadable, augmentation=augmentation)
        self.kept = self.images.kept
        self.targets = torch.tensor(self.table.values if soft else self.table.certain)
        self.order, self.first = _by_study(table.images)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Sample:
        draw, row = divmod(index, len(self))
        if draw and self.images.augmentation is None:
            raise IndexError(f"row {index} of {len(self)} studies")
        samples: list[Sample] = []
        for image in self._images(row, draw):
            samples.append(self.images.draw(image, draw))
            if sum(len(sample.images) for sample in samples) == self.views:
                break
        return Sample(
            torch.cat([sample.images for sample in samples]),
            self.targets[row],
            row,
            torch.cat([sample.views for sample in samples]),
            tuple(message for sample in samples for message in sample.unreadable),
        )

    def _images(self, row: int, draw: int) -> list[int]:
        """Rows of a study's images in the table of images, in the order in which they are taken."""
        images = self.order[self.first[row] : self.first[row + 1]]
        if self.images.augmentation is not None:
            images = np.random.default_rng([self.seed, draw, row]).permutation(images)
        return images.tolist()


def _by_study(images: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the images study by study, each study's in order, int64 [N]; and where each begins and all end, [G + 1].

    Studies stand in order of appearance.
    """
    study, names = pd.factorize(images["study_id"])
    keys = pd.DataFrame({"study": study, "view": images["view"].map(VIEWS.index), "image_id": images["image_id"]})
    order = keys.sort_values(["study", "view", "image_id"]).index.to_numpy()
    return order, np.searchsorted(study[order], np.arange(len(names) + 1))
