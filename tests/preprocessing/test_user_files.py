"""A user's own files: what is read, and that everything else is one line, never a traceback."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.errors import UserError
from distillery.preprocessing import user_files
from distillery.preprocessing.user_files import Columns

ROWS = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_the_four_kinds_give_the_same_rows(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    for path in (
        write(tmp_path, "a.csv", "text,label\na,x\nb,y\n"),
        write(tmp_path, "a.TSV", "text\tlabel\r\na\tx\r\nb\ty"),
        write(tmp_path, "a.jsonl", lines),
        parquet(tmp_path / "a.parquet", text=["a", "b"], label=["x", "y"]),
    ):
        assert user_files.read_rows(path) == ROWS, path.name


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, name: str) -> None:
    content = "text,label\na,x\n" if name == "a.csv" else '{"text": "a", "label": "x"}\n'
    path = write(tmp_path, name, b"\xef\xbb\xbf" + content.encode())
    assert user_files.read_rows(path) == ROWS[:1]


def test_csv_keeps_quoted_newlines_commas_and_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,label\n"one\r\ntwo, ""three""",x\n')
    assert user_files.read_rows(path) == [{"text": 'one\r\ntwo, "three"', "label": "x"}]


def test_tsv_takes_quotes_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"open\tx\n5" disk\ty\n')
    assert [row["text"] for row in user_files.read_rows(path)] == ['"open', '5" disk']


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_nul_bytes_end_no_field(tmp_path: Path, name: str) -> None:
    content = b"text,label\na\0b,x\n" if name == "a.csv" else b"text\tlabel\na\0b\tx\n"
    path = write(tmp_path, name, content)
    assert user_files.read_rows(path) == [{"text": "a\0b", "label": "x"}]


def test_csv_reads_a_huge_field(tmp_path: Path) -> None:
    huge = 300_000 * "x"
    path = write(tmp_path, "a.csv", f"text,label\n{huge},y\n")
    assert user_files.read_rows(path)[0]["text"] == huge


@pytest.mark.parametrize("line", ["b", "b,y,z", "b,", "b,y"])
def test_csv_row_of_another_width_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "a.csv", f"text,label\na,x\n{line}\n")
    if line.count(",") == 1:
        assert len(user_files.read_rows(path)) == 2
        return
    with pytest.raises(UserError, match=r"a\.csv, row 2 has not 2 columns"):
        user_files.read_rows(path)


@pytest.mark.parametrize("body", ['"a,x\n', 'a,"x"y\n'])
def test_csv_with_a_broken_quote_is_refused(tmp_path: Path, body: str) -> None:
    with pytest.raises(UserError, match=r"a\.csv, line "):
        user_files.read_rows(write(tmp_path, "a.csv", "text,label\n" + body))


def test_jsonl_passes_over_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '\n{"text": "a", "label": "x"}\n  \n\n')
    assert user_files.read_rows(path) == ROWS[:1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": ', "line 2: no JSON"),
        ("[1, 2]", "line 2 is no JSON object"),
        ("3", "line 2 is no JSON object"),
        (100_000 * "[", "line 2: no JSON"),
        ('{"text": ' + 5000 * "1" + "}", "line 2: no JSON"),
    ],
)
def test_jsonl_names_the_broken_line(tmp_path: Path, line: str, said: str) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\n' + line + "\n")
    with pytest.raises(UserError, match=said):
        user_files.read_rows(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_parquet_is_refused(tmp_path: Path, share: float) -> None:
    path = parquet(tmp_path / "a.parquet", text=["a", "b"])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        user_files.read_rows(path)


def test_parquet_with_a_date_beyond_python_is_refused(tmp_path: Path) -> None:
    when = pa.array([10**15], pa.timestamp("s"))
    path = parquet(tmp_path / "a.parquet", text=["a"], when=when)
    with pytest.raises(UserError, match=r"a\.parquet"):
        user_files.read_rows(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "is empty"),
        ("a.jsonl", "", "is empty"),
        ("a.parquet", "", "is empty"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.csv", "\n\n", "has no rows"),
        ("a.jsonl", "\n\n", "has no rows"),
        ("a.csv", b"text\ncaf\xe9\n", "is not UTF-8"),
        ("a.tsv", b"\xff\xfet\0e\0x\0t\0", "is not UTF-8"),
        ("a.jsonl", b'{"text": "caf\xe9"}', "is not UTF-8"),
        ("a.txt", "text\na\n", "choose from .csv, .tsv, .jsonl, .parquet"),
        ("csv", "text\na\n", "choose from .csv, .tsv, .jsonl, .parquet"),
    ],
)
def test_unusable_file_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        user_files.read_rows(write(tmp_path, name, content))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "a.csv", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(UserError, match=said):
            user_files.read_rows(path)


@pytest.mark.parametrize("suffix", user_files.SUFFIXES)
@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=300), magic=st.booleans())
def test_arbitrary_bytes_raise_nothing_but_a_user_error(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, content: bytes, magic: bool
) -> None:
    if magic:  # far enough for each reader to begin
        start, end = {".jsonl": (b'{"text": "', b'"}'), ".parquet": (b"PAR1", b"PAR1")}.get(
            suffix, (b"text,label\n", b"\n")
        )
        content = start + content + end
    path = tmp_path_factory.getbasetemp() / f"arbitrary{suffix}"
    path.write_bytes(content)
    try:
        examples = user_files.read_examples(path, Columns())
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert examples
    assert all(example.text.strip() for example, _ in examples)


