"""From presets, files and the command line to one checked configuration, and back."""

import copy
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.config import (
    Config,
    config_from_dict,
    config_to_dict,
    load_config,
    parse_arguments,
    read_preset,
    save_config,
)
from mlgcn.config.parsing import check_same_run
from mlgcn.run_directory import RunDirectory

SETTINGS = {section: list(values) for section, values in config_to_dict(Config()).items()}
KEYS = [f"{section}.{key}" for section, keys in SETTINGS.items() for key in keys]


def parsed(*arguments):
    return parse_arguments(arguments)[0]


def refused(capsys, *arguments):
    """The one line that the command line ends with."""
    with pytest.raises(SystemExit) as stopped:
        parse_arguments(arguments, "train.py")
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("train.py: error: ") and err.endswith("\n") and err.count("\n") == 1
    return err


@pytest.fixture
def file(tmp_path):
    """A YAML file of settings, by its name."""

    def write(text):
        path = tmp_path / "settings.yaml"
        path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
        return str(path)

    return write


# Where settings come from


def test_without_config_a_run_starts_from_the_default_preset():
    config, name = parse_arguments([])
    assert name == "demo" and config == config_from_dict(read_preset("demo"))
    assert parse_arguments([], default="nih_sample")[1] == "nih_sample"


def test_the_command_line_goes_over_the_file_and_the_file_over_the_defaults(file):
    name = file({"data": {"batch_size": 3, "image_size": 64}, "model": {"heads": 2}})
    config, start = parse_arguments(["--config", name, "--data.batch_size", "5", "--loss.diversity=0.5"])
    assert start == name
    expected = Config()
    expected.data.batch_size, expected.data.image_size = 5, 64
    expected.model.heads, expected.loss.diversity = 2, 0.5
    assert config == expected


def test_an_option_of_the_source_merges_with_those_of_the_file(file):
    name = file({"data": {"source": "table", "options": {"csv": "a.csv", "blank": "negative"}}})
    changed = parsed("--config", name, "--data.options.csv", "b.csv", "--data.options.uncertain", "positive")
    assert changed.data.options == {"csv": "b.csv", "blank": "negative", "uncertain": "positive"}
    whole = parsed("--config", name, "--data.options", '{"csv": "c.csv"}')
    assert whole.data.options == {"csv": "c.csv"}


def test_options_reach_the_source_as_numbers_where_they_are_numbers():
    assert parsed("--data.options.images", "7", "--data.options.seed=3").data.options == {"images": 7, "seed": 3}


def test_parameters_of_the_loss_and_factors_of_labels_are_set_by_name(file):
    name = file({"loss": {"name": "anr", "beta": 5, "clip": 0.1, "hard_labels": {"Hernia": 3}}})
    arguments = ["--loss.gamma", "1e-1", "--loss.clip", "null", "--loss.hard_labels.Lung Opacity", "2"]
    loss = parsed("--config", name, *arguments).loss
    assert (loss.beta, loss.gamma, loss.clip, loss.tau) == (5, 0.1, None, None)
    assert loss.hard_labels == {"Hernia": 3.0, "Lung Opacity": 2.0}


def test_given_groups_are_set_by_name():
    config = parsed("--evaluation.groups", "given", "--evaluation.given_groups.head", '["Mass", "Edema"]')
    assert config.evaluation.given_groups == {"head": ["Mass", "Edema"]}


def test_numbers_that_yaml_reads_as_text_become_numbers(file):
    # YAML 1.1 takes 1e-5 for text, for want of a dot.
    assert config_from_dict(yaml.safe_load("optimizer: {lr: 1e-5}")).optimizer.lr == 1e-5
    assert parsed("--config", file("optimizer: {lr: 1e-5}")).optimizer.lr == 1e-5


