import shutil
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from embeddings import LabelTexts, encode_texts, read_label_texts
from embeddings.language_model import pooled_texts, read_encoder_settings, untrained_encoder

TEXTS = ["Pleural Effusion", "Edema", "Calcification of the Aorta"]
MORE = ["Lung Lesion", "No Finding in the Aorta of the Lung"]


def vectors(network, texts):
    with torch.no_grad():
        return pooled_texts(network, texts.numbers, texts.mask, texts.pooling).numpy()


@pytest.fixture(scope="module")
def read(tiny_bert):
    return read_label_texts(TEXTS, tiny_bert)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_network_says_of_the_texts_what_is_made_of_them_once(tiny_bert, pooling):
    texts, network = read_label_texts(TEXTS, tiny_bert, pooling)
    assert texts.mask.sum(dim=1).tolist() == [4, 3, 6] and texts.limit == 12
    np.testing.assert_allclose(vectors(network, texts), encode_texts(TEXTS, tiny_bert, pooling=pooling), atol=1e-6)


def test_the_network_is_built_again_without_its_files_and_draws_none_of_the_callers_numbers(tiny_bert, tmp_path):
    folder = shutil.copytree(tiny_bert, tmp_path / "bert")
    texts, network = read_label_texts(TEXTS, folder)
    shutil.rmtree(folder)
    torch.save(asdict(texts), tmp_path / "texts.pt")
    state = torch.get_rng_state()
    again = LabelTexts(**torch.load(tmp_path / "texts.pt", weights_only=True))
    built = again.network()
    assert torch.equal(torch.get_rng_state(), state)
    assert not np.allclose(vectors(built, again), vectors(network, texts))
    built.load_state_dict(network.state_dict())
    np.testing.assert_array_equal(vectors(built, again), vectors(network, texts))
    assert str(folder) not in repr(texts)


def test_of_an_encoder_decoder_the_encoder_is_built_again(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    network = transformers.T5Model(transformers.T5Config(vocab_size=9, **sizes))
    built = untrained_encoder(network.encoder.config.to_dict())
    built.load_state_dict(network.encoder.state_dict())
    assert type(built) is type(network.encoder)


def test_a_pooler_is_no_part_of_the_network(read):
    assert not [name for name, _ in read[1].named_parameters() if "pooler" in name]


def test_further_texts_are_read_as_if_they_had_been_there_from_the_start(read, tiny_bert):
    texts, network = read
    together, _ = read_label_texts(TEXTS + MORE, tiny_bert)
    extended = texts.with_texts(MORE)
    assert torch.equal(extended.numbers, together.numbers) and torch.equal(extended.mask, together.mask)
    np.testing.assert_allclose(vectors(network, extended)[:3], vectors(network, texts), atol=1e-6)
    assert len(texts.numbers) == 3


def test_further_texts_are_cut_where_the_model_ends_and_named(read):
    with pytest.warns(UserWarning, match=r"1 of 2 texts are cut to 12 tokens: 1: 'Lung Lung"):
        extended = read[0].with_texts(["Edema", "Lung " * 20])
    assert extended.mask.sum(dim=1).tolist() == [4, 3, 6, 3, 12] and extended.numbers[4, -1] == 3


def test_texts_that_cannot_be_read_are_refused(read):
    with pytest.raises(ValueError, match=r"texts \[1\] \(counted from 0\) are blank"):
        read[0].with_texts(["Edema", " "])
    with pytest.raises(ValueError, match="tokenizer is none that could be kept"):
        replace(read[0], tokenizer=None).with_texts(MORE)
    with pytest.raises(ValueError, match="pooling must be one of"):
        read_label_texts(TEXTS, "no/model", "max")


def test_a_network_that_cannot_be_built_is_named(read, monkeypatch):
    with pytest.raises(ValueError, match="no text encoder of kind 'brt' can be built"):
        untrained_encoder({**read[0].settings, "model_type": "brt"})
    with pytest.raises(ValueError, match="no text encoder of kind 'bert' can be built"):
        untrained_encoder({**read[0].settings, "hidden_size": 15})
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'mlgcn\[text\]'"):
        read[0].network()


def test_code_and_kernels_that_settings_name_are_left_alone(read):
    named = {"auto_map": {"AutoModel": "someone/repository--own.Model"}, "attn_implementation": "someone/kernels"}
    assert type(untrained_encoder({**read[0].settings, **named})) is type(read[1])


def test_settings_are_read_without_weights_and_a_model_that_is_not_at_hand_is_named(read, tiny_bert, tmp_path):
    shutil.copy(f"{tiny_bert}/config.json", tmp_path)
    assert read_encoder_settings(str(tmp_path)) == read[0].settings
    with pytest.raises(FileNotFoundError, match="text encoder 'no/such' is not at hand"):
        read_encoder_settings("no/such")
