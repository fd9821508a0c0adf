import gzip

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import characters, floats, lists, text

from embeddings import load_vectors, save_vectors

TOKENS = text(characters(exclude_categories=["Cs"], exclude_characters="\n\r\u00a0"), min_size=1)


def keyed(**vectors):
    result = KeyedVectors(len(next(iter(vectors.values()))))
    result.add_vectors(list(vectors), np.array(list(vectors.values()), dtype=np.float32))
    return result


@pytest.fixture
def glove_file(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 0 0 1\npleural 1 2 3\neffusion 3 4 6\nEdema 7 8 9\nedema 0 0 0\n. . 5 5 5\n", encoding="utf-8")
    return path


@given(
    tokens=lists(TOKENS, min_size=1, max_size=5, unique=True),
    matrix=arrays(np.float32, (5, 3), elements=floats(width=32, allow_nan=False, allow_infinity=False)),
)
def test_saved_vectors_come_back_to_the_last_bit(tmp_path_factory, tokens, matrix):
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    vectors = KeyedVectors(3)
    vectors.add_vectors(tokens, matrix[: len(tokens)])
    save_vectors(vectors, path)
    loaded = load_vectors(path)
    assert loaded.index_to_key == tokens and loaded.vectors.dtype == np.float32
    np.testing.assert_array_equal(loaded.vectors, matrix[: len(tokens)])
    np.testing.assert_array_equal(load_vectors(path, tokens[::-1]).vectors, loaded.vectors[::-1])


def test_gensim_reads_saved_vectors(tmp_path):
    save_vectors(keyed(**{"Pleural Effusion": [0.1, -2], "Pleural_Thickening": [3e-8, 4]}), tmp_path / "v.txt")
    loaded = KeyedVectors.load_word2vec_format(str(tmp_path / "v.txt"))
    assert loaded.index_to_key == ["Pleural\u00a0Effusion", "Pleural_Thickening"]
    np.testing.assert_array_equal(loaded.vectors, np.array([[0.1, -2], [3e-8, 4]], dtype=np.float32))


def test_glove_files_have_no_header_and_may_hold_tokens_with_spaces(glove_file):
    loaded = load_vectors(glove_file)
    assert loaded.index_to_key == ["the", "pleural", "effusion", "Edema", "edema", ". ."]
    np.testing.assert_array_equal(loaded["Edema"], [7, 8, 9])


def test_names_choose_the_rows_and_their_order(glove_file):
    loaded = load_vectors(glove_file, ["Edema", "the", "Pleural Effusion", "Effusion", "pleural_effusion"])
    assert loaded.index_to_key == ["Edema", "the", "Pleural Effusion", "Effusion", "pleural_effusion"]
    np.testing.assert_array_equal(loaded.vectors, [[7, 8, 9], [0, 0, 1], [2, 3, 4.5], [3, 4, 6], [2, 3, 4.5]])


def test_a_phrase_of_joined_words_comes_before_the_mean_of_the_words(tmp_path):
    path = tmp_path / "phrases.txt"
    path.write_text("pleural 1 2\neffusion 3 4\npleural_effusion 9 9\nTotal_Collapse 5 5\nno_FINDING 7 7\n")
    names = ["Pleural Effusion", "pleural-effusion", "Effusion", "Total Collapse", "no FINDING"]
    assert load_vectors(path, names).vectors.tolist() == [[9, 9], [9, 9], [3, 4], [5, 5], [7, 7]]
    path.write_text(path.read_text() + "Pleural Effusion 0 1\n")
    assert load_vectors(path, names[:2]).vectors.tolist() == [[0, 1], [9, 9]]
    with pytest.raises(ValueError, match=r"no vector for \['total', 'No', 'Finding'\]"):
        load_vectors(path, ["total effusion", "No Finding"])  # a phrase is looked up as written and in lower case


def test_all_missing_words_are_listed(glove_file):
    with pytest.raises(ValueError, match=r"no vector for \['Hernia', 'Lung', '\+'\]"):
        load_vectors(glove_file, ["Edema", "Hernia", "Pleural Lung", "Lung effusion", "+"])


def test_repeated_or_no_names_are_refused(glove_file):
    with pytest.raises(ValueError, match="names are empty"):
        load_vectors(glove_file, [])
    with pytest.raises(ValueError, match=r"names repeat: \['the'\]"):
        load_vectors(glove_file, ["the", "Edema", "the"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first line holds 1 fields"),
        (b"0 3\n", "no vector"),
        (b"2 2\na 1 2\nb 1\n", "line 3: expected a token and 2 numbers"),
        (b"2 2\na 1 2\nb 1 2 3\n", "line 3: expected a token and 2 numbers"),
        (b"a 1 2\nb 1\n", "line 2: expected a token and 2 numbers"),
        (b"a 1 2\nb 1 c\n", "line 2: could not convert string to float: 'c'"),
        (b"a 1 2\nb 1 nan\n", "line 2: the vector of 'b' is not finite"),
        (b"3 2\na 1 2\nb 1 2\n", "holds 2 rows, but its first line promises 3"),
        (b"2 1\n\xff\xfe\x00", "no word2vec or GloVe text file"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path, content, message):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_vectors(path)


def test_gzip_files_are_read_and_written_by_their_ending(tmp_path, glove_file):
    packed = tmp_path / "glove.txt.gz"
    packed.write_bytes(gzip.compress(glove_file.read_bytes()))
    plain, loaded = load_vectors(glove_file), load_vectors(packed)
    assert loaded.index_to_key == plain.index_to_key
    np.testing.assert_array_equal(loaded.vectors, plain.vectors)
    save_vectors(keyed(a=[1, 2], b=[3, 4]), packed)
    save_vectors(keyed(a=[1, 2], b=[3, 4]), tmp_path / "plain.txt")
    assert gzip.decompress(packed.read_bytes()) == (tmp_path / "plain.txt").read_bytes()


def test_equal_vectors_give_equal_gzip_files(tmp_path, monkeypatch):
    contents = []
    for now in (1e9, 2e9):
        monkeypatch.setattr("time.time", lambda now=now: now)
        save_vectors(keyed(a=[1, 2]), tmp_path / "v.txt.gz")
        contents.append((tmp_path / "v.txt.gz").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("damage", [lambda b: b"a 1 2\n", lambda b: b[:-12], lambda b: b[:12] + b"\xff" * 30 + b[42:]])
def test_damaged_gzip_files_are_refused(tmp_path, damage):
    path = tmp_path / "v.txt.gz"
    path.write_bytes(damage(gzip.compress("".join(f"{i} {i} {i * i}\n" for i in range(999)).encode())))
    with pytest.raises(ValueError, match="no word2vec or GloVe text file"):
        load_vectors(path)


def test_a_pickled_file_of_gensim_is_not_opened_as_a_pickle(tmp_path):
    keyed(a=[1, 2]).save(str(tmp_path / "native.kv"))
    with pytest.raises(ValueError, match="no word2vec or GloVe text file"):
        load_vectors(tmp_path / "native.kv")


@pytest.mark.parametrize("token", ["", "a\nb", "a\rb", "a\u00a0b"])
def test_tokens_that_the_format_cannot_hold_are_refused(tmp_path, token):
    with pytest.raises(ValueError, match="cannot stand in a vector file"):
        save_vectors(keyed(**{token: [1, 2]}), tmp_path / "vectors.txt")
    assert not list(tmp_path.iterdir())


def test_vectors_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not finite"):
        save_vectors(keyed(a=[1, np.inf]), tmp_path / "vectors.txt")
