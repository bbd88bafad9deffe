"""A user's own rows: which columns are read, and what is a text, a label, or no row."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.data.inputs import Columns, find_columns
from distillery.data.user_files import read_examples
from distillery.errors import UserError
from distillery.kinds.classification import plain_label


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


def parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def labels(path: Path) -> list[str | None]:
    """The labels as classification reads them."""
    return [label and plain_label(label) for _, label in read_examples(path, Columns())]


@pytest.mark.parametrize(
    ("names", "asked", "expected"),
    [
        (["id", "Review", "SENTIMENT"], Columns(), Columns("Review", None, "SENTIMENT")),
        (["text", "Label", "label"], Columns(), Columns("text", None, "label")),
        (["Text", "text", "LABEL"], Columns(), Columns("text", None, "LABEL")),
        (["review", "text", "label"], Columns(), Columns("text", None, "label")),
        (["Text", "review"], Columns(), Columns("Text")),
        (["text", " label"], Columns(), Columns("text", None, " label")),
        (["text", " label", "label"], Columns(), Columns("text", None, "label")),
        (["text", "x", "x"], Columns(), Columns("text")),
        (["a", "Mood "], Columns("A", label="mood"), Columns("a", None, "Mood ")),
        (["sentence1", "sentence2"], Columns(), Columns("sentence1", "sentence2")),
        (["text", "summary", "label"], Columns("summary"), Columns("summary", None, "label")),
        # a column has one role: else a label would be read as a text, or a text twice
        (
            ["sentence1", "sentence2"],
            Columns(label="sentence2"),
            Columns("sentence1", label="sentence2"),
        ),
        (["sentence1", "sentence2"], Columns("sentence2"), Columns("sentence2")),
        (["sentence1", "sentence2", "label"], Columns("label"), Columns("label", "sentence2")),
        (["label", "Label"], Columns("label"), Columns("label", None, "Label")),
    ],
)
def test_columns_are_found(names: list[str], asked: Columns, expected: Columns) -> None:
    assert find_columns("a.csv", names, asked) == expected


@pytest.mark.parametrize(
    ("names", "asked", "said"),
    [
        (
            ["text", "label"],
            Columns(label="mood"),
            "(--label-column) 'mood': choose from text, lab",
        ),
        (["q", "label"], Columns(), "no obvious text column among q, label"),
        ([], Columns(), "no obvious text column among no named columns"),
        (["Text", "TEXT"], Columns(), "two columns of a.csv fit 'text': Text, TEXT: name one with"),
        (["text", "label", "label"], Columns(), "has two columns named 'label': rename one"),
        (["a", "a"], Columns("a"), "has two columns named 'a'"),
        (["a", "A"], Columns("a", "A"), None),
        (["text", "Mood", "mood "], Columns(label="MOOD"), "name one with --label-column"),
        (
            ["label"],
            Columns("label", label="label"),
            "'label' in a.csv cannot be --text-column and",
        ),
        (["a"], Columns("a", "a"), "cannot be --text-column and --text-pair-column at once"),
    ],
)
def test_columns_that_cannot_be_decided_are_refused(
    names: list[str], asked: Columns, said: str | None
) -> None:
    if said is None:
        assert find_columns("a.csv", names, asked) == asked
        return
    with pytest.raises(UserError) as caught:
        find_columns("a.csv", names, asked)
    assert said in str(caught.value)


def test_a_reading_says_which_columns_there_are_and_which_it_reads(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ",Text, stars,id\n0,a,5,7\n")
    reading = read_examples(path, Columns())
    assert reading.names == ["Text", " stars", "id"]
    assert reading.columns == Columns("Text", None, " stars")


def test_columns_are_refused_before_rows_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label,label\na,x,y\n")
    with pytest.raises(UserError, match="two columns named 'label'"):
        read_examples(path, Columns())
    assert [label for _, label in read_examples(path, Columns(), labelled=False)] == [None]
    assert read_examples(path, Columns(), labelled=False).columns == Columns("text")


def test_pairs_of_texts_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "sentence1,sentence2,label\na,b,x\n")
    ((example, label),) = read_examples(path, Columns())
    assert (example.text, example.text_pair, label) == ("a", "b", "x")


@pytest.mark.parametrize("empty", ['""', '"  "', '" \\u00a0\\n"', "null", "NaN"])
def test_rows_without_text_are_dropped_and_counted(tmp_path: Path, empty: str) -> None:
    lines = (
        f'{{"text": {empty}, "text_pair": "b", "label": "x"}}',
        f'{{"text": "a", "text_pair": {empty}, "label": "x"}}',
        '{"text": "a", "text_pair": " b ", "label": "x"}',
        '{"label": "y"}',
    )
    reading = read_examples(write(tmp_path, "a.jsonl", "\n".join(lines)), Columns())
    for _ in range(2):
        ((example, label),) = reading
        assert (example.row, example.text, example.text_pair, label) == (2, "a", " b ", "x")
        assert reading.dropped == {"rows without text": 2, "rows without a second text": 1}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"text": "half a pair: \\ud83d"}', "column 'text': not valid text (character 13)"),
        ('{"text": "a", "label": "\\ud83d"}', "column 'label': not valid text (character 0)"),
        ('{"text": ["a"]}', "column 'text': neither text nor number: ['a']"),
        ('{"text": "a", "label": {"b": 1}}', "column 'label': neither text nor number: {'b': '1'}"),
    ],
)
def test_a_value_that_is_no_text_is_named(tmp_path: Path, row: str, said: str) -> None:
    path = write(tmp_path, "a.jsonl", f'{{"text": "fine", "label": 1}}\n{row}\n')
    with pytest.raises(UserError) as caught:
        list(read_examples(path, Columns()))
    assert str(caught.value) == f"a.jsonl, row 2, {said}"


LABELS: list[tuple[Any, str | None]] = [
    *((1, "1"), (1.0, "1"), (True, "1"), ("1", "1"), ("1.0", "1"), ("1.00", "1"), (" 1 ", "1")),
    *((0.0, "0"), (-0.0, "0"), ("-0.0", "0"), (False, "0"), ("-1.0", "-1"), (-1, "-1")),
    *((2.5, "2.5"), ("2.5", "2.5"), ("1.50", "1.50"), ("01", "01"), ("1.", "1."), ("1e0", "1e0")),
    *(("True", "True"), ("pos ", "pos"), ("\u00a0Pos\t", "Pos"), ("a\tb,\nc", "a\tb,\nc")),
    *(("nan", "nan"), ("None", "None"), ("NULL", "NULL"), ("", None), (" \n", None), (None, None)),
]


@pytest.mark.parametrize(("value", "expected"), LABELS)
def test_a_label_is_one_text_in_every_format(
    tmp_path: Path, value: Any, expected: str | None
) -> None:
    rows = write(tmp_path, "a.jsonl", json.dumps({"text": "a", "label": value}))
    assert labels(rows) == [expected]
    assert labels(parquet(tmp_path / "a.parquet", text=["a"], label=[value])) == [expected]
    if isinstance(value, str):
        assert labels(write(tmp_path, "a.csv", f'text,label\na,"{value}"\n')) == [expected]


def test_the_number_nan_is_no_label(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", text=["a", "b"], label=[1.0, float("nan")])
    assert labels(path) == ["1", None]
    assert labels(write(tmp_path, "a.jsonl", '{"text": "a", "label": NaN}')) == [None]
