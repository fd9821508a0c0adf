import pytest

from mlgcn.suggestions import check_options, unknown_name


def reader(root, *, images=1, seed=0):
    return root, images, seed


def plain(root):
    return root


def test_the_nearest_known_name_is_suggested_and_all_are_listed_in_order():
    message = unknown_name("preset", "demoo", ["nih", "demo", "ladder"])
    assert message == "unknown preset 'demoo'; did you mean 'demo'? (known: demo, ladder, nih)"


def test_nothing_is_suggested_where_no_name_is_near():
    assert unknown_name("preset", "xyz", ["demo"]) == "unknown preset 'xyz' (known: demo)"


@pytest.mark.parametrize(("names", "listed"), [(30, True), (31, False)])
def test_more_than_30_names_are_not_listed(names, listed):
    message = unknown_name("setting", "name-1x", [f"name-{i}" for i in range(names)])
    assert "did you mean 'name-1'?" in message
    assert ("known:" in message) is listed


def test_options_are_the_keyword_only_parameters():
    check_options(reader, ["images", "seed"], "option")
    with pytest.raises(ValueError, match=r"unknown option 'imagse'; did you mean 'images'\? \(known: images, seed\)"):
        check_options(reader, ["seed", "imagse"], "option")
    with pytest.raises(ValueError, match=r"unknown option 'root' \(known: images, seed\)"):
        check_options(reader, ["root"], "option")


def test_a_function_without_options_takes_none():
    check_options(plain, [], "option")
    with pytest.raises(ValueError, match="option 'images': there are none"):
        check_options(plain, ["images"], "option")
