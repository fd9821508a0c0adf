"""Loaders: what an epoch of training and of evaluation consists of, and how missing files are told."""

import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn.data.datamodule import ImageDataModule, Stride, check_present, evaluation_loader
from mlgcn.data.images import UnreadableImageError
from mlgcn.data.samplers import RandomSampler
from mlgcn.data.studies import study_table
from mlgcn.labels import VIEWS, LabelTable


@pytest.fixture
def table(tmp_path):
    """Twenty images whose grey level is their number: 12 of train, 5 of val and 3 of test, mixed."""
    paths = [str(tmp_path / f"{number}.png") for number in range(20)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((32, 32), number, dtype=np.uint8)).save(path)
    split = ["train", "val", "train", "test"] * 3 + ["train", "train", "val", "train"] * 2
    return LabelTable(np.eye(20)[:, :2], ["a", "b"], image_id=range(20), path=paths, split=split)


def of(table, name):
    """Numbers of the images of a split."""
    return [number for number, split in enumerate(table.images.split) if split == name]


def data_module(table, num_samples=12, place=None, **options):
    def sampler(rank, world_size):
        return RandomSampler(np.zeros((len(of(table, "train")), 2)), num_samples, 3, rank, world_size)

    data = ImageDataModule(table, sampler, **{"image_size": 8, "batch_size": 4, **options})
    data.trainer = place
    data.setup("fit")
    return data


def numbers(batches):
    """The number of every image, read off its pixels."""
    return [int(image[0, 0, 0]) for batch in batches for image in batch.images]


def test_training_images_come_as_the_sampler_draws_them(table):
    drawn = list(RandomSampler(np.zeros((12, 2)), 12, 3))
    batches = list(data_module(table).train_dataloader())
    assert [row for batch in batches for row in batch.rows.tolist()] == drawn
    assert numbers(batches) == [of(table, "train")[row] for row in drawn]
    for batch in batches:
        assert batch.images.shape == (4, 1, 8, 8)
        assert torch.equal(batch.targets, torch.tensor(table.split("train").values)[batch.rows])


def test_the_changes_of_training_images_follow_from_seed_and_draw_in_whichever_process(table):
    def pixels(epoch=0, workers=0, seed=1):
        data = data_module(table, augmentation="chexfusion2023", num_workers=workers, seed=seed, image_size=16)
        data.sampler.set_epoch(epoch)
        return torch.cat([batch.images for batch in data.train_dataloader()])

    assert torch.equal(pixels(), pixels(workers=2))
    assert not torch.equal(pixels(), pixels(seed=2)) and not torch.equal(pixels(), pixels(epoch=1))


@pytest.mark.parametrize("workers", [0, 2])
def test_validation_images_come_once_each_and_in_order(table, workers):
    batches = list(data_module(table, num_workers=workers).val_dataloader())
    assert numbers(batches) == of(table, "val")
    assert [len(batch.images) for batch in batches] == [4, 1]


def test_evaluation_takes_the_images_of_the_table_once_each_and_in_order(table):
    part = table.take(np.array([7, 3, 11, 0, 19]))
    batches = list(evaluation_loader(part, 8, batch_size=2))
    assert numbers(batches) == [7, 3, 11, 0, 19]
    assert [row for batch in batches for row in batch.rows.tolist()] == list(range(5))


def test_images_come_with_their_view_and_one_a_row(table):
    table = LabelTable(
        table.values, table.names, image_id=table.images.image_id, path=table.images.path, view=[*VIEWS, "lateral"] * 5
    )
    batches = list(evaluation_loader(table, 8, batch_size=8))
    assert [VIEWS[view] for batch in batches for view in batch.views.tolist()] == table.images.view.tolist()
    assert all(batch.slots is None for batch in batches)


