"""Any CSV file as a data set: what its cells mean, and which cells stop it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.images import read_image
from mlgcn.data.sources.phantom import write_phantoms
from mlgcn.data.sources.table import read_label_csv
from mlgcn.data.splits import complete_split

NAN = float("nan")


def written(folder, text, name="labels.csv"):
    (folder / name).write_text(text)
    return folder


# What cells mean

CELLS = "path,Mass\na,1\nb,0\nc,1.0\nd,0.0\ne, 1 \nf,-1\ng,-1.0\nh,\n"


@pytest.mark.parametrize(("uncertain", "minus"), [("positive", 1), ("negative", 0), ("unknown", NAN)])
@pytest.mark.parametrize(("blank", "nothing"), [("positive", 1), ("negative", 0), ("unknown", NAN)])
def test_uncertain_and_blank_mean_what_their_policy_says(tmp_path, uncertain, minus, blank, nothing):
    table = read_label_csv(written(tmp_path, CELLS), uncertain=uncertain, blank=blank)
    np.testing.assert_array_equal(table.values[:, 0], [1, 0, 1, 0, 1, minus, minus, nothing])


def test_uncertain_and_blank_are_unknown_unless_said_otherwise(tmp_path):
    values = read_label_csv(written(tmp_path, CELLS)).values[:, 0]
    assert np.isnan(values).tolist() == [False] * 5 + [True] * 3


@settings(max_examples=30)
@given(cells=st.lists(st.tuples(*[st.sampled_from(["0", "1", "-1", ""])] * 3), min_size=1, max_size=8))
def test_every_cell_is_found_under_its_image_and_label(tmp_path_factory, cells):
    lines = ["c,path,a,b", *(f"{c},{row}.png,{a},{b}" for row, (a, b, c) in enumerate(cells))]
    folder = written(tmp_path_factory.mktemp("table"), "\n".join(lines) + "\n")
    table = read_label_csv(folder, labels=["a", "b", "c"], uncertain="positive")
    assert table.names == ("a", "b", "c")
    for row, values in enumerate(cells):
        for column, cell in enumerate(values):
            found = table.values[row, column]
            assert np.isnan(found) if cell == "" else found == abs(float(cell))


def test_labels_are_all_other_columns_in_their_order_unless_listed(tmp_path):
    folder = written(tmp_path, "Edema,view,path,image_id,patient_id,study_id,split,Mass\n1,frontal,a,i,p,s,train,0\n")
    assert read_label_csv(folder).names == ("Edema", "Mass")
    assert read_label_csv(folder, labels=["Mass"]).names == ("Mass",)


def test_the_columns_that_describe_an_image_are_used_where_they_are(tmp_path):
    text = (
        "image_id,path,patient_id,study_id,view,split,Mass\n07,x/a.png,03,s1,lateral,test,1\n08,b.png,04,s2,,train,0\n"
    )
    images = read_label_csv(written(tmp_path, text)).images
    assert images.to_dict("list") == {
        "image_id": ["07", "08"],
        "path": [str(tmp_path / "x" / "a.png"), str(tmp_path / "b.png")],
        "patient_id": ["03", "04"],
        "study_id": ["s1", "s2"],
        "view": ["lateral", "unknown"],
        "split": ["test", "train"],
    }


def test_without_image_ids_the_paths_as_written_identify_the_images(tmp_path):
    images = read_label_csv(written(tmp_path, "path,Mass\nx/a.png,1\n")).images
    assert images.image_id[0] == images.patient_id[0] == "x/a.png"
    assert images.view[0] == "unknown" and images.split[0] == ""


def test_an_absolute_path_stays_as_it_is(tmp_path):
    assert read_label_csv(written(tmp_path, "path,Mass\n/data/a.png,1\n")).images.path[0] == "/data/a.png"


def test_the_file_may_have_another_name_and_its_path_column_too(tmp_path):
    folder = written(tmp_path, "Mass,file\n1,a.png\n", "train.csv")
    for root, options in ((folder, {"csv": "train.csv"}), (folder / "train.csv", {})):
        table = read_label_csv(root, path_column="file", **options)
        assert table.names == ("Mass",) and table.images.path[0] == str(tmp_path / "a.png")


def test_what_the_phantoms_write_is_read_back(tmp_path):
    expected = write_phantoms(tmp_path / "phantoms", images=12, seed=4, size=32)
    found = read_label_csv(tmp_path / "phantoms")
    assert found.names == expected.names
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.images.to_dict("list") == expected.images.to_dict("list")
    np.testing.assert_array_equal(read_image(found.images.path[7], 32), read_image("phantom:4:7", 32))


# What stops it


@pytest.mark.parametrize("wrong", ["2", "yes", "0.5", "-2", "nan", "True"])
def test_another_value_is_named_with_file_column_and_line(tmp_path, wrong):
    folder = written(tmp_path, f"path,Edema,Mass\na,1,0\nb,0,{wrong}\nc,7,1\n")
    message = rf"labels\.csv: column 'Mass' holds '{wrong}' in line 3, expected 0, 1, -1 or blank"
    with pytest.raises(ValueError, match=message):
        read_label_csv(folder, labels=["Mass"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,Mass\na,1\n", r"lacks the columns \['path'\]; it has \['image', 'Mass'\]"),
        ("path,Mass\n\na,1\nb,1\na,0\n", "image ids repeat: 'a' stands in line 3 and line 5"),
        ("path,image_id,Mass\n\na,i,1\nb,i,0\n", "image ids repeat: 'i' stands in line 3 and line 4"),
        ("path,Mass\n\na,1\n,0\n", "column 'path' is blank in line 4"),
        ("path,image_id,Mass\n\na,i,1\nb, ,0\n", "column 'image_id' is blank in line 4"),
        ("path,patient_id,Mass\n\na,p,1\nb,,0\n", "column 'patient_id' is blank in line 4"),
        ("path,study_id,Mass\n\na,,1\nb,s,0\n", "column 'study_id' is blank in line 3"),
        (
            "path,view,Mass\n\na,PA,1\nb,above,0\n",
            r"column 'view' holds 'above' in line 4, expected one of \['frontal', 'lateral', 'unknown'\], blank or",
        ),
        ("path,split,Mass\n\na,,1\nb,fold 1,0\n", r"column 'split' holds 'fold 1' in line 4, expected .* or blank$"),
        ("path,Mass\n", "has no rows"),
        ("path,Edema,Mass\na,1,0\nb,1\n", "line 3 has 2 of 3 cells"),
        ("path,view\na,frontal\n", r"has no label column beside \['path', 'view'\]"),
        ("path,Mass,Mass\na,1,1\n", r"columns repeat: \['Mass'\]"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"labels\.csv: {message}"):
        read_label_csv(written(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("valid", "val"),
        ("validate", "val"),
        ("dev", "val"),
        ("development", "val"),
        ("training", "train"),
        ("Test", "test"),
    ],
)
def test_another_name_for_a_split_is_refused_with_the_one_that_is_meant(tmp_path, name, meant):
    named = rf"labels\.csv: column 'split' holds '{name}' in line 2, expected one of .*; did you mean '{meant}'\?"
    with pytest.raises(ValueError, match=named):
        read_label_csv(written(tmp_path, f"path,split,Mass\na,{name},1\n"))


def test_a_view_may_be_a_code(tmp_path):
    codes = ["PA", "Frontal", "ap supine", "LL", "lateral", "LAO", "", "unknown"]
    text = "path,view,Mass\n" + "".join(f"{row},{code},1\n" for row, code in enumerate(codes))
    frontal, lateral, unknown = "frontal", "lateral", "unknown"
    expected = [frontal, frontal, frontal, lateral, lateral, unknown, unknown, unknown]
    assert read_label_csv(written(tmp_path, text)).images["view"].tolist() == expected


def test_booleans_of_parquet_are_labels(tmp_path):
    pd.DataFrame({"path": ["a", "b"], "Mass": [True, False]}).to_parquet(tmp_path / "labels.parquet")
    assert read_label_csv(tmp_path / "labels.parquet").values[:, 0].tolist() == [1, 0]


def test_spaces_around_identifiers_do_not_count(tmp_path):
    images = read_label_csv(written(tmp_path, "path,patient_id,study_id,Mass\na,1 ,s,1\nb, 1, s,0\n")).images
    assert images.patient_id.tolist() == ["1", "1"] and images.study_id.tolist() == ["s", "s"]


def test_soft_labels_are_advised_where_they_may_be_meant(tmp_path):
    folder = written(tmp_path, "path,Mass\na,0.5\n")
    with pytest.raises(ValueError, match=r"holds '0\.5' in line 2.*--data\.options\.soft true$"):
        read_label_csv(folder)
    assert read_label_csv(folder, soft=True).values.tolist() == [[0.5]]


def test_to_name_the_labels_is_advised_where_a_value_is_no_label_and_only_there(tmp_path):
    folder = written(tmp_path, "path,Age,Mass\na,57,1\n")
    with pytest.raises(
        ValueError, match=r"column 'Age' holds '57' in line 2.*; where other columns than labels are in"
    ):
        read_label_csv(folder)
    for options in ({"blank": "zero"}, {"uncertain": None}):
        with pytest.raises(ValueError, match=r"or a number in \[0, 1\]$"):
            read_label_csv(folder, **options)


def test_a_listed_label_that_the_file_lacks_is_named(tmp_path):
    folder = written(tmp_path, "path,Mass\na,1\n")
    with pytest.raises(ValueError, match=r"labels\.csv: lacks the columns \['Edema'\]; it has \['path', 'Mass'\]"):
        read_label_csv(folder, labels=["Mass", "Edema"])
    with pytest.raises(ValueError, match=r"labels\.csv: label names repeat: \['Mass'\]"):
        read_label_csv(folder, labels=["Mass", "Mass"])


@pytest.mark.parametrize("policy", ["uncertain", "blank"])
def test_an_unknown_policy_is_refused(tmp_path, policy):
    expected = rf"{policy} is 'zero', expected one of \['positive', 'negative', 'unknown'\]"
    with pytest.raises(ValueError, match=expected):
        read_label_csv(written(tmp_path, CELLS), **{policy: "zero"})


def test_a_folder_without_the_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*labels\.csv"):
        read_label_csv(tmp_path)


def test_a_patient_in_two_splits_of_the_file_stops_the_split(tmp_path):
    rows = [f"{number}.png,p{number},{'train' if number < 15 else 'test'},1" for number in range(20)]
    folder = written(tmp_path, "\n".join(["path,patient_id,split,Mass", *rows, "20.png,p3,test,0"]) + "\n")
    table = read_label_csv(folder)
    with pytest.raises(ValueError, match=r"1 patients are in more than one split, the first \['p3'\]"):
        complete_split(table)
