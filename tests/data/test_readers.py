"""Formats of a user's files: each gives exact texts, or one line that says what is broken."""

import csv
import gzip
import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.data.inputs import USUAL, Columns, spooled
from distillery.data.user_files import read_examples
from distillery.errors import UserError

AB = [("a", "x"), ("b", "y")]
AB_JSON = b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def read(path: Path, **columns: str) -> list[tuple[str, str | None]]:
    with spooled({"train": path}) as readable:
        reading = read_examples(readable["train"], Columns(**columns))
        return [(example.text, label) for example, label in reading]


def error(path: Path, **columns: str) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **columns)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FILES = {
    "a.csv": b"text,label\na,x\nb,y\n",
    "A.CSV": b"text,label\na,x\nb,y\n",
    "no_suffix": b"text;label\na;x\nb;y\n",
    "a.tsv": b"text\tlabel\r\na\tx\r\nb\ty",
    "a.jsonl": AB_JSON,
    "a.ndjson": AB_JSON,
    "lines.json": AB_JSON,
    "array.json": b"[" + AB_JSON.strip().replace(b"\n", b",\n") + b"]",
    "array.jsonl": b"\n [" + AB_JSON.strip().replace(b"\n", b" , ") + b"]\n\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("wrapped", ["plain", "gzip", "BOM", "UTF-16", "BOM, gzip"])
def test_every_text_format_gives_the_same_rows(tmp_path: Path, name: str, wrapped: str) -> None:
    content = FILES[name]
    if "BOM" in wrapped:
        content = b"\xef\xbb\xbf" + content
    if wrapped == "UTF-16":
        content = content.decode().encode("utf-16")
    if "gzip" in wrapped:
        name, content = name + (".gz" if name.islower() else ".GZ"), gzip.compress(content)
    assert read(write(tmp_path, name, content)) == AB


def test_parquet_gives_the_same_rows_also_with_gzip(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.PARQUET", text=["a", "b"], label=["x", "y"])
    assert read(path) == AB
    assert read(write(tmp_path, "a.parquet.gz", gzip.compress(path.read_bytes()))) == AB


def test_gzip_is_recognized_without_its_suffix(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", gzip.compress(FILES["a.csv"]))) == AB


def test_a_pipe_is_read_again_and_again_whatever_it_holds(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "a.parquet", text=["a", "b"], label=["x", "y"]).read_bytes()
    contents = [
        *FILES.values(),
        whole,
        *(gzip.compress(b, mtime=0) for b in (whole, FILES["a.csv"])),
    ]
    for content in contents:
        out, into = os.pipe()
        writer = threading.Thread(target=_pour, args=(into, content))
        writer.start()
        with spooled({"train": Path(f"/dev/fd/{out}")}) as readable:
            writer.join()
            os.close(out)
            reading = read_examples(readable["train"], Columns())
            for _ in range(2):
                assert [(example.text, label) for example, label in reading] == AB


def _pour(pipe: int, content: bytes) -> None:
    with open(pipe, "wb") as file:
        file.write(content)


def test_a_named_pipe_has_the_format_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b'text\tlabel\n5"\tx\n',))
    writer.start()
    with spooled({"train": path}) as readable:
        writer.join()
        copy = readable["train"]
        assert copy.name == "a.tsv"
        assert copy.read_bytes() == b'text\tlabel\n5"\tx\n'
        assert read(copy) == [('5"', "x")]
    assert not copy.exists()


def test_the_copy_of_a_nameless_pipe_is_called_by_its_role(tmp_path: Path) -> None:
    out, into = os.pipe()
    _pour(into, b"text\na\n")
    path = write(tmp_path, "a.csv", "text\na\n")
    with spooled({"train": path, "test": Path(f"/dev/fd/{out}")}) as readable:
        assert readable["test"].name == "test"
        assert readable["train"] == path, "files are read where they are"
    os.close(out)


DELIMITED = {
    "semicolons, with commas in the texts": ("a.csv", "text;label\na, b;x\n", "a, b"),
    "tabs": ("a.csv", "text\tlabel\na, b\tx\n", "a, b"),
    "pipes": ("a.csv", "text|label\na, b; c|x\n", "a, b; c"),
    "commas, with semicolons in the texts": ("a.csv", "text,label\na; b,x\nc; d,x\n", "a; b"),
    "a delimiter in a quoted header": ("a.csv", '"text";"label, old";label\na;b;x\n', "a"),
    "commas in a .tsv": ("a.tsv", "text,label\na,x\n", "a"),
    "Excel's first line": ("a.csv", "sep=;\ntext;label\na;x\n", "a"),
    "Excel's first line with tabs": ("a.csv", "sep=\t\r\ntext\tlabel\r\na\tx\r\n", "a"),
    "an unusual delimiter named by the file": ("a.csv", "SEP=^\ntext^label\na^x\n", "a"),
    "comments": ("a.csv", "# exported, by me\n#\n\ntext,label\na,x\n", "a"),
    "a header that starts with #": ("a.csv", "#,text,label\n1,a,x\n", "a"),
    "a text that starts with #": ("a.csv", "text,label\n#a,x\n", "#a"),
    "a column without a name": ("a.csv", ",text,label\n0,a,x\n", "a"),
    "empty columns": ("a.csv", "label,text,,\nx,a,,\n", "a"),
    "empty cells in some rows": ("a.csv", "label,text\nx,a,,\nx,b\n", "a"),
    "empty columns in the header alone": ("a.csv", "label,text,,\nx,a\n", "a"),
    "blanks after commas": ("a.csv", 'label, text\nx, "a, ""b"""\n', 'a, "b"'),
    "blanks that are text": ("a.csv", "label,text\nx, a \n", " a "),
    "blank lines": ("a.csv", "\n\ntext,label\n\n  \na,x\n\n", "a"),
    "quoted line breaks": ("a.csv", 'text,label\n"a\r\nb\n\n""c""",x\n', 'a\r\nb\n\n"c"'),
    "inch marks": ("a.csv", 'text,label\n5" disk,x\n', '5" disk'),
    "NUL": ("a.csv", "text,label\na\0b,x\n", "a\0b"),
    "mixed line ends": ("a.csv", "label,text\r\nx,a\ny,b\r\n", "a"),
    "line ends of old Macs": ("a.csv", "label,text\rx,a\ry,b\r", "a"),
    "a lone carriage return": ("a.csv", 'text,label\na\rb,x\n"c\r",y\n', "a\rb"),
    "a missing value of pandas": ("a.csv", "text,label\nNA,x\n", "NA"),
    "a number with zeros": ("a.csv", "text,label\n007.50,x\n", "007.50"),
    "a long cell": ("a.csv", f"text,label\n{300_000 * 'a'},x\n", 300_000 * "a"),
    "one column of a TSV": ("a.tsv", 'text\na, "b" c\n', 'a, "b" c'),
    "TSV as pandas writes it": ("a.tsv", 'text\tlabel\n"a ""b"""\tx\n', 'a "b"'),
    "TSV with a quoted line break": ("a.tsv", 'text\tlabel\n"a\nb"\tx\n', "a\nb"),
    "TSV with a quoted tab": ("a.tsv", 'text\tlabel\n"a\tb"\tx\n', "a\tb"),
    "TSV with quoted cells and inch marks": ("a.tsv", 'label\ttext\nx\t5" "a"\ny\t"b"\n', '5" "a"'),
    "TSV with an open quote": ("a.tsv", 'text\tlabel\n"a\tx\nb\ty\n', '"a'),
    "TSV with two open quotes": ("a.tsv", 'text\tlabel\n"a\tx\n"b\ty\n', '"a'),
    "TSV with a quoted start": ("a.tsv", 'text\tlabel\n"a" b\tx\n"c"\ty\n', '"a" b'),
    "TSV with quotes rows apart": ("a.tsv", 'text\tlabel\n"a\tx\nb"\ty\n5" c\tx\n', '"a'),
    "TSV with quotes many rows apart": (
        "a.tsv",
        'text\tlabel\n"a\tx\n' + 50 * "b\tx\n" + 'c"\ty\n',
        '"a',
    ),
}


@pytest.mark.parametrize("kind", DELIMITED)
def test_tables_are_read_as_people_write_them(tmp_path: Path, kind: str) -> None:
    name, content, text = DELIMITED[kind]
    rows = read(write(tmp_path, name, content))
    assert rows[0] == (text, "x") if "label" in content else (text, None)


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ('"a\tx\nb\ty\n', 2),
        ('"a\tx\nb"\ty\n5" c\tx\n', 3),
        ('"a\tx\n' + 50 * "b\tx\n" + 'c"\ty\n', 52),
        ('"a\nb"\tx\n"c"\ty\n', 2),
    ],
)
def test_no_row_of_a_tsv_is_lost_in_quotes(tmp_path: Path, content: str, count: int) -> None:
    assert len(read(write(tmp_path, "a.tsv", "text\tlabel\n" + content))) == count


