"""Images with their labels, by row number."""

import logging
from collections import Counter

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn.data.batch import Sample
from mlgcn.data.images import UnreadableImageError, read_image
from mlgcn.data.transforms import Augmentation
from mlgcn.labels import VIEWS, LabelTable

logger = logging.getLogger(__name__)


class ImageDataset(Dataset[Sample]):
    """The images of a table, each read when asked for.

    With an augmentation, rows are asked for as draw * len(dataset) + row, see NumberedDraws, and each draw of an image
    is changed in its own way.

    Args:
        table: labels and paths.
        size: images are resized to size x size pixels.
        cache: keep decoded images in memory, size * size bytes each. Each worker process has a cache of its own.
        skip_unreadable: hand on what cannot be read as a sample without image, instead of stopping.
        soft: hand on soft labels, which a loss learns from; else they are unknown, as metrics need them.
        augmentation: of the images, for training.
    Raises: UnreadableImageError when an image is asked for that cannot be read, unless skip_unreadable; IndexError on
        a row beyond the last, without augmentation.
    """

    def __init__(
        self,
        table: LabelTable,
        size: int,
        cache: bool = False,
        skip_unreadable: bool = False,
        soft: bool = False,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.table, self.size, self.skip_unreadable, self.augmentation = table, size, skip_unreadable, augmentation
        self.targets = torch.tensor(table.values if soft else table.certain)
        self.views = torch.tensor([VIEWS.index(view) for view in table.images.view], dtype=torch.int64)
        self.paths = table.images.path.tolist()
        self.kept: dict[int, Tensor] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Sample:
        draw, row = divmod(index, len(self))
        if draw and self.augmentation is None:
            raise IndexError(f"row {index} of {len(self)} images")
        return self.draw(row, draw)

    def draw(self, row: int, number: int) -> Sample:
        """The image of a row, changed as in the draw of that number."""
        targets, view = self.targets[row], self.views[row, None]
        try:
            image = self._image(row)
            if self.augmentation is not None:
                image = self.augmentation(image, number, row)
            return Sample(image[None], targets, row, view)
        except UnreadableImageError as error:
            if not self.skip_unreadable:
                raise
            none = torch.empty(0, 1, self.size, self.size, dtype=torch.uint8)
            return Sample(none, targets, row, view[:0], (str(error),))

    def _image(self, row: int) -> Tensor:
        if self.kept is None:
            return read_image(self.paths[row], self.size)
        if row not in self.kept:
            self.kept[row] = read_image(self.paths[row], self.size)
        return self.kept[row]


class UnreadableCount:
    """Names every unreadable image once in the log, and counts them."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def add(self, messages: tuple[str, ...]) -> None:
        for message in messages:
            if message not in self.seen:
                logger.warning("skipped: %s", message)
            self.seen[message] += 1

    @property
    def messages(self) -> list[str]:
        """One a file, in the order of their discovery."""
        return list(self.seen)