def test_the_caller_keeps_its_settings_as_they_were():
    given_settings = {"data": {"options": {"images": "5"}, "fractions": [0.6, 0.2, 0.2]}, "optimizer": {"lr": "1e-5"}}
    before = copy.deepcopy(given_settings)
    config_from_dict(given_settings)
    assert given_settings == before


def test_two_configurations_share_nothing():
    one, other = config_from_dict({}), config_from_dict({})
    one.data.options["images"] = 5
    one.data.fractions[0] = 0.0
    assert other == Config()


# Names that do not exist


def test_an_unknown_option_of_the_command_line_names_the_nearest(capsys):
    assert "unknown option '--data.batchsize'; did you mean '--data.batch_size'?" in refused(
        capsys, "--data.batchsize", "3"
    )
    assert "unknown option '--conifg'; did you mean '--config'?" in refused(capsys, "--conifg=demo")
    assert "unknown option '--data.opsions.images'" in refused(capsys, "--data.opsions.images", "3")
    assert "unknown option '--loss.gama'; did you mean '--loss.gamma'?" in refused(capsys, "--loss.gama", "1")
    # An abbreviation is not guessed.
    assert "unknown option '--data.batch'" in refused(capsys, "--data.batch", "3")


def test_an_unknown_preset_names_the_nearest(capsys):
    assert "unknown preset 'demmo'; did you mean 'demo'?" in refused(capsys, "--config", "demmo")


def test_an_unknown_section_or_setting_of_a_file_names_the_nearest(file, capsys):
    assert "unknown section 'modle'; did you mean 'model'? (known: data, " in refused(
        capsys, "--config", file("modle: {heads: 2}")
    )
    assert "unknown setting 'model.expert'; did you mean 'model.experts'?" in refused(
        capsys, "--config", file("model: {expert: 2}")
    )
    # As the parameters of a loss were once given.
    assert "unknown setting 'loss.options'" in refused(capsys, "--config", file("loss: {options: {gamma: 1}}"))
    with pytest.raises(ValueError, match=r"unknown section '1' \(known: data"):
        config_from_dict({1: {"heads": 2}})


@pytest.mark.parametrize("key", KEYS[::9])
def test_a_slip_in_a_setting_leads_to_it(key):
    section, name = key.split(".")
    with pytest.raises(ValueError, match=rf"unknown setting '{section}\.{name}x'; did you mean '{section}\.{name}'\?"):
        config_from_dict({section: {f"{name}x": 1}})


# Values that cannot be

BAD = {
    "run.seed": (-1, "run.seed must be >= 0, got -1"),
    "data.image_size": (31, "data.image_size must be >= 32, got 31"),
    "data.batch_size": (1, "data.batch_size must be >= 2, got 1"),
    "data.num_workers": (-1, "data.num_workers must be >= 0, got -1"),
    "data.mixing_alpha": (0.4, "data.mixing_alpha has no effect without data.mixing: mixup or cutmix"),
    "embeddings.projection": ("pca", "embeddings.projection is not for glove vectors"),
    "loss.diversity": (-1, "loss.diversity must be >= 0, got -1"),
    "loss.diversity_bound": (0, "loss.diversity_bound must be > 0, got 0"),
    "loss.diversity_temperature": (0, "loss.diversity_temperature must be > 0, got 0"),
    "loss.large_loss_step": (-1, "loss.large_loss_step must be >= 0, got -1"),
    "loss.large_loss_first": (2, "loss.large_loss_first must be in [0, 1], got 2"),
    "loss.large_loss_most": (3, "loss.large_loss_most must be in [large_loss_first, 1], got 3"),
    "loss.hard_below": (2, "loss.hard_below must be in [0, 1], got 2"),
    "loss.hard_factor": (0, "loss.hard_factor must be a positive number, got 0"),
    "embeddings.dimensions": (0, "embeddings.dimensions must be >= 1, got 0"),
    "optimizer.lr": (0, "optimizer.lr must be > 0, got 0"),
    "optimizer.encoder_share": (0, "optimizer.encoder_share must be > 0, got 0"),
    "training.epochs": (0, "training.epochs must be >= 1, got 0"),
    "training.patience": (0, "training.patience must be >= 1, got 0"),
    "training.monitor": ("val/mAPs", "unknown value of training.monitor 'val/mAPs'; did you mean 'val/mAP'?"),
    "model.hidden": (0, "model.hidden must be >= 1, got 0"),
    "model.dropout": (1, "model.dropout must be >= 0 and < 1, got 1.0"),
    "model.sharpness": (0, "model.sharpness must be > 0, got 0"),
    "query.layers": (0, "query.layers must be >= 1, got 0"),
    "query.dropout": (-0.1, "query.dropout must be >= 0 and < 1, got -0.1"),
    "query.width": (20, "query.width is 20, expected a multiple of 4 and of the 8 heads (query.heads)"),
    "fusion.stride": (0, "fusion.stride must be >= 1, got 0"),
    "fusion.dropout": (1.5, "fusion.dropout must be >= 0 and < 1, got 1.5"),
    "model.experts": (1, "loss.diversity compares experts: with model.experts 1 set it to 0"),
    "run.resume": ("auto", "run.resume needs to know which run: give its folder as --run.dir"),
}