@pytest.mark.parametrize("rows", ['a\tx\n"b\ty\nc"\tz\n', 'a\tx\nb\t"y\nc\tz"\n'])
def test_a_tsv_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, rows: str) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\n" + rows)
    assert "lines 3 to 4 may be one row" in error(path)
    assert len(read(path.rename(tmp_path / "a.csv"))) == 2


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.csv", "b\n", "row 2 (line 3): 1 cell, but the header has 2 columns"),
        ("a.csv", "b,y,z\n", "row 2 (line 3): 3 cells, but the header has 2 columns"),
        ("a.csv", '"b\nc",y\nd,y,z\n', "row 3 (line 5): 3 cells"),
        ("a.csv", '"b,y\nc,d\n', "row 2 (line 3): a quoted cell is never closed"),
        ("a.csv", 'b,"y"z\n', "row 2 (line 3): a closing quote is followed by more text"),
        ("a.tsv", "b\n", "row 2 (line 3): 1 cell"),
        ("a.tsv", '"b\n', "row 2 (line 3): 1 cell"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, name: str, body: str, said: str) -> None:
    start = "text,label\na,x\n" if name == "a.csv" else "text\tlabel\na\tx\n"
    assert said in error(write(tmp_path, name, start + body))


def test_lines_are_counted_from_the_start_of_the_file(tmp_path: Path) -> None:
    content = "# exported\n\ntext,label\n\na,x\nb\n"
    assert "row 2 (line 6)" in error(write(tmp_path, "a.csv", content))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": ', "line 3: not valid JSON"),
        ("[1, 2]", "line 3: not a JSON object"),
        ("3", "line 3: not a JSON object"),
        (100_000 * "[", "line 3: not valid JSON (nested too deeply)"),
        ('{"text": "a"} {"text": "b"}', "line 3: not valid JSON"),
        ('{"text": "tab\there"}', "line 3: not valid JSON"),
    ],
)
def test_a_broken_line_of_json_is_named(tmp_path: Path, line: str, said: str) -> None:
    assert said in error(write(tmp_path, "a.jsonl", '{"text": "a"}\n \n' + line + "\n"))


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("", "line 2: not valid JSON (the file ends inside the array)"),
        (",", "line 2: not valid JSON (Expecting value)"),
        (",]", "line 2: not valid JSON (Expecting value)"),
        (' {"text": "c"}]', "line 2: not valid JSON (Expecting ']')"),
        (',\n{"text": "c]', "line 3: not valid JSON (Unterminated string"),
        (',\n{"text: "c"}]', "line 3: not valid JSON (Expecting ':' delimiter)"),
        (",\n3]", "row 3: not a JSON object"),
        ("," + 100_000 * "[", "line 2: not valid JSON (nested too deeply)"),
        ("]\n]", "line 3: not valid JSON (more text after the array)"),
    ],
)
def test_a_broken_array_is_named(tmp_path: Path, end: str, said: str) -> None:
    assert said in error(write(tmp_path, "a.json", '[{"text": "a"},\n{"text": "b"}' + end))


