import copy
import pickle
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from mlgcn.checkpoint import KEY, PREFIX, load_model, save_model, start_from
from mlgcn.run_directory import RunDirectory
from mlgcn.training import Tracking, fit

SETTINGS = [
    {},
    {"graph": {"variant": "none"}},
    {"graph": {"variant": "released"}, "model": {"attention": "joint", "pooling": "max", "experts": 3}},
    {"model": {"branch": "pretrained", "attention": "experts"}},
    {"model": {"attention": "none", "experts": 1}, "loss": {"diversity": 0.0}},
]


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def images(batch=3):
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def types_in(content):
    """The types of everything inside nested containers."""
    if isinstance(content, dict):
        return {dict} | types_in(list(content)) | types_in(list(content.values()))
    if isinstance(content, (list, tuple)):
        return {type(content)}.union(*map(types_in, content))
    return {type(content)}


def assert_same(one, other):
    for name, value in asdict(one).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(other, name)), name
        else:
            assert value == getattr(other, name), name


@pytest.fixture(scope="module")
def saved(tiny_model, tmp_path_factory):
    """A checkpoint of the small network, not to be changed."""
    path = tmp_path_factory.mktemp("saved") / "model.ckpt"
    save_model(path, *tiny_model())
    return path


@pytest.fixture
def altered(saved, tmp_path):
    """Writes the checkpoint with a change of its content."""

    def write(change):
        content = torch.load(saved, weights_only=True)
        change(content)
        torch.save(content, tmp_path / "altered.ckpt")
        return tmp_path / "altered.ckpt"

    return write


@pytest.mark.parametrize("sections", SETTINGS)
def test_a_loaded_model_gives_the_same_logits_to_the_last_bit(tiny_model, tmp_path, sections):
    model, description = tiny_model(seed=3, **sections)
    with torch.no_grad():
        for name, value in model.named_buffers():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
        expected = model(images())
    save_model(tmp_path / "model.ckpt", model, description)
    loaded, described = load_model(tmp_path / "model.ckpt")
    assert not any(module.training for module in loaded.modules())
    with torch.no_grad():
        assert torch.equal(loaded(images()), expected)
    assert expected.shape == (description.config["model"]["experts"], 3, 5)
    assert (expected.std(dim=1) > 1e-3).all()  # the images differ
    assert_same(description, described)


def test_a_checkpoint_holds_plain_containers_and_tensors_alone(saved):
    content = torch.load(saved, weights_only=True)
    assert types_in(content) <= {dict, list, str, int, float, bool, type(None), torch.Tensor}
    assert content[KEY]["names"] == ["Effusion", "Mass", "Hernia", "Lung Opacity", "No Finding"]
    assert {"names", "vectors", "edge_index", "edge_weight", "thresholds", "config", "mean", "std", "version"} <= set(
        content[KEY]
    )


def test_saving_leaves_the_model_as_it_was(tiny_model, tmp_path):
    model, description = tiny_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    save_model(tmp_path / "model.ckpt", model.train(), description)
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_loading_draws_no_global_random_numbers_and_downloads_nothing(tiny_model, tmp_path, monkeypatch):
    model, description = tiny_model()
    config = {**description.config, "model": {**description.config["model"], "weights": "imagenet"}}
    save_model(tmp_path / "model.ckpt", model, replace(description, config=config))

    def download(*args, **options):
        raise AssertionError("weights were downloaded")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    state = torch.get_rng_state()
    loaded, described = load_model(tmp_path / "model.ckpt")
    assert torch.equal(torch.get_rng_state(), state)
    assert described.config["model"]["weights"] == "imagenet"  # what it was trained from stays on record
    with torch.no_grad():
        assert torch.equal(loaded(images()), model(images()))


def test_other_labels_are_refused_and_the_difference_is_named(saved):
    _, description = load_model(saved)
    description.expect_labels(tuple(description.names[::-1]))
    with pytest.raises(ValueError, match=r"lacks \['Hernia'\] and has the unexpected \['Hiatal Hernia', 'Nodule'\]"):
        description.expect_labels(["Effusion", "Mass", "Hiatal Hernia", "Lung Opacity", "No Finding", "Nodule"])
    with pytest.raises(ValueError, match=r"lacks \['No Finding'\]$"):
        description.expect_labels(description.names[:-1])