@pytest.mark.parametrize("key", BAD)
def test_a_bad_value_becomes_one_line_and_exit_code_2(key, file, capsys):
    value, message = BAD[key]
    assert message in refused(capsys, f"--{key}", str(value))
    section, name = key.split(".")
    assert message in refused(capsys, "--config", file({section: {name: value}}))


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("run", {"seed": 0}),
        ("data", {"image_size": 32, "batch_size": 2, "num_workers": 0}),
        ("embeddings", {"dimensions": 1}),
        ("training", {"epochs": 1, "patience": 1, "monitor": "val/mF1"}),
    ],
)
def test_the_least_that_is_allowed_is_allowed(section, values):
    config = config_from_dict({section: values})
    assert {name: getattr(getattr(config, section), name) for name in values} == values


@pytest.mark.parametrize(
    "embeddings", [{"source": "glove"}, {"source": "text", "model": "a/model", "projection": "pca"}]
)
def test_a_text_encoder_is_trained_only_where_vectors_come_from_it_as_they_are(embeddings):
    query = {"model": {"head": "query"}, "query": {"vectors": "encoder"}}
    found = rf"embeddings\.source must be text and embeddings\.projection none, got {embeddings['source']} and"
    with pytest.raises(ValueError, match=f"query\\.vectors encoder trains the text encoder itself: {found}"):
        config_from_dict({**query, "embeddings": embeddings})
    assert config_from_dict({**query, "embeddings": {"source": "text", "model": "a/model"}}).trains_encoder
    assert not config_from_dict({"query": query["query"], "embeddings": embeddings}).trains_encoder


def test_one_expert_is_allowed_without_diversity():
    config = config_from_dict({"model": {"experts": 1}, "loss": {"diversity": 0}})
    assert config.model.experts == 1 and config.loss.diversity == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.batch_size", "many"),
        ("data.batch_size", "2.5"),
        ("data.fractions", "most"),
        ("data.cache", "perhaps"),
        ("data.unreadable", "ignore"),
        ("data.mixing", "blend"),
        ("loss.over", "all"),
        ("loss.large_loss", "drop"),
        ("loss.gamma", "high"),
        ("loss.epsilon", "[1]"),
        ("loss.variant", "papers"),
        ("loss.focal", "2"),
        ("loss.reweight_epoch", "1.5"),
        ("loss.hard_labels", "{Hernia: much}"),
        ("graph.variant", "papers"),
        ("model.pooling", "min"),
        ("optimizer.lr", "fast"),
        ("optimizer.betas", "[0.9]"),
        ("evaluation.threshold", "val"),
    ],
)
def test_a_value_of_another_kind_is_refused_from_wherever_it_comes(key, value, file, capsys):
    assert key in refused(capsys, f"--{key}", value)
    section, name = key.split(".")
    assert key in refused(capsys, "--config", file({section: {name: yaml.safe_load(value)}}))
    with pytest.raises(ValueError, match=key):
        config_from_dict({section: {name: yaml.safe_load(value)}})