def test_a_json_array_is_read_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f'é "{n}" \n' + n % 7 * "long ", "label": n} for n in range(300)]
    path = write(tmp_path, "a.json", json.dumps(rows, indent=1))
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr("distillery.data.readers._CHUNK", size)
        assert read(path) == [(row["text"], str(row["label"])) for row in rows]


def test_json_numbers_are_texts_as_they_are_written(tmp_path: Path) -> None:
    long = 5000 * "1"
    lines = f'{{"text": 1.50}}\n{{"text": {long}}}\n{{"text": -1e9}}\n{{"text": true}}\n'
    path = write(tmp_path, "a.jsonl", lines)
    assert [text for text, _ in read(path)] == ["1.50", long, "-1e9", "true"]


def test_columns_of_json_may_differ_by_row(tmp_path: Path) -> None:
    """The first 1,000 objects tell the columns; one that is named may come later."""
    rows = [{"text": "a"}, {"label": "x", "text": "b"}, *({"text": str(n)} for n in range(1000))]
    path = write(
        tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in [*rows, {"mood": "late"}])
    )
    reading = read_examples(path, Columns())
    assert reading.names == ["text", "label"]
    assert [label for _, label in reading][:3] == [None, "x", None]
    reading = read_examples(path, Columns(label="mood"))
    assert reading.names == ["text", "label", "mood"]
    assert "choose from text, label" in error(path, label="never")


