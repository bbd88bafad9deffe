"""Tables of downloads: quotes, headers, and what is wrong named by its line."""

import io

import pytest

from distillery.data import tables
from distillery.data.task import Example

PARSE = tables.parser({"train.tsv": "train"}, ("no", "yes"), text="one", text_pair="two")


def _rows(content: str, path: str = "train.tsv") -> list[tuple[str, Example]]:
    return list(PARSE(path, content.encode()))


def test_rows_in_order_with_quotes_as_text() -> None:
    found = _rows('one\ttwo\tlabel\n"a\tb" "c\tyes\nd\te\tno')
    assert found == [("train", Example(0, '"a', 'b" "c', 1)), ("train", Example(1, "d", "e", 0))]


def test_columns_are_found_by_name_whatever_stands_beside_them() -> None:
    found = _rows("\ufefflabel\tmore\ttwo\tone\nyes\tx\tb\ta\n")
    assert found == [("train", Example(0, "a", "b", 1))]


def test_other_files_are_passed_over() -> None:
    assert _rows("no table\n", "test.tsv") == []


def test_a_table_without_header_has_its_columns_named() -> None:
    parse = tables.parser({"a.csv": "test"}, ("1", "2"), columns=("label", "text"))
    found = list(parse("a.csv", b'"2","so ""good"", a\nline"\r\n"1","bad"\r\n'))
    assert found == [
        ("test", Example(0, 'so "good", a\nline', label=1)),
        ("test", Example(1, "bad", label=0)),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("one\ttwo\tlabel\na\tb\n", "row 1 has not 3 columns"),
        ("one\ttwo\tlabel\na\tb\tyes\tc\n", "row 1 has not 3 columns"),
        ("one\ttwo\tlabel\na\tb\tye", "row 1 has the label 'ye', not one of no, yes"),
        ("one\tlabel\na\tyes\n", "no column 'two', only one, label"),
        ("one\tone\tlabel\n", "a column is named twice: one, one, label"),
    ],
)
def test_what_is_wrong_is_said(content: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _rows(content)


def test_a_quote_that_is_not_closed_is_named() -> None:
    with pytest.raises(ValueError, match="line 2: "):
        list(tables.rows(io.StringIO('a,b\n1,"2'), tabs=False))


def test_an_empty_table_has_no_rows() -> None:
    assert _rows("") == []


def test_labels_may_be_numbers() -> None:
    parse = tables.parser({"train.tsv": "train"}, text="one", label="score")
    found = list(parse("train.tsv", b'score\tone\n3.80\t"a\n-1\tb" c\n'))
    assert [(row.text, row.label) for _, row in found] == [('"a', 3.8), ('b" c', -1)]
    with pytest.raises(ValueError, match="row 1 has the label 'high', not a number"):
        list(parse("train.tsv", b"score\tone\nhigh\ta\n"))