def test_a_section_that_holds_no_settings_is_refused():
    with pytest.raises(ValueError, match="section 'data' must hold settings, got None"):
        config_from_dict({"data": None})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config"], "--config: expected one argument"),
        (["--data.batch_size"], "--data.batch_size: expected one argument"),
        (["demo"], "unrecognized arguments: demo"),
        (["--config", "none.yaml"], "there is no file none.yaml"),
        (["--print_config=yes"], "--print_config"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_one_line(arguments, message, capsys):
    assert message in refused(capsys, *arguments)


# What is shown


def test_the_printed_configuration_loads_back_to_the_same(file, capsys):
    arguments = ["--config", "nih_sample", "--data.options.no_finding", "true", "--optimizer.lr", "3e-7"]
    arguments += ["--optimizer.betas", "[0.8, 0.95]", "--evaluation.threshold", "0.3", "--run.dir", "some where"]
    expected = parsed(*arguments)
    with pytest.raises(SystemExit) as stopped:
        parse_arguments([*arguments, "--print_config"])
    assert not stopped.value.code
    shown = capsys.readouterr().out
    assert list(yaml.safe_load(shown)) == list(SETTINGS)
    assert parsed("--config", file(shown)) == expected


def test_help_shows_every_setting_with_the_text_below_it(capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_arguments(["--help"], "train.py", "What it does.")
    assert not stopped.value.code
    shown = " ".join(capsys.readouterr().out.split())
    assert "What it does." in shown
    for key in KEYS:
        assert f"--{key}" in shown
    assert "Images are resized to this many pixels square." in shown
    assert "tau: an edge i -> j stands where P(j|i) is at least this." in shown


# There and back

TEXT = st.sampled_from(["/a/b", "x y", "ü"])
VALUES = {
    "run": st.fixed_dictionaries({"dir": st.none() | TEXT, "seed": st.integers(0, 2**40)}),
    "data": st.fixed_dictionaries(
        {
            "root": st.none() | TEXT,
            "options": st.dictionaries(st.sampled_from(["images", "seed"]), st.integers(0, 9)),
            "fractions": st.lists(st.floats(0, 1), min_size=3, max_size=3),
            "cache": st.booleans(),
        }
    ),
    "loss": st.fixed_dictionaries({"epsilon": st.none() | st.tuples(st.floats(0, 1), st.floats(-3, 3))}),
    "optimizer": st.fixed_dictionaries(
        {
            "lr": st.floats(1e-12, 1),
            "betas": st.lists(st.floats(0, 1), min_size=2, max_size=2),
            "clip": st.none() | st.floats(0.1, 9),
        }
    ),
    "training": st.fixed_dictionaries({"devices": st.just("auto") | st.integers(1, 8)}),
    "evaluation": st.fixed_dictionaries(
        {
            "given_groups": st.dictionaries(st.sampled_from(["head", "tail"]), st.lists(TEXT)),
            "threshold": st.just("validation") | st.floats(0, 1),
        }
    ),
}


@settings(max_examples=8)
@given(values=st.fixed_dictionaries(VALUES))
def test_yaml_and_json_give_back_the_same_configuration(tmp_path_factory, values):
    config = config_from_dict(values)
    for section, expected in values.items():
        for name, value in expected.items():
            found = getattr(getattr(config, section), name)
            assert found == (tuple(value) if name == "betas" else value)
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    save_config(config, path)
    assert load_config(path) == config
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


def test_the_dictionary_of_a_configuration_shares_nothing_with_it():
    config = Config()
    plain = config_to_dict(config)
    plain["data"]["fractions"][0] = 0
    plain["data"]["options"]["images"] = 1
    assert config == Config()


# Going on

# Where, how long and how fast a run goes on, and how it is measured in the end; all else would make it another run.
HARMLESS = [
    "run.dir", "run.resume", "data.root", "data.split", "data.num_workers", "data.cache", "training.epochs",
    "training.log_every", "tracking.wandb", "tracking.project", "tracking.name", "evaluation.tta",
    "evaluation.tta_merge", "evaluation.merge_views", "evaluation.view_weights", "evaluation.normal_gating",
    "evaluation.threshold", "evaluation.bootstrap", "evaluation.cluster", "evaluation.against",
    "evaluation.image_sheet",
]  # fmt: skip


def differing(key):
    """A configuration that differs from the default in one setting."""
    config = Config()
    section, name = key.split(".")
    setattr(getattr(config, section), name, "something else")
    return config


@pytest.mark.parametrize("key", HARMLESS)
def test_a_run_may_go_on_with_another(key):
    check_same_run(Config(), differing(key))


@pytest.mark.parametrize("key", sorted({*KEYS} - {*HARMLESS, "optimizer.betas"}))
def test_a_run_may_not_go_on_with_another(key):
    section, name = key.split(".")
    before = getattr(getattr(Config(), section), name)
    with pytest.raises(ValueError) as refusal:
        check_same_run(Config(), differing(key))
    assert f"({key}: {before!r} -> 'something else')" in str(refusal.value)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_schedule_is_made_for_its_number_of_epochs(schedule):
    before, after = Config(), Config()
    before.optimizer.schedule = after.optimizer.schedule = schedule
    after.training.epochs += 1
    with pytest.raises(ValueError, match=r"training\.epochs: 30 -> 31"):
        check_same_run(before, after)


def test_every_difference_is_named():
    wanted = config_from_dict(
        {"run": {"seed": 1}, "optimizer": {"betas": [0.8, 0.9]}, "data": {"options": {"seed": 2}}}
    )
    with pytest.raises(ValueError, match="the run began with other settings") as refusal:
        check_same_run(Config(), wanted)
    for change in ("run.seed: 0 -> 1", "optimizer.betas: [0.9, 0.99] -> [0.8, 0.9]", "data.options: {} -> {'seed': 2}"):
        assert change in str(refusal.value)
    check_same_run(wanted, copy.deepcopy(wanted))


@pytest.fixture
def begun(tmp_path):
    """The folder of a run that began with a learning rate of its own."""
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    save_config(config_from_dict({"run": {"dir": str(run.path)}, "optimizer": {"lr": 0.007}}), run.config)
    return run


def test_a_run_that_goes_on_starts_from_its_own_configuration(begun):
    go_on = ["--run.dir", str(begun.path), "--run.resume", "auto"]
    config, name = parse_arguments([*go_on, "--training.epochs", "99"])
    assert name == str(begun.config)
    assert config.optimizer.lr == 0.007 and config.training.epochs == 99 and config.run.resume == "auto"


def test_a_run_that_goes_on_with_other_settings_is_refused(begun, file, capsys):
    go_on = ["--run.dir", str(begun.path), "--run.resume", "auto"]
    assert "optimizer.lr: 0.007 -> 0.1" in refused(capsys, *go_on, "--optimizer.lr", "0.1")
    assert "optimizer.lr: 0.007 -> 0.2" in refused(capsys, *go_on, "--config", file("optimizer: {lr: 0.2}"))


def test_a_run_that_is_to_go_on_but_has_not_begun_starts_from_the_default(tmp_path):
    config, name = parse_arguments(["--run.dir", str(tmp_path), "--run.resume", "auto"])
    assert name == "demo"
    expected = config_from_dict(read_preset("demo"))
    expected.run.dir, expected.run.resume = str(tmp_path), "auto"
    assert config == expected
