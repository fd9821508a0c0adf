import copy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score

import mlgcn
from mlgcn import Predictor
from mlgcn.config import EvaluationConfig
from mlgcn.data.images import UnreadableImageError
from mlgcn.labels import LabelTable
from mlgcn.nn.token_map import SizeCheck
from mlgcn.prediction.thresholds import choose_thresholds
from mlgcn.predictions import Predictions
from mlgcn.run_directory import RunDirectory

SIZE, COUNT = 32, 5


class Checked(SizeCheck):
    """Scores five labels by the brightness of images whose sides are multiples of 14."""

    def __init__(self):
        super().__init__(14)

    def forward(self, images, *places):
        return super().forward(images).mean(dim=(2, 3))[None] @ torch.ones(3, 5)


@pytest.fixture
def pixels():
    """Grey images of the size that the model takes, so that none is resized: uint8 [COUNT, SIZE, SIZE]."""
    rng = np.random.default_rng(0)
    shades = rng.integers(0, 256, size=(COUNT, 4, 4)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(shades + rng.integers(-20, 20, size=shades.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def paths(tmp_path, pixels):
    """The images as files."""
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    return [tmp_path / f"{number}.png" for number in range(COUNT)]


@pytest.fixture(scope="module")
def built(tiny_model):
    return tiny_model()


@pytest.fixture
def predictor(built):
    return Predictor(*built, device="cpu")


def table_of(paths, names, values=None, ids=None):
    values = np.full((len(paths), len(names)), np.nan) if values is None else values
    ids = ids or [f"image {number}" for number in range(len(paths))]
    return LabelTable(values, names, image_id=ids, path=map(str, paths), view="frontal")


def scores_by_hand(predictor, pixels):
    """Sigmoid of the mean over experts, from pixels that were never a file, in float64."""
    mean, std = np.array(predictor.description.mean), np.array(predictor.description.std)
    inputs = (pixels[:, None] / 255 - mean[:, None, None]) / std[:, None, None]  # [N, 3, H, W]
    model = copy.deepcopy(predictor.model).double()
    with torch.no_grad():
        logits = model(torch.from_numpy(inputs)).numpy()  # [E, N, C]
    return 1 / (1 + np.exp(-logits.mean(axis=0)))


def test_probabilities_are_the_sigmoid_of_the_mean_over_experts(predictor, paths, pixels):
    table = predictor.predict(paths)
    expected = scores_by_hand(predictor, pixels)
    assert expected.std(axis=0).min() > 1e-3  # the images differ, so an exchange would show
    assert list(table) == ["path", "Effusion", "Mass", "Hernia", "Lung Opacity", "No Finding"]
    assert table.path.tolist() == [str(path) for path in paths] and len(table) == COUNT
    np.testing.assert_allclose(table[predictor.names], expected, atol=1e-5)


def test_the_spread_is_the_standard_deviation_over_experts_of_the_image_as_it_is(predictor, paths, pixels):
    mean, std = np.array(predictor.description.mean), np.array(predictor.description.std)
    inputs = (pixels[:, None] / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        logits = copy.deepcopy(predictor.model).double()(torch.from_numpy(inputs)).numpy()  # [E, N, C]
    expected = (1 / (1 + np.exp(-logits))).std(axis=0)
    table = table_of(paths, predictor.names)
    found = predictor.predict_table(table)
    assert expected.max() > 1e-3
    np.testing.assert_allclose(found.spreads, expected, atol=1e-5)
    predictor.settings = replace(predictor.settings, tta=["hflip"], normal_gating=0.5)
    augmented = predictor.predict_table(table)
    assert not np.allclose(augmented.scores, found.scores)
    np.testing.assert_array_equal(augmented.spreads, found.spreads)


def at_other_resolutions(description, size):
    """The description of a model for images of that size, which are also scored smaller and larger."""
    changes = {"evaluation": {"tta": ["resolution"]}, "data": {"image_size": size}}
    return replace(
        description, config={name: values | changes.get(name, {}) for name, values in description.config.items()}
    )


def test_images_are_scored_at_other_resolutions_that_the_trunk_takes(built, paths):
    predictor = Predictor(Checked(), at_other_resolutions(built[1], 518), device="cpu")
    assert predictor.multiple == 14 and len(predictor.predict(paths[:1])) == 1


def test_other_resolutions_that_there_are_not_are_refused_before_anything_is_scored(built):
    with pytest.raises(ValueError, match=r"evaluation\.tta resolution: .*data\.image_size 448 .* multiples of 224 px"):
        Predictor(Checked(), at_other_resolutions(built[1], 448), device="cpu")


def test_one_expert_has_no_spread(tiny_model, paths):
    predictor = Predictor(*tiny_model(model={"experts": 1}, loss={"diversity": 0}), device="cpu")
    assert predictor.predict_table(table_of(paths, predictor.names)).spreads is None


def test_images_are_normalised_and_sized_as_the_checkpoint_says(tiny_model, tmp_path):
    model, description = tiny_model(data={"image_size": 48})
    predictor = Predictor(model, replace(description, mean=[0.1, 0.5, 0.9], std=[0.5, 1.0, 2.0]), device="cpu")
    pixels = np.random.default_rng(1).integers(0, 256, size=(2, 48, 48), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    found = predictor.predict([tmp_path / "0.png", tmp_path / "1.png"])
    np.testing.assert_allclose(found[predictor.names], scores_by_hand(predictor, pixels), atol=1e-5)
    before = Predictor(model, description, device="cpu").predict([tmp_path / "0.png", tmp_path / "1.png"])
    assert not np.allclose(before[predictor.names], found[predictor.names], atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 2, COUNT])
def test_an_images_scores_depend_neither_on_its_place_nor_on_its_company(predictor, paths, batch_size):
    straight = predictor.predict(paths)
    order = [3, 0, 4, 0, 2]  # one of them twice, one left out
    mixed = predictor.predict([paths[i] for i in order], batch_size=batch_size)
    assert mixed.path.tolist() == [str(paths[i]) for i in order]
    np.testing.assert_allclose(mixed[predictor.names], straight.loc[order, predictor.names], atol=1e-6)


def test_worker_processes_change_nothing(predictor, paths):
    expected = predictor.predict(paths)
    pd.testing.assert_frame_equal(predictor.predict(paths, batch_size=2, num_workers=1), expected, atol=1e-6)


@pytest.mark.parametrize("paths", [[], (), "image.png"])
def test_predicting_needs_a_list_of_files(predictor, paths):
    with pytest.raises(ValueError, match="expected a list of at least one image file"):
        predictor.predict(paths)


def test_a_file_that_cannot_be_read_stops_predicting_by_name(predictor, paths, tmp_path):
    (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:100])
    for name in ("broken.png", "gone.png"):
        with pytest.raises(UnreadableImageError, match=name):
            predictor.predict([*paths, tmp_path / name])


@pytest.mark.parametrize("reorder", [False, True])
def test_a_tables_scores_come_in_the_models_order_of_labels(predictor, paths, reorder):
    values = np.random.default_rng(2).choice([0, 1, np.nan], size=(COUNT, 5))
    order = [4, 2, 0, 3, 1] if reorder else list(range(5))
    table = table_of(paths, [predictor.names[i] for i in order], values[:, order])
    found = predictor.predict_table(table, batch_size=2)
    assert found.names == tuple(predictor.names)
    np.testing.assert_allclose(found.scores, predictor.predict(paths)[predictor.names], atol=1e-6)
    np.testing.assert_array_equal(found.targets, values)
    assert found.images.image_id.tolist() == [f"image {number}" for number in range(COUNT)]
    assert set(found.images["view"]) == {"frontal"}


def test_a_table_with_other_labels_is_refused_by_name(predictor, paths):
    names = ["Effusion", "Mass", "Hiatal Hernia", "Lung Opacity", "No Finding"]
    with pytest.raises(ValueError, match=r"lacks \['Hernia'\] and has the unexpected \['Hiatal Hernia'\]"):
        predictor.predict_table(table_of(paths, names))


@pytest.fixture
def damaged(paths, tmp_path):
    """The images, of which one is truncated and one is missing."""
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    return [*paths[:3], tmp_path / "gone.png", *paths[3:]]


def test_unreadable_images_of_a_table_are_refused_by_name(predictor, damaged):
    with pytest.raises(FileNotFoundError, match=r"1 of 6 images are absent(.|\n)*gone\.png"):
        predictor.predict_table(table_of(damaged, predictor.names))
    with pytest.raises(UnreadableImageError, match=r"1\.png"):
        predictor.predict_table(table_of(damaged[:3], predictor.names))


def test_unreadable_images_can_be_left_out_and_are_named_until_the_next_prediction(predictor, damaged):
    values = np.random.default_rng(3).choice([0, 1, np.nan], size=(6, 5))
    table = table_of(damaged, predictor.names, values)
    for batch_size in (1, 4):  # with 1 there are batches without any image
        found = predictor.predict_table(table, batch_size, skip_unreadable=True)
        assert len(predictor.unreadable) == 2
        assert "1.png" in predictor.unreadable[0] and "gone.png" in predictor.unreadable[1]
        kept = [0, 2, 4, 5]
        assert found.images.image_id.tolist() == [f"image {row}" for row in kept]
        np.testing.assert_array_equal(found.targets, values[kept])
        expected = predictor.predict([damaged[row] for row in kept])[predictor.names]
        np.testing.assert_allclose(found.scores, expected, atol=1e-6)
        assert not predictor.unreadable


def test_a_table_without_a_readable_image_is_refused(predictor, damaged):
    with pytest.raises(ValueError, match="none of the 2 images could be read"):
        predictor.predict_table(table_of([damaged[1], damaged[3]], predictor.names), skip_unreadable=True)


def test_a_saved_predictor_is_loaded_from_its_checkpoint_and_from_its_run(tiny_model, paths, tmp_path, caplog):
    best, finished = (Predictor(*tiny_model(seed=seed), device="cpu") for seed in (0, 1))
    run = RunDirectory(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    best.save(run.best)
    for source in (run.best, str(run.best), run.path, str(run.path)):
        pd.testing.assert_frame_equal(Predictor.load(source, "cpu").predict(paths), best.predict(paths))
    assert (
        caplog.messages
        == [f"{run.path}: not trained to its end; this is its best model so far, no threshold is chosen"] * 2
    )
    finished.save(run.model)  # from now on the run means its finished model
    pd.testing.assert_frame_equal(Predictor.load(run.path, "cpu").predict(paths), finished.predict(paths))
    assert not np.allclose(finished.predict(paths)[best.names], best.predict(paths)[best.names], atol=1e-3)
    assert len(caplog.messages) == 2


def test_a_model_in_training_mode_is_put_into_evaluation_mode(tiny_model, paths):
    model, description = tiny_model(model={"dropout": 0.5})
    predictor = Predictor(model.train(), description, device="cpu")
    pd.testing.assert_frame_equal(predictor.predict(paths), predictor.predict(paths))
    assert not predictor.model.training and predictor.device == torch.device("cpu")


def test_what_is_no_run_and_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*best\.ckpt"):
        Predictor.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*model\.ckpt"):
        Predictor.load(tmp_path / "model.ckpt")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"notes\.txt is no readable checkpoint"):
        Predictor.load(tmp_path / "notes.txt")


def test_thresholds_are_saved_with_the_model(predictor, tmp_path):
    assert predictor.description.thresholds == [0.5] * 5
    predictor.set_thresholds(np.array([0.0, 0.25, 0.5, 0.75, 1.0], dtype=np.float32))
    predictor.save(tmp_path / "model.ckpt")
    assert Predictor.load(tmp_path / "model.ckpt", "cpu").description.thresholds == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("thresholds", [[0.5] * 4, [0.5] * 6, [], [0.5] * 4 + [1.5], [-0.1] * 5, [0.5] * 4 + [np.nan]])
def test_thresholds_that_are_no_probability_a_label_are_refused(predictor, thresholds):
    with pytest.raises(ValueError, match=r"thresholds are \[.*\], expected 5 numbers in \[0, 1\]"):
        predictor.set_thresholds(thresholds)
    assert predictor.description.thresholds == [0.5] * 5


def validation():
    """Scores of 30 images, better than chance, with unknown targets among them."""
    rng = np.random.default_rng(4)
    targets = rng.integers(0, 2, size=(30, 3)).astype(float)
    scores = np.clip(rng.normal(0.3 + 0.2 * targets, 0.2), 0, 1).astype(np.float32)
    targets[rng.random(targets.shape) < 0.2] = np.nan
    ids = [str(number) for number in range(30)]
    images = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": "frontal"})
    return Predictions(images, ["a", "b", "c"], scores, targets)


def test_a_threshold_that_is_given_holds_for_all_labels():
    np.testing.assert_array_equal(choose_thresholds(EvaluationConfig(threshold=0.3), validation()), [0.3] * 3)


def test_thresholds_from_validation_reach_the_best_f1_of_each_label():
    data = validation()
    chosen = choose_thresholds(EvaluationConfig(threshold="validation"), data)
    assert len(set(chosen)) > 1
    for label, threshold in enumerate(chosen):
        known = ~np.isnan(data.targets[:, label])
        score, target = data.scores[known, label].astype(np.float64), data.targets[known, label]
        reached = f1_score(target, score >= threshold)
        assert reached == pytest.approx(max(f1_score(target, score >= value) for value in score))


def test_the_predictor_stands_in_the_package_by_name():
    assert mlgcn.Predictor is Predictor
    with pytest.raises(AttributeError, match="module 'mlgcn' has no attribute 'Predictr'"):
        mlgcn.Predictr  # noqa: B018


def test_importing_the_label_tools_loads_no_network():
    code = (
        "import sys, mlgcn.labels; heavy = {'torch', 'torchvision', 'lightning', 'mlgcn.nn', 'mlgcn.prediction'};"
        "print(sorted(heavy & set(sys.modules)));"
        "from mlgcn import Predictor; print('mlgcn.nn' in sys.modules, Predictor.__module__)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["[]", "True mlgcn.prediction.predictor"]