@pytest.mark.parametrize("num_samples", [1, 3, 4, 5, 8, 9, 12, 30])
def test_the_number_of_training_batches_is_known_before_they_are_read(table, num_samples):
    data = data_module(table, num_samples)
    sizes = [len(batch.images) for batch in data.train_dataloader()]
    assert len(sizes) == data.train_batches
    # A rest of the last epoch is left out, unless it is all there is.
    assert sizes == ([num_samples] if num_samples < 4 else [4] * (num_samples // 4))


def test_each_process_reads_its_own_share(table):
    trained, validated = [], []
    for rank in range(2):
        data = data_module(table, place=SimpleNamespace(global_rank=rank, world_size=2))
        assert data.train_batches == 1
        trained.append(list(data.train_dataloader().sampler))
        validated += numbers(data.val_dataloader())
    alone = list(RandomSampler(np.zeros((12, 2)), 12, 3))
    assert [alone[rank::2] for rank in range(2)] == [[index % 12 for index in indices] for indices in trained]
    assert sorted(validated) == of(table, "val")


@pytest.mark.parametrize(("size", "world_size"), [(10, 1), (10, 3), (2, 4), (0, 2)])
def test_strides_of_all_processes_cover_every_image_once(size, world_size):
    strides = [Stride(size, rank, world_size) for rank in range(world_size)]
    assert sorted(row for stride in strides for row in stride) == list(range(size))
    assert [len(stride) for stride in strides] == [len(list(stride)) for stride in strides]


# Missing and broken files


def test_absent_images_are_counted_and_the_first_ten_named(table):
    gone = [0, *range(2, 13)]
    for number in gone:
        Path(table.images.path[number]).unlink()
    for check in (check_present, data_module):
        with pytest.raises(FileNotFoundError) as refusal:
            check(table)
        first, *named = str(refusal.value).splitlines()
        assert first.startswith("12 of 20 images are absent; ") and "--data.unreadable skip" in first
        assert [line.strip() for line in named] == [table.images.path[number] for number in gone[:10]]


def test_a_folder_in_place_of_an_image_is_absent(table):
    path = Path(table.images.path[4])
    path.unlink()
    path.mkdir()
    with pytest.raises(FileNotFoundError, match=r"1 of 20 images are absent[^\n]*\n  .*4\.png$"):
        check_present(table)


def test_phantoms_are_never_absent():
    check_present(LabelTable(np.eye(2), ["a", "b"], image_id=["x", "y"], path=["phantom:0:0", "phantom:0:1"]))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_stops_the_epoch_and_is_named(table, workers):
    Path(table.images.path[1]).write_bytes(b"broken")
    with pytest.raises(UnreadableImageError, match=r"[/\\]1\.png: truncated or no PNG"):
        list(data_module(table, num_workers=workers).val_dataloader())
    for worker in multiprocessing.active_children():
        worker.terminate()  # the loader would wait 5 seconds for each


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_and_absent_images_are_skipped_and_named_where_asked(table, workers):
    broken, absent = of(table, "val")[1:3]
    Path(table.images.path[broken]).write_bytes(b"broken")
    Path(table.images.path[absent]).unlink()
    data = data_module(table, num_workers=workers, skip_unreadable=True)
    batches = list(data.val_dataloader())
    assert numbers(batches) == [number for number in of(table, "val") if number not in (broken, absent)]
    named = [message for batch in batches for message in batch.unreadable]
    assert [message.split(": ")[0] for message in named] == [table.images.path[n] for n in (broken, absent)]
    assert len(list(data.train_dataloader())) == 3


def test_a_table_without_a_validation_split_is_refused(table):
    with pytest.raises(ValueError, match="the val split is empty"):
        data_module(table.with_split(["train"] * 20))


# Studies


@pytest.fixture
def studies(table):
    """The twenty images as eleven studies of one to three images: six of train, three of val and two of test."""
    columns = {name: [*"aaabbbcccddeeffghijl"] for name in ("study_id", "patient_id")}
    split = ["train"] * 13 + ["val"] * 4 + ["test"] * 2 + ["train"]
    views = ["frontal", "lateral", "unknown", "frontal"] * 5
    images = table.images
    return LabelTable(
        table.values, table.names, image_id=images.image_id, path=images.path, view=views, split=split, **columns
    )


def study_module(table, num_samples=14, **options):
    def sampler(rank, world_size):
        return RandomSampler(study_table(table.split("train")).certain, num_samples, 3, rank, world_size)

    data = ImageDataModule(table, sampler, **{"image_size": 8, "batch_size": 3, "study_views": 2, **options})
    data.trainer = None
    data.setup("fit")
    return data


def seen(batch):
    """Row, targets, images and views of every study of a batch."""
    study = torch.arange(len(batch.images)) if batch.slots is None else batch.slots[:, 0]
    return [
        (row, targets, batch.images[study == place][:, 0, 0, 0].tolist(), batch.views[study == place].tolist())
        for place, (row, targets) in enumerate(zip(batch.rows.tolist(), batch.targets.tolist(), strict=True))
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_studies_of_validation_and_evaluation_come_once_each_with_the_first_of_their_images(studies, workers):
    validated = list(study_module(studies, num_workers=workers).val_dataloader())
    assert [study[2:] for batch in validated for study in seen(batch)] == [([13, 14], [1, 2]), ([15], [0]), ([16], [0])]

    mixed = studies.take(np.array([8, 6, 16, 4, 5, 3, 7]))  # c, h, b
    evaluated = list(evaluation_loader(mixed, 8, 2, workers, study_views=2))
    assert [study[2:] for batch in evaluated for study in seen(batch)] == [
        ([7, 8], [0, 0]),
        ([16], [0]),
        ([3, 4], [0, 0]),
    ]
    assert [batch.rows.tolist() for batch in evaluated] == [[0, 1], [2]]
    table = study_table(mixed)
    assert torch.equal(torch.cat([batch.targets for batch in evaluated]), torch.tensor(table.values))


@pytest.mark.parametrize("workers", [0, 2])
def test_studies_of_training_come_as_the_sampler_draws_them_with_other_images_each_epoch(studies, workers):
    data = study_module(studies, num_workers=workers, cache=True, seed=1)
    loader, drawn = data.train_dataloader(), RandomSampler(np.zeros((6, 2)), 14, 3)
    table, epochs = data.train_set.table, []
    assert len(loader) == data.train_batches == 4
    for epoch in range(3):  # of one loader, whose workers stay
        loader.sampler.set_epoch(epoch)
        drawn.set_epoch(epoch)
        found = [study for batch in loader for study in seen(batch)]
        assert [row for row, *_ in found] == list(drawn)[:12]  # the last batch is not full
        for row, targets, images, views in found:
            assert targets == table.values[row].tolist()
            assert {studies.images.study_id[image] for image in images} == {table.images.study_id[row]}
            assert [VIEWS[view] for view in views] == studies.images.view[images].tolist()
            assert len(set(images)) == len(images) == min(2, "aaabbbcccddeel".count(table.images.study_id[row]))
        epochs.append({row: tuple(images) for row, _, images, _ in found})
    assert any(len({epoch[row] for epoch in epochs}) > 1 for row in range(6))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 3, 4])
def test_training_with_studies_goes_on_in_mid_epoch_as_if_it_had_not_stopped(studies, workers, stop):
    whole, stopped, resumed = (study_module(studies, num_workers=workers).train_dataloader() for _ in range(3))
    for loader in (whole, stopped):
        loader.sampler.set_epoch(5)
    expected = [seen(batch) for batch in whole]
    going = iter(stopped)
    assert [seen(next(going)) for _ in range(stop)] == expected[:stop]
    resumed.load_state_dict(stopped.state_dict())
    resumed.sampler.set_epoch(5)
    assert [seen(batch) for batch in resumed] == expected[stop:]
    for loader in (whole, resumed):
        loader.sampler.set_epoch(6)
    assert [seen(batch) for batch in resumed] == [seen(batch) for batch in whole] != expected


def test_another_seed_takes_other_images_of_the_same_studies(studies):
    found = [
        [study for batch in study_module(studies, seed=seed).train_dataloader() for study in seen(batch)]
        for seed in (0, 1)
    ]
    assert [row for row, *_ in found[0]] == [row for row, *_ in found[1]]
    assert found[0] != found[1]


def test_a_study_goes_without_its_unreadable_images_and_is_left_out_without_any(studies):
    for number in (13, 16):
        Path(studies.images.path[number]).write_bytes(b"broken")
    batches = list(study_module(studies, skip_unreadable=True).val_dataloader())
    assert [study[2:] for batch in batches for study in seen(batch)] == [([14], [2]), ([15], [0])]
    assert [batch.rows.tolist() for batch in batches] == [[0, 1]]
    named = [message.split(": ")[0] for batch in batches for message in batch.unreadable]
    assert named == [studies.images.path[13], studies.images.path[16]]


def test_a_study_in_two_splits_is_refused(studies):
    split = ["val", *studies.images.split[1:]]
    with pytest.raises(ValueError, match=r"study 'a' has several of split: \['train', 'val'\], expected one"):
        study_module(studies.with_split(split))


def test_studies_need_room_for_an_image(studies):
    for make in (study_module, lambda table, study_views: evaluation_loader(table, 8, study_views=study_views)):
        with pytest.raises(ValueError, match="views is 0, expected at least 1"):
            make(studies, study_views=0)