def test_parquet_reads_only_the_columns_that_are_used(tmp_path: Path) -> None:
    when = pa.array([10**15], pa.timestamp("s"))  # no Python date
    assert read(parquet(tmp_path / "a.parquet", when=when, text=["a"], label=["x"])) == AB[:1]


def test_parquet_gives_the_names_of_classes(tmp_path: Path) -> None:
    def hub(feature: object) -> Path:
        notes = json.dumps({"info": {"features": {"label": feature}}})
        table = pa.table({"text": ["a", "b", "c", "d"], "label": [1, 0, -1, None]})
        pq.write_table(
            table.replace_schema_metadata({"huggingface": notes}), tmp_path / "a.parquet"
        )
        return tmp_path / "a.parquet"

    names = ["bad", "good"]
    labels = [label for _, label in read(hub({"names": names, "_type": "ClassLabel"}))]
    assert labels == ["good", "bad", None, None]
    said = error(hub({"names": ["bad"], "_type": "ClassLabel"}))
    assert "column 'label' has the class 1, but names for 1 classes" in said
    for other in ({"dtype": "int64", "_type": "Value"}, {"names": 3, "_type": "ClassLabel"}, []):
        assert [label for _, label in read(hub(other))] == ["1", "0", "-1", None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([7, 19]), ["7", "19"]),
        (pa.array([0.1, 2.5], pa.float32()), ["0.1", "2.5"]),
        (pa.array([b"caf\xc3\xa9", b"b"]), ["café", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["1.50", "7"]).cast(pa.decimal128(5, 2)), ["1.50", "7.00"]),
    ],
)
def test_parquet_texts_of_other_types(tmp_path: Path, values: Any, expected: list[str]) -> None:
    path = parquet(tmp_path / "a.parquet", text=values)
    assert [text for text, _ in read(path)] == expected


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_parquet_is_refused(tmp_path: Path, share: float) -> None:
    path = parquet(tmp_path / "a.parquet", text=["a", "b"])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "cannot be read as Parquet" in error(path)


