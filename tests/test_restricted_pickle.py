import io
import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import binary, booleans, dictionaries, floats, integers, lists, none, recursive, text, tuples

from mlgcn.restricted_pickle import load_pickle

PLAIN = recursive(
    none() | booleans() | integers() | floats(allow_nan=False) | text() | binary(),
    lambda inner: lists(inner, max_size=3) | tuples(inner) | dictionaries(text(), inner, max_size=3),
    max_leaves=8,
)


class Attack:
    """Runs a command where it is unpickled by Python's own unpickler."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@given(content=PLAIN)
def test_plain_containers_come_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("pickle") / "p"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        assert load_pickle(path) == content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.array(["a", "b"]), np.float32(1.5), np.array([], dtype=np.int64)]
)
def test_arrays_come_back(tmp_path, protocol, array):
    (tmp_path / "p").write_bytes(pickle.dumps({"x": array, "s": {1}, "o": OrderedDict(a=1)}, protocol=protocol))
    loaded = load_pickle(tmp_path / "p")
    np.testing.assert_array_equal(loaded["x"], array)
    assert loaded["x"].dtype == array.dtype and loaded["s"] == {1} and loaded["o"] == {"a": 1}


def test_arrays_pickled_by_python_2_and_numpy_1_come_back(tmp_path):
    # Protocol 2 as Python 2 wrote it: {'nums': numpy.array([3, 4])}, its data a byte string.
    content = (
        b"\x80\x02}U\x04numscnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02i8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x10"
        + np.array([3, 4], dtype="<i8").tobytes()
        + b"tbs."
    )
    (tmp_path / "p").write_bytes(content)
    np.testing.assert_array_equal(load_pickle(tmp_path / "p")["nums"], [3, 4])


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {}",), "system"),
        (subprocess.check_call, (["touch", "{}"],), "check_call"),
        (eval, ("open('{}', 'w')",), "eval"),
        (Path, ("{}",), "Path|PosixPath"),
        (np.load, ("{}",), "load"),
        (io.open, ("{}", "w"), "open"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_pickle_is_refused_by_name_and_does_not_run(tmp_path, function, arguments, named, protocol):
    mark = tmp_path / "ran"
    filled = [
        [part.format(mark) for part in argument] if isinstance(argument, list) else argument.format(mark)
        for argument in arguments
    ]
    (tmp_path / "p").write_bytes(pickle.dumps({"adj": Attack(function, *filled)}, protocol=protocol))
    with pytest.raises(ValueError, match=f"p cannot be read as a pickle: it holds [a-z_.]+[.]({named}),"):
        load_pickle(tmp_path / "p")
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(list(range(1000)))[:50]])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(ValueError, match="p cannot be read as a pickle"):
        load_pickle(tmp_path / "p")


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / "p")


def forged_dtype(code, fields, names, flags):
    """A dtype whose state says other things than numpy's own would."""

    class Kind:
        def __reduce__(self):
            return np.dtype, (code, False, True), (3, "|", None, names, fields, 8, 1, flags)

    return Kind()


class ForgedArray:
    """An array of pointers that are bytes of the file."""

    def __init__(self, kind):
        self.kind = kind

    def __reduce__(self):
        reconstruct = np._core.multiarray._reconstruct
        return reconstruct, (np.ndarray, (0,), b"b"), (1, (1,), self.kind, False, b"A" * 8)


@pytest.mark.parametrize(
    "content",
    [
        Attack(np.ndarray, (1,), np.dtype("O"), b"A" * 8),
        Attack(np._core.multiarray.scalar, np.dtype("O"), b"A" * 8),
        ForgedArray(forged_dtype("V8", {"a": (np.dtype("O"), 0)}, ("a",), 0)),
        ForgedArray(forged_dtype("O8", None, None, 0)),
        ForgedArray(np.dtype([("a", "O")])),
    ],
)
def test_bytes_of_the_file_never_become_pointers(tmp_path, content):
    (tmp_path / "p").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match="p cannot be read as a pickle"):
        load_pickle(tmp_path / "p")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i2").reshape(3, 2).T,
        np.array([b"x"]),
        np.array([True]),
        np.array([1, "a", None], dtype=object),
        np.zeros((0, 3)),
        np.array(5),
    ],
)
def test_arrays_of_any_plain_kind_come_back(tmp_path, array, protocol):
    (tmp_path / "p").write_bytes(pickle.dumps(array, protocol=protocol))
    loaded = load_pickle(tmp_path / "p")
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
