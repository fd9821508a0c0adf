"""What many tests share: a configuration small enough to train in seconds, and the way to the real data."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from mlgcn.build import build_label_knowledge, build_model
from mlgcn.checkpoint import Description
from mlgcn.config import Config, config_from_dict, config_to_dict
from mlgcn.data.phantom import LABELS
from mlgcn.labels import LabelTable
from mlgcn.nn import MultiExpertGCN
from mlgcn.run_directory import EvaluationFiles

if "PYTEST_XDIST_WORKER" in os.environ:
    # The processes share the cores; more threads than those hold each other up.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)

# One commit, one verdict: hypothesis draws the same examples each time. `--hypothesis-profile=explore` draws others.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("reproducible")

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"

TINY = {
    "data": {"source": "phantom", "options": {"images": 96}, "image_size": 32, "batch_size": 8},
    "embeddings": {"dimensions": 16},
    "model": {"trunk": "resnet18", "weights": "none", "experts": 2, "hidden": 16, "branch": "slim", "heads": 4},
    "optimizer": {"lr": 0.001},
    "training": {"epochs": 2, "log_every": 1, "accelerator": "cpu", "devices": 1},
    "tracking": {"wandb": "disabled"},
}  # fmt: skip


@pytest.fixture(scope="module")
def module_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what the tests of a module share, gone with them: runs hold hundreds of megabytes of weights."""
    folder = tmp_path_factory.mktemp("module")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def tiny_config(tmp_path: Path) -> Callable[..., Config]:
    """Builds the small configuration, with settings by section laid over it."""

    def build(**sections: dict[str, object]) -> Config:
        return _tiny_config({**sections, "run": {"dir": str(tmp_path / "run"), **sections.get("run", {})}})

    return build


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., tuple[MultiExpertGCN, Description]]:
    """Builds the network of the small configuration, untrained, for five labels, with its description."""

    def build(seed: int = 0, **sections: dict[str, object]) -> tuple[MultiExpertGCN, Description]:
        config = _tiny_config({"embeddings": {"source": "random"}, **sections})
        names = ("Effusion", "Mass", "Hernia", "Lung Opacity", "No Finding")
        values = np.random.default_rng(0).integers(0, 2, size=(60, len(names)))
        table = LabelTable(values, names, image_id=map(str, range(len(values))))
        labels = build_label_knowledge(config, table)
        model = build_model(config, labels.vectors, labels.graph, seed, labels.encoder).model
        with torch.no_grad():  # untrained classifiers would score everything about 0.5
            for weight in model.heads.parameters():
                weight *= 5
        description = Description(
            names=list(names),
            config=config_to_dict(config),
            vectors=labels.vectors,
            edge_index=None if labels.graph is None else labels.graph.edge_index,
            edge_weight=None if labels.graph is None else labels.graph.edge_weight,
            positives=table.positives.tolist(),
            known=table.known.tolist(),
            groups={"head": list(names), "medium": [], "tail": []},
            rule="by prevalence",
            thresholds=[0.5] * len(names),
            version="0.1.0",
            texts=None if labels.encoder is None else labels.encoder.texts,
        )
        return model.eval(), description

    return build


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a language model with random weights, whose words are those of the findings' names."""
    transformers = pytest.importorskip("transformers", reason="transformers, the extra 'text', is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({word for name in LABELS for word in name.split()})]
    vocabulary = {word: number for number, word in enumerate(words)}
    splitting = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    splitting.pre_tokenizer = pre_tokenizers.Whitespace()
    splitting.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=12, **sizes)
    folder = tmp_path_factory.mktemp("models") / "bert"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.BertModel(config)
        for layer in network.encoder.layer:  # as BERT starts, it says nearly the same of every text
            for weight in layer.parameters():
                weight.data *= 5 if weight.ndim == 2 else 1
        network.save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=splitting, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def encoder_sections(tiny_bert: str) -> dict[str, dict[str, object]]:
    """Settings of label queries whose text encoder is trained too."""
    return {
        "embeddings": {"source": "text", "model": tiny_bert},
        "model": {"head": "query"},
        "query": {"vectors": "encoder", "classifier": "shared", "width": 16, "layers": 1, "heads": 2},
    }


@pytest.fixture(scope="module")
def empty_pages() -> Iterator[None]:
    """Evaluations write an empty page: what stands in it takes seconds to draw, and is tested elsewhere."""

    def write(files: EvaluationFiles, *rest: object) -> Path:
        files.report.touch()
        return files.report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlgcn.commands.measuring.write_page", write)
        yield


@pytest.fixture(scope="session")
def nih_sample() -> Path:
    """The folder of 723 real X-rays."""
    return _shared("nih-sample")


@pytest.fixture(scope="session")
def nih_table() -> Path:
    """The folder of NIH's whole label table."""
    return _shared("nih")


@pytest.fixture(scope="session")
def openi_reports() -> Path:
    """The archive of 3,955 real reports."""
    return _shared("openi") / "NLMCXR_reports.tgz"


def _tiny_config(sections: dict[str, dict[str, object]]) -> Config:
    return config_from_dict({name: {**TINY.get(name, {}), **sections.get(name, {})} for name in {*TINY, *sections}})


def _shared(name: str) -> Path:
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real data of {folder.name} are not beside this repository")
    return folder
