"""Loaders for training and evaluation."""

import os
from collections.abc import Callable, Iterator

import lightning as L
from torch.utils.data import Sampler
from torchdata.stateful_dataloader import StatefulDataLoader

from mlgcn.data.batch import collate
from mlgcn.data.dataset import ImageDataset
from mlgcn.data.images import PHANTOM
from mlgcn.data.samplers import NumberedDraws, PlannedSampler
from mlgcn.data.studies import StudyDataset
from mlgcn.data.transforms import Augmentation
from mlgcn.labels import LabelTable, studies_of
from mlgcn.seeding import AUGMENTATION


class ImageDataModule(L.LightningDataModule):
    """The loaders of a run: training images as the sampler draws them, validation images once each, in order.

    With study_views, rows are studies instead of images. The rows that the sampler draws from are those of
    train_set.table.

    Args:
        table: with a split for every image.
        sampler: from rank and number of processes to the sampler of the training rows.
        image_size, cache, skip_unreadable: see ImageDataset.
        batch_size, num_workers: of each process.
        study_views: the most images of a study, see StudyDataset; training takes them in random order.
        augmentation: of the training images, by name.
        seed: of augmentation and that order.
    Raises: FileNotFoundError that counts and names absent images, unless skip_unreadable; ValueError if a split is
        empty or, with study_views, a study is in several, or as StudyDataset.
    """

    def __init__(
        self,
        table: LabelTable,
        sampler: Callable[[int, int], PlannedSampler],
        *,
        image_size: int,
        batch_size: int,
        num_workers: int = 0,
        cache: bool = False,
        skip_unreadable: bool = False,
        study_views: int | None = None,
        augmentation: str = "none",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not skip_unreadable:
            check_present(table)
        self.make_sampler, self.batch_size, self.num_workers = sampler, batch_size, num_workers
        train, val = table.split("train"), table.split("val")
        changing = Augmentation(augmentation, image_size, seed, AUGMENTATION)
        self.train_set: ImageDataset | StudyDataset
        self.val_set: ImageDataset | StudyDataset
        if study_views is None:
            self.train_set = ImageDataset(train, image_size, cache, skip_unreadable, True, changing)
            self.val_set = ImageDataset(val, image_size, cache, skip_unreadable)
        else:
            studies_of(table.images)  # a study in two splits would pass for one in each
            self.train_set = StudyDataset(train, image_size, study_views, cache, skip_unreadable, True, changing, seed)
            self.val_set = StudyDataset(val, image_size, study_views, cache, skip_unreadable)

    def setup(self, stage: str) -> None:
        self.sampler = NumberedDraws(self.make_sampler(*self._place()), len(self.train_set))

    @property
    def train_batches(self) -> int:
        """Training batches of an epoch for each process."""
        return len(self.sampler) // self.batch_size or 1

    def train_dataloader(self) -> StatefulDataLoader:
        # A last batch of one image would break batch normalisation.
        drop_last = len(self.sampler) > self.batch_size
        return _loader(self.train_set, self.sampler, self.batch_size, self.num_workers, drop_last)

    def val_dataloader(self) -> StatefulDataLoader:
        return _loader(self.val_set, Stride(len(self.val_set), *self._place()), self.batch_size, self.num_workers)

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


class Stride(Sampler[int]):
    """Every row once and in order, each process its share."""

    def __init__(self, size: int, rank: int = 0, world_size: int = 1) -> None:
        self.rows = range(rank, size, world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def evaluation_loader(
    table: LabelTable,
    image_size: int,
    batch_size: int = 32,
    num_workers: int = 0,
    skip_unreadable: bool = False,
    study_views: int | None = None,
) -> StatefulDataLoader:
    """Every image of the table once and in order; with study_views every study, in the order of study_table."""
    dataset = (
        ImageDataset(table, image_size, skip_unreadable=skip_unreadable)
        if study_views is None
        else StudyDataset(table, image_size, study_views, skip_unreadable=skip_unreadable)
    )
    return _loader(dataset, Stride(len(dataset)), batch_size, num_workers)


def check_present(table: LabelTable) -> None:
    """Raises FileNotFoundError that counts the images of the table that are absent and names the first ten."""
    # Not Path(path).is_file(): of 264,849 images the difference is felt.
    absent = [path for path in table.images.path if not path.startswith(PHANTOM) and not os.path.isfile(path)]
    if absent:
        shown = "\n  ".join(absent[:10])
        raise FileNotFoundError(
            f"{len(absent)} of {len(table)} images are absent; --data.unreadable skip, where a command has it, goes on "
            "without them:\n"
            f"  {shown}"
        )


def _loader(
    dataset: ImageDataset | StudyDataset,
    sampler: Sampler[int],
    batch_size: int,
    num_workers: int,
    drop_last: bool = False,
) -> StatefulDataLoader:
    return StatefulDataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate,
        drop_last=drop_last,
        persistent_workers=num_workers > 0 and dataset.kept is not None,  # the workers hold the cache
    )
