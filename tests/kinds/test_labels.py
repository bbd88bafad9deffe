"""Labels of a user's files: names or numbers, and what cannot be labels."""

import itertools
import logging
from collections.abc import Sequence

import numpy as np
import pytest

from distillery.errors import UserError
from distillery.kinds import CLASSIFICATION, KINDS, REGRESSION, Kind
from distillery.kinds.base import LabelReader
from distillery.kinds.classification import label_order, plain_label

FILES = {"train": "a.csv", "test": "b.csv"}


def read(
    kind: Kind,
    train: Sequence[str],
    test: Sequence[str] | None = None,
    declared: Sequence[str] | None = None,
) -> tuple[LabelReader, np.ndarray]:
    """A reader of these labels, and what it gave for those of train."""
    files = FILES if test is not None else {"train": "a.csv"}
    labels = kind.label_reader(files, declared)
    numbers = [labels.read("train", row, text) for row, text in enumerate(train)]
    for row, text in enumerate(test or ()):
        labels.read("test", row, text)
    return labels, np.array(numbers, kind.dtype)


def test_names_are_numbered_in_their_order() -> None:
    labels, found = read(CLASSIFICATION, ["pos", "neg", "pos"], ["neg", "pos"])
    assert labels.names() == ("neg", "pos")
    assert labels.final(found).tolist() == [1, 0, 1]
    assert labels.final(found).dtype == np.int64


def test_one_number_written_in_two_ways_is_one_class() -> None:
    labels, found = read(CLASSIFICATION, ["1", "1.0", "0"], declared=["1.0", " 0"])
    assert labels.names() == ("1", "0")
    assert labels.final(found).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("1", "1"), ("1.0", "1"), ("1.00", "1"), (" 1.0 ", "1"), ("-0.0", "0"), ("-1.0", "-1")),
        *(("1.50", "1.50"), ("01.0", "01.0"), ("1.", "1."), ("1e0", "1e0"), ("nan", "nan")),
    ],
)
def test_a_whole_number_has_no_fraction(text: str, expected: str) -> None:
    assert plain_label(text) == expected


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (["x"], None, "a.csv has x: at least two different labels are needed"),
        (["x"], ["x", "y"], "a.csv has one class only: x"),
        (["x", "y"], ["x"], "b.csv has one class only: x"),
        (["x", "y"], [], "b.csv has one class only: no label at all"),
        (["x", "y"], ["x", "z"], "b.csv has the label 'z', which no row of a.csv has"),
    ],
)
def test_names_that_no_model_can_learn_are_refused(
    train: list[str], test: list[str] | None, said: str
) -> None:
    labels, _ = read(CLASSIFICATION, train, test)
    with pytest.raises(UserError) as caught:
        labels.names()
    assert str(caught.value).startswith(said)


def test_a_declared_label_of_test_alone_is_taken() -> None:
    labels, _ = read(CLASSIFICATION, ["x", "y"], ["x", "z"], declared=["x", "y", "z"])
    assert labels.names() == ("x", "y", "z")


def test_a_column_of_texts_is_refused_while_it_is_read() -> None:
    with pytest.raises(UserError, match=r"a\.csv has 1001 different labels: is it the right col"):
        read(CLASSIFICATION, [f"text {row}" for row in range(2000)])


def test_labels_are_logged_with_their_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    labels, _ = read(CLASSIFICATION, ["a", "B", "b", "b"])
    labels.log("train")
    assert caplog.messages == [
        "  labels: b (2), B (1), a (1)",
        "  labels that differ in case alone are kept apart: B, b",
    ]
    labels, _ = read(REGRESSION, ["1", "2.5"])
    labels.log("train")
    assert caplog.messages[-1] == "  labels: 1 to 2.5, mean 1.75"


def test_of_many_labels_the_most_frequent_are_described() -> None:
    counts = {f"label {number:02}": number for number in range(22)}
    described = CLASSIFICATION.describe(counts)
    assert described.startswith("label 21 (21), label 20 (20), ")
    assert described.endswith("label 02 (2), and 2 more")