GZIP = gzip.compress(b"text,label\n" + b"".join(b"%d,x\n" % n for n in range(9)), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "is empty"),
        ("a.jsonl", "", "is empty"),
        ("a.parquet", "", "is empty"),
        ("a.csv.gz", "", "is empty"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.tsv", "text\tlabel", "has no rows"),
        ("a.csv", "\n\n", "has no rows"),
        ("a.csv", "# nothing\n", "has no rows"),
        ("a.jsonl", "\n\n", "has no rows"),
        ("a.json", "[ ]", "has no rows"),
        ("a.csv", b"text\ncaf\xe9\n", "is not UTF-8 (byte 8, line 2)"),
        ("a.jsonl", b'{"text": "caf\xe9"}', "is not UTF-8 (byte 13, line 1)"),
        ("a.csv", b"\xff\xfet\0e\0x\0t\0\n\0a", "is not UTF-16 (byte 12, line 2)"),
        ("a.txt", "text\na\n", "choose from .csv, .tsv, .json, .jsonl, .ndjson, .parquet"),
        ("a.txt.gz", GZIP, "unknown suffix '.txt': choose from .csv"),
        ("a.csv.gz", b"text,label\na,x\n", "is not gzip: its name should not end in .gz"),
        ("a.csv.gz", GZIP[:-9], "cannot be unpacked"),
        ("a.csv.gz", GZIP[:12], "cannot be unpacked"),
        ("a.csv.gz", GZIP[:-8] + b"\0" + GZIP[-7:], "cannot be unpacked"),
        ("a.csv.gz", GZIP + b"more", "cannot be unpacked"),
        ("a.parquet.gz", GZIP, "cannot be read as Parquet"),
        ("a.parquet.gz", GZIP[:-9], "cannot be unpacked"),
    ],
)
def test_an_unusable_file_is_named(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    assert said in error(write(tmp_path, name, content))


def test_a_bad_byte_is_found_in_a_large_file(tmp_path: Path) -> None:
    start = "text,label\n" + 20_000 * f"é {99 * 'and so on '},x\n"
    path = write(tmp_path, "a.csv", start.encode() + b"caf\xe9,x\n")
    place = f"byte {len(start.encode()) + 3}, line 20002"
    assert f"is not UTF-8 ({place})" in error(path)
    packed = write(tmp_path, "a.csv.gz", gzip.compress(path.read_bytes(), 1))
    assert place in error(packed)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in error(tmp_path / "a.csv")
    assert "does not exist" in error(write(tmp_path, "b.csv", "text\na\n") / "a.csv")
    assert "is a folder: name the file in it" in error(tmp_path)
    assert "cannot be read (File name too long)" in error(tmp_path / (300 * "a"))


def test_a_header_of_200_000_columns(tmp_path: Path) -> None:
    names, cells = [f"c{n}" for n in range(200_000)], 200_000 * "1,"
    content = f"{','.join(names)},{{}}\n{cells}a\n"
    assert read(write(tmp_path, "a.csv", content.format("text"))) == [("a", None)]
    said = error(write(tmp_path, "a.csv", content.format("more")))
    assert "c19 and 199981 more" in said
    assert len(said) < 300


def _many(rows: int) -> list[dict[str, object]]:
    return [{"text": f"{n} {60 * 'words, '}", "label": n % 2} for n in range(rows)]


def _csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label"], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def _lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _array(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text(json.dumps(rows))


def _parquet(path: Path, rows: list[dict[str, object]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, compression="none", use_dictionary=False)


@pytest.mark.parametrize(
    ("name", "save"),
    [("a.csv", _csv), ("a.tsv", _csv), ("a.jsonl", _lines), ("a.json", _array)]
    + [("a.parquet", _parquet)],
)
def test_memory_does_not_grow_with_rows(
    tmp_path: Path, name: str, save: Callable[[Path, list[dict[str, object]]], None]
) -> None:
    """Ten times the rows, which are 8 MB more text, take less than a megabyte more."""
    peaks = []
    for count in (2_000, 20_000):
        save(tmp_path / name, _many(count))
        read_examples(tmp_path / name, Columns())  # import and cache what is needed once
        tracemalloc.start()
        before, in_arrow, rows = pa.total_allocated_bytes(), 0, 0
        for _ in read_examples(tmp_path / name, Columns()):
            rows += 1
            if rows % 100 == 0:
                in_arrow = max(in_arrow, pa.total_allocated_bytes() - before)
        peaks.append(tracemalloc.get_traced_memory()[1] + in_arrow)
        tracemalloc.stop()
        assert rows == count
    assert peaks[1] < peaks[0] + 1_000_000


def test_stray_quotes_swallow_no_rows(tmp_path: Path) -> None:
    rows = [f"text {number},{'xy'[number % 2]}" for number in range(60)]
    rows[5], rows[50] = '"an unclosed quote,x', 'a screen of 12",y'
    path = tmp_path / "stray.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    with pytest.raises(
        UserError, match=r"\(line 7\): the lines up to 52 look like rows inside one"
    ):
        list(read_examples(path, USUAL))


def test_a_long_quoted_text_is_one_row(tmp_path: Path) -> None:
    poem = "\n".join(["a line, with a comma", "and one without"] * 20)
    path = tmp_path / "poem.csv"
    path.write_text(f'text,label\n"{poem}",x\nb,y\n')
    assert [example.text for example, _ in read_examples(path, USUAL)] == [poem, "b"]