@settings(max_examples=50, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_parquet_with_a_changed_byte_raises_nothing_but_a_user_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    path = parquet(
        tmp_path_factory.getbasetemp() / "changed.parquet", text=["a", "b"], label=[0, 1]
    )
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content)
    try:
        assert user_files.read_rows(path)
    except UserError as error:
        assert "changed.parquet" in str(error)


def test_usual_column_names_are_found_whatever_their_case() -> None:
    found = user_files.find_columns(Path("a.csv"), ["id", "Review", "SENTIMENT"], Columns())
    assert found == Columns(text="Review", text_pair=None, label="SENTIMENT")


def test_named_columns_go_before_usual_ones() -> None:
    names = ["text", "summary", "label", "mood"]
    found = user_files.find_columns(Path("a.csv"), names, Columns("summary", label="mood"))
    assert found == Columns(text="summary", text_pair=None, label="mood")


def test_a_column_has_one_role() -> None:
    """Else a label would be read as a text, or a text twice."""
    names = ["sentence1", "sentence2", "label"]
    found = user_files.find_columns(Path("a.csv"), names, Columns(label="sentence2"))
    assert found == Columns("sentence1", None, "sentence2")
    found = user_files.find_columns(Path("a.csv"), names, Columns(text="label"))
    assert found == Columns("label", "sentence2", None)
    found = user_files.find_columns(Path("a.csv"), names, Columns(text="sentence2"))
    assert found == Columns("sentence2", None, "label")
    with pytest.raises(UserError, match="'label' in a.csv cannot be --text-column and --label-col"):
        user_files.find_columns(Path("a.csv"), names, Columns(text="label", label="label"))
    with pytest.raises(UserError, match="cannot be --text-column and --text-pair-column at once"):
        user_files.find_columns(Path("a.csv"), names, Columns("sentence1", "sentence1"))


def test_unknown_and_undecidable_columns_are_refused() -> None:
    with pytest.raises(UserError, match=r"--label-column\) 'mood': choose from text, label"):
        user_files.find_columns(Path("a.csv"), ["text", "label"], Columns(label="mood"))
    with pytest.raises(UserError, match="no obvious text column among q, label"):
        user_files.find_columns(Path("a.csv"), ["q", "label"], Columns())


def test_pairs_of_texts_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "sentence1,sentence2,label\na,b,x\n")
    ((example, label),) = user_files.read_examples(path, Columns())
    assert (example.text, example.text_pair, label) == ("a", "b", "x")


@pytest.mark.parametrize("content", ["text,label\n ,x\n", "sentence1,sentence2\na, \n"])
def test_row_without_text_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(UserError, match=r"a\.csv, row 1: column '\w+' has no text"):
        user_files.read_examples(write(tmp_path, "a.csv", content), Columns())


def test_text_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "half a pair: \\ud83d", "label": "x"}\n')
    with pytest.raises(UserError, match=r"a\.jsonl, row 1"):
        user_files.read_examples(path, Columns())


def test_row_without_a_label_has_none(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.jsonl", '{"text":"a","label":"x"}\n{"text":"b"}\n{"text":"c","label":" "}\n'
    )
    assert [label for _, label in user_files.read_examples(path, Columns())] == ["x", None, None]


def test_labels_mean_the_same_in_every_kind_of_file(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", text=["a", "b", "c"], label=[1.0, 2.5, None])
    assert [label for _, label in user_files.read_examples(path, Columns())] == ["1", "2.5", None]
    path = write(tmp_path, "a.jsonl", '{"text":"a","label":true}\n{"text":"b","label":0}\n')
    assert [label for _, label in user_files.read_examples(path, Columns())] == ["1", "0"]


def test_numeric_labels_are_sorted_by_number_others_by_alphabet() -> None:
    assert user_files.label_order({"10", "9", "-1", "2.5"}, None, "f") == ("-1", "2.5", "9", "10")
    assert user_files.label_order({"b", "10", "9"}, None, "f") == ("10", "9", "b")


def test_declared_labels_give_the_order_and_refuse_others() -> None:
    assert user_files.label_order({"b"}, ["b", "a"], "f.csv") == ("b", "a")
    with pytest.raises(UserError, match=r"label in f\.csv 'c': choose from b, a"):
        user_files.label_order({"b", "c"}, ["b", "a"], "f.csv")


@pytest.mark.parametrize("texts", [set(), {"x"}])
def test_fewer_than_two_labels_are_refused(texts: set[str]) -> None:
    with pytest.raises(UserError, match="at least two different labels"):
        user_files.label_order(texts, None, "f.csv")


def test_a_column_that_is_no_label_is_refused() -> None:
    with pytest.raises(UserError, match="1001 different labels"):
        user_files.label_order({str(number) for number in range(1001)}, None, "f.csv")