def test_numbers_are_read_as_they_are() -> None:
    labels, found = read(REGRESSION, ["3.800", "-1e1", " 2", "5"], ["0", "1"])
    assert labels.names() == ("score",)
    assert labels.final(found).tolist() == [3.8, -10, 2, 5]
    assert found.dtype == np.float64


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999", "good", "1,5", "2_0", "0x1"])
def test_what_is_no_finite_number_is_named_with_its_file_and_row(text: str) -> None:
    with pytest.raises(UserError) as caught:
        read(REGRESSION, ["1", "2"], ["3", text])
    assert str(caught.value) == (
        f"b.csv, row 2: the label '{text}' is not a number from -1e+08 to 1e+08"
    )


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (["2", "2.0"], None, "a.csv has the label 2 in every row"),
        (["1", "2"], ["3"], "b.csv has the label 3 in every row"),
        ([], None, "a.csv has no label at all"),
    ],
)
def test_numbers_that_no_model_can_learn_are_refused(
    train: list[str], test: list[str] | None, said: str
) -> None:
    labels, _ = read(REGRESSION, train, test)
    with pytest.raises(UserError) as caught:
        labels.names()
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(("rows", "warns"), [(20, False), (21, True)])
def test_many_numbers_as_classes_come_with_advice_to_learn_them_as_numbers(
    rows: int, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    labels, _ = read(CLASSIFICATION, [f"{row / 4}" for row in range(rows)])
    labels.names()
    assert ("--kind regression learns them as numbers" in caplog.text) == warns


def test_numbers_have_no_names_to_declare() -> None:
    with pytest.raises(UserError, match="--labels is for classification"):
        read(REGRESSION, [], declared=["1", "2"])


@pytest.mark.parametrize(
    ("kind", "labels", "said"),
    [
        (CLASSIFICATION, [0, 1], None),
        (CLASSIFICATION, [0, 2], "train has the label 2, and the task 2 labels, counted from 0"),
        (CLASSIFICATION, [-3, 0], "train has the label -3, and"),
        (CLASSIFICATION, [0.5, 0], "train has the label 0.5, and"),
        (REGRESSION, [-3.5, 2], None),
        (REGRESSION, [1, np.nan], "train has a label that is not a finite number"),
        (REGRESSION, [1, np.inf], "train has a label that is not a finite number"),
    ],
)
def test_labels_of_a_public_data_set_are_checked(
    kind: Kind, labels: list[float], said: str | None
) -> None:
    if said is None:
        kind.check_labels(np.array(labels), ("a", "b"), "train")
        return
    with pytest.raises(UserError) as caught:
        kind.check_labels(np.array(labels), ("a", "b"), "train")
    assert str(caught.value).startswith(said)


def test_groups_are_the_classes_or_fifths_of_the_numbers() -> None:
    assert CLASSIFICATION.groups(np.array([2, 0, 1])).tolist() == [2, 0, 1]
    numbers = np.arange(100) / 7
    groups = REGRESSION.groups(np.random.default_rng(0).permutation(numbers))
    assert np.bincount(groups).tolist() == [20, 20, 20, 20, 20]
    assert (np.diff(REGRESSION.groups(numbers)) >= 0).all()
    assert len(set(REGRESSION.groups(np.array([0.2, 0.3, 0.2])).tolist())) == 2


def test_different_classes_contradict_each_other_and_numbers_far_apart() -> None:
    one, other = np.array([0, 1, 5]), np.array([0, 2, 4])
    assert CLASSIFICATION.contradicts(one, other).tolist() == [False, True, True]
    assert REGRESSION.contradicts(one * 1.0, other - 0.01).tolist() == [False, False, True]


@pytest.mark.parametrize("scale", [1e-3, 1, 1e6])
def test_groups_of_numbers_do_not_depend_on_their_scale(scale: float) -> None:
    numbers = np.random.default_rng(1).normal(size=50)
    assert (REGRESSION.groups(numbers * scale) == REGRESSION.groups(numbers)).all()


def test_a_summary_has_counts_or_the_range() -> None:
    assert CLASSIFICATION.summary(np.array([0, 0, 2]), "abc") == {"a": 2, "b": 0, "c": 1}
    found = REGRESSION.summary(np.array([0.0, 1.0, 2.0]), ("score",))
    assert found == {"lowest": 0, "mean": 1, "highest": 2}
    small = REGRESSION.summary(np.array([1e-9, 3e-9]), ("score",))
    assert REGRESSION.describe(small) == "1e-09 to 3e-09, mean 2e-09"


@pytest.mark.parametrize(("largest", "warns"), [("5", False), ("-350000", True)])
def test_large_numbers_come_with_advice_to_scale_them(
    largest: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    labels, _ = read(REGRESSION, ["1", largest])
    labels.names()
    assert ("a.csv has labels as large as 350000, which" in caplog.text) == warns


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_missing_label_has_the_type_of_labels(kind: Kind) -> None:
    assert np.array([kind.missing], kind.dtype).dtype == kind.dtype
    with pytest.raises(UserError):
        kind.check_labels(np.array([kind.missing]), ("a", "b"), "train")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"10", "9", "-1", "2.5"}, ("-1", "2.5", "9", "10")),
        ({"1.50", "1.5", "01", "1"}, ("01", "1", "1.5", "1.50")),
        ({"b", "10", "9"}, ("10", "9", "b")),
        ({"nan", "1", "0"}, ("0", "1", "nan")),
        ({"inf", "nan", "None"}, ("None", "inf", "nan")),
        ({"1_0", "9"}, ("1_0", "9")),
        ({"pos", "Pos"}, ("Pos", "pos")),
    ],
)
def test_labels_are_sorted_by_number_or_by_alphabet(
    texts: set[str], expected: tuple[str, ...]
) -> None:
    assert label_order(texts, None, "f") == expected


@pytest.mark.parametrize("texts", [("nan", "1", "0", "inf"), ("1.5", "1.50", "01", "1")])
def test_labels_that_come_in_another_order_are_sorted_alike(texts: tuple[str, ...]) -> None:
    """A set of texts has another order in every process."""
    assert len({label_order(order, None, "f") for order in itertools.permutations(texts)}) == 1


def test_declared_labels_give_the_order_and_refuse_others() -> None:
    assert label_order({"b"}, ["b", "a"], "f.csv") == ("b", "a")
    assert label_order({"0", "1"}, ["1.0", " 0.0"], "f.csv") == ("1", "0")
    with pytest.raises(UserError, match=r"label in f\.csv 'c': choose from b, a"):
        label_order({"b", "c"}, ["b", "a"], "f.csv")
    for declared in (["a"], ["1", "1.0"], ["a", " "]):
        with pytest.raises(UserError, match="at least two different labels"):
            label_order({"a", "1"}, declared, "f.csv")


@pytest.mark.parametrize("texts", [set(), {"x"}])
def test_fewer_than_two_labels_are_refused(texts: set[str]) -> None:
    with pytest.raises(UserError, match="at least two different labels"):
        label_order(texts, None, "f.csv")


def test_a_column_that_is_no_label_is_refused() -> None:
    with pytest.raises(UserError, match="1001 different labels"):
        label_order({str(number) for number in range(1001)}, None, "f.csv")