def test_the_image_size_is_that_of_training(tiny_model):
    assert tiny_model(data={"image_size": 48})[1].image_size == 48


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_checkpoint_is_refused_in_one_line(saved, tmp_path, share):
    content = saved.read_bytes()
    (tmp_path / "part.ckpt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"part\.ckpt is no readable checkpoint: \w") as caught:
        load_model(tmp_path / "part.ckpt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"hello", b"a: 1\nb: 2\n", b"\x89PNG\r\n\x1a\n", bytes(1000)])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"notes\.txt is no readable checkpoint"):
        load_model(tmp_path / "notes.txt")


@pytest.mark.parametrize("write", [lambda content, path: path.write_bytes(pickle.dumps(content)), torch.save])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_foreign_pickle_is_refused_and_nothing_in_it_runs(tmp_path, write):
    write({KEY: {"names": Touch(tmp_path / "ran")}, "state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match=r"foreign\.ckpt is no readable checkpoint: it is no file of tensors alone$"):
        load_model(tmp_path / "foreign.ckpt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", ["state", "lightning", [1, 2], {KEY: {}}])
def test_a_file_without_a_description_is_refused(tiny_model, tmp_path, content):
    state = tiny_model()[0].state_dict()
    others = {"state": state, "lightning": {"epoch": 1, "state_dict": state}}
    torch.save(others.get(content, content) if isinstance(content, str) else content, tmp_path / "other.ckpt")
    with pytest.raises(
        ValueError, match=r"other\.ckpt does not describe itself: expected a checkpoint written by mlgcn"
    ):
        load_model(tmp_path / "other.ckpt")


def test_a_missing_checkpoint_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*gone\.ckpt"):
        load_model(tmp_path / "gone.ckpt")


@pytest.mark.parametrize(
    "change", [lambda content: content[KEY].pop("vectors"), lambda content: content[KEY].update(colour="red")]
)
def test_a_description_of_another_version_is_refused(altered, change):
    with pytest.raises(ValueError, match=r"describes itself as another version of mlgcn does: .*(vectors|colour)"):
        load_model(altered(change))


def drop_a_weight(content):
    del content["state_dict"][PREFIX + "trunk.0.0.weight"]


def describe_more_experts(content):
    content[KEY]["config"]["model"]["experts"] = 3


def describe_no_graph(content):
    content[KEY]["edge_index"] = None


@pytest.mark.parametrize(
    ("change", "named"),
    [(drop_a_weight, "trunk.0.0.weight"), (describe_more_experts, "branches.2"), (describe_no_graph, "heads.0.weight")],
)
def test_weights_that_do_not_fit_the_description_are_refused_by_name(altered, change, named):
    with pytest.raises(
        ValueError, match=r"altered\.ckpt: the weights do not fit the model that the checkpoint"
    ) as caught:
        load_model(altered(change))
    assert named in str(caught.value)


def test_tensors_that_training_keeps_beside_the_network_are_left_aside(saved, altered):
    expected, _ = load_model(saved)
    found, _ = load_model(altered(lambda content: content["state_dict"].update({"loss.base.counts": torch.ones(5)})))
    assert found.state_dict().keys() == expected.state_dict().keys()


@pytest.mark.filterwarnings("ignore:label graph", "ignore:.*tokens never stand", "ignore:labels in columns")
def test_checkpoints_written_during_training_load_as_well(tiny_config, tmp_path):
    config = tiny_config(sampler={"num_samples": 16}, training={"epochs": 1})
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    fit(config, run, Tracking(run, config))
    content = torch.load(run.last, weights_only=True)
    assert content["global_step"] == 2
    trained = {name.removeprefix(PREFIX): value for name, value in content["state_dict"].items()}
    for path in (run.last, run.best):
        model, description = load_model(path)
        assert len(description.names) == 26 and description.config["sampler"]["num_samples"] == 16
        assert model.state_dict().keys() == trained.keys()
        for name, value in model.state_dict().items():
            assert torch.equal(value, trained[name]), name
        with torch.no_grad():
            assert model(images()).shape == (2, 3, 26)


# Starting from another run's weights


def saved_model(tmp_path, tiny_model, **changes):
    model, description = tiny_model(seed=1)
    path = tmp_path / "stage1.ckpt"
    save_model(path, model, replace(description, mean=[0.5] * 3, std=[0.25] * 3, **changes))
    return path, model


def test_a_new_network_takes_features_and_heads_but_keeps_its_own_label_vectors(tmp_path, tiny_model):
    path, trained = saved_model(tmp_path, tiny_model)
    model, description = tiny_model(seed=2)
    vectors = torch.full_like(description.vectors, 7.0)
    for head in model.heads:
        head.vectors.copy_(vectors)
    described, report = start_from(model, path, description.names, description.config)
    assert described.mean == [0.5] * 3 and described.std == [0.25] * 3
    assert str(path) in report
    own, theirs = model.state_dict(), trained.state_dict()
    for name, value in own.items():
        if name.endswith("vectors"):
            assert torch.equal(value, vectors)
        else:
            torch.testing.assert_close(value, theirs[name], msg=name)


def test_heads_of_other_labels_stay_new(tmp_path, tiny_model):
    path, trained = saved_model(tmp_path, tiny_model)
    model, description = tiny_model(seed=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _, report = start_from(model, path, description.names[::-1], description.config)
    assert report.endswith("new, or new in part: heads")
    for name, value in model.state_dict().items():
        expected = before[name] if name.startswith("heads.") else trained.state_dict()[name]
        torch.testing.assert_close(value, expected, msg=name)


@pytest.mark.parametrize(
    ("here", "differing"),
    [
        ({"model": {"experts": 1}, "loss": {"diversity": 0}}, "model.experts 2 there, 1 here"),
        (
            {"model": {"trunk": "resnet34", "experts": 3, "branch": "pretrained", "branch_width": 8}},
            "model.trunk resnet18 there, resnet34 here, model.experts 2 there, 3 here, "
            "model.branch slim there, pretrained here",
        ),
    ],
)
def test_another_trunk_or_other_experts_are_refused_by_the_settings_that_differ(tmp_path, tiny_model, here, differing):
    path, _ = saved_model(tmp_path, tiny_model)
    model, description = tiny_model(**here)
    message = rf"model\.init: .*other experts than this run \({differing}\): \d+ tensors do not fit, the first "
    with pytest.raises(ValueError, match=message):
        start_from(model, path, description.names, description.config)


def test_trunks_by_view_and_the_width_of_branches_are_named_too(tmp_path, tiny_model):
    model, described = tiny_model(model={"branch": "wide", "branch_width": 16}, fusion={"trunks": "trunk"})
    save_model(tmp_path / "stage1.ckpt", model, described)
    new, description = tiny_model(model={"branch": "wide", "branch_width": 8})
    differing = r"\(model.branch_width 16 there, 8 here, fusion.trunks trunk there, one here\): "
    with pytest.raises(ValueError, match=rf"other experts than this run {differing}"):
        start_from(new, tmp_path / "stage1.ckpt", description.names, description.config)


# A text encoder in the network


@pytest.fixture(scope="module")
def read_once(tiny_model, encoder_sections, tmp_path_factory):
    """A network with a text encoder that was trained a little, and its description; the encoder's folder is gone."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    shutil.copytree(encoder_sections["embeddings"]["model"], folder)
    model, description = tiny_model(**{**encoder_sections, "embeddings": {"source": "text", "model": str(folder)}})
    shutil.rmtree(folder)
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight += 0.1
    return model, description


@pytest.fixture
def encoded(read_once, tmp_path):
    """Network, description and their checkpoint."""
    model, description = copy.deepcopy(read_once)
    save_model(tmp_path / "model.ckpt", model, description)
    return model, description, tmp_path / "model.ckpt"


def blank(model):
    """The same network, all its weights 0."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    return other


def test_a_trained_text_encoder_comes_back_without_its_folder(encoded):
    model, description, path = encoded
    content = torch.load(path, weights_only=True)
    assert types_in(content) <= {dict, list, str, int, float, bool, type(None), torch.Tensor}
    words = [name for name in content["state_dict"] if name.endswith("word_embeddings.weight")]
    assert len(words) == 1 < len(model.heads)
    state = torch.get_rng_state()
    loaded, described = load_model(path)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        assert torch.equal(loaded(images()), model(images()))
    assert torch.equal(described.texts.numbers, description.texts.numbers)
    assert torch.equal(described.vectors, description.vectors)


def test_a_text_encoder_without_transformers_is_one_clear_line(encoded, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"model\.ckpt: text encoders need transformers: pip install 'mlgcn\[text\]'$"):
        load_model(encoded[2])


def test_checkpoints_of_before_there_were_text_encoders_still_load(altered):
    _, description = load_model(altered(lambda content: content[KEY].pop("texts")))
    assert description.texts is None


def test_a_new_network_takes_a_text_encoder_that_reads_the_same_tokens(encoded):
    model, description, path = encoded
    new = blank(model)
    _, report = start_from(new, path, description.names, description.config)
    assert report.endswith(f": {len(new.state_dict())} of {len(new.state_dict())} tensors")
    assert all(torch.equal(value, new.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("change", ["other words", "no text encoder"])
def test_a_new_network_keeps_its_own_text_encoder_where_the_other_had_another_or_none(encoded, change):
    model, description, path = encoded
    content = torch.load(path, weights_only=True)
    if change == "other words":
        content[KEY]["texts"]["tokenizer"] = content[KEY]["texts"]["tokenizer"].replace("Hernia", "Fernia")
    else:
        content[KEY]["texts"] = None
        kept = {name: value for name, value in content["state_dict"].items() if not name.startswith("model.encoder.")}
        content["state_dict"] = kept
    torch.save(content, path)
    new = blank(model)
    _, report = start_from(new, path, description.names, description.config)
    assert report.endswith("; new, or new in part: encoder")
    for name, value in new.state_dict().items():
        assert torch.equal(value, torch.zeros_like(value) if name.startswith("encoder.") else model.state_dict()[name])
