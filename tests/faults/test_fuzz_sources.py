"""Readers of a user's data, on thousands of damaged files: a right answer or a UserError.

A hundred examples each in the suite, always the same; `make test-fuzz` draws 10,000 new ones.
"""

import csv
import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, reject
from hypothesis import strategies as st

from distillery.data import sources, user_files
from distillery.data.inputs import Columns
from distillery.data.task import Example, Task
from distillery.data.user_files import label_text
from distillery.kinds import CLASSIFICATION
from distillery.kinds.classification import plain_label
from distillery.recipes import DataRecipe
from distillery.tasks import imdb
from distillery.text import vectors
from tests.faults.mutations import answer, astray, mutated
from tests.splitting import make

RECIPE = DataRecipe(dev_rows=2)
ROWS = [{"text": f"a {word} film", "label": "xy"[n % 2]} for n, word in enumerate("abcdefgh")]
Rows = list[tuple[Example, str | None]]
# What a writer of tables has to quote, and what a reader may take for something else.
PIECES = (
    *(",", ";", "\t", "|", '"', '""', "\n", "\r", "\r\n", "\0", " ", "#", "sep=;", "\\", "\ufeff"),
    *("NA", "nan", "null", "None", "1.0", "007", "text", "label", "\u2028", "\x85", "\x1c", "é"),
    *("{", "}", "[", "]", "'", "a", "b"),
)
WRITTEN_TEXT = st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=6).map(
    "".join
)
PLAIN_TEXT = st.lists(st.sampled_from(("a", "b", '"', '""', " ", ",")), max_size=5).map("".join)


def read_user_file(path: Path) -> None:
    """Stage 1 on a file of the user's, up to what is written: a right answer or one line."""

    def read() -> tuple[Rows, Counter[str], tuple[str, ...]]:
        reading = user_files.read_examples(path, Columns())
        rows = list(reading)
        labels = CLASSIFICATION.label_reader({"train": path.name}, None)
        for example, label in rows:
            if label is not None:
                labels.read("train", example.row, label)
        return rows, reading.dropped, labels.names()

    found = answer(read)
    if found is None:
        return
    rows, dropped, order = found
    places = [example.row for example, _ in rows]
    assert places == sorted(set(places))
    assert max(places, default=-1) < len(rows) + dropped.total()
    for example, label in rows:
        assert example.text.strip()
        assert label is None or plain_label(label) in order
    numbered = [
        example._replace(label=order.index(plain_label(label)))
        for example, label in rows
        if label is not None
    ]
    made = answer(lambda: make({"train": numbered}, RECIPE, order))
    if made:
        kept = [row for split in made[0].values() for row in split]
        assert len(kept) + sum(made[1].values()) == len(numbered)
        assert {(row.row, row.text) for row in kept} <= {(e.row, e.text) for e in numbered}


def read_back(path: Path, rows: list[tuple[str, str]]) -> None:
    """The rows come back as they were written: each text byte for byte or counted as dropped."""
    reading = user_files.read_examples(path, Columns())
    expected = [
        (number, text, label_text(label))
        for number, (text, label) in enumerate(rows)
        if text.strip()
    ]
    assert [(example.row, example.text, label) for example, label in reading] == expected
    assert len(expected) + reading.dropped.total() == len(rows)


def delimited(delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["text", "label"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
ARRAY = json.dumps(ROWS, indent=1).encode()


@given(
    content=mutated(
        [delimited(","), b'text,label\n"a ""b"", c\nd",x\n', b"\xef\xbb\xbf" + delimited(",")]
    )
)
def test_csv(place: Path, content: bytes) -> None:
    path = place / "a.csv"
    path.write_bytes(content)
    read_user_file(path)


@given(content=mutated([delimited("\t"), b'text\tlabel\n"a\tx\nb"\ty\n']))
def test_tsv(place: Path, content: bytes) -> None:
    path = place / "a.tsv"
    path.write_bytes(content)
    read_user_file(path)


@given(content=mutated([LINES, b'{"sentence1": "a", "sentence2": "b", "stars": 4.0}\n' * 2]))
def test_jsonl(place: Path, content: bytes) -> None:
    path = place / "a.jsonl"
    path.write_bytes(content)
    read_user_file(path)


@given(lines=st.lists(astray(ROWS[0]), min_size=1, max_size=5))
def test_jsonl_of_other_values(place: Path, lines: list[bytes]) -> None:
    path = place / "a.jsonl"
    path.write_bytes(b"\n".join([*lines, LINES]))
    read_user_file(path)


@given(content=mutated([ARRAY, b'[{"text": "a\\n", "label": 1.0}, {"text": "b", "label": 0}]']))
def test_json_array(place: Path, content: bytes) -> None:
    path = place / "a.json"
    path.write_bytes(content)
    read_user_file(path)


@given(values=st.lists(astray(ROWS[0]), max_size=5))
def test_json_array_of_other_values(place: Path, values: list[bytes]) -> None:
    path = place / "a.json"
    path.write_bytes(b"[" + b",\n".join([*values, LINES.split(b"\n")[0]]) + b"]")
    read_user_file(path)


@given(
    content=mutated([gzip.compress(text, mtime=0) for text in (delimited(","), LINES, ARRAY)]),
    suffix=st.sampled_from(("csv.gz", "tsv.gz", "jsonl.gz", "json.gz", "parquet.gz", "csv")),
)
def test_gzip(place: Path, content: bytes, suffix: str) -> None:
    path = place / f"a.{suffix}"
    path.write_bytes(content)
    read_user_file(path)


@given(
    content=mutated(
        [
            *(delimited(char) for char in ";|\t"),
            b"sep=;\r\ntext;label\r\na;x\r\nb;y\r\n",
            b"# made by me\ntext, label\na, x\nb, y\n",
            b",text,label,,\n0,a,x,,\n1,b,y,,\n",
            delimited("\t").decode().encode("utf-16"),
            *(LINES, ARRAY),
        ]
    ),
    name=st.sampled_from(("a.csv", "a.tsv", "stdin")),
)
def test_tables_of_other_kinds(place: Path, content: bytes, name: str) -> None:
    path = place / name
    path.write_bytes(content)
    read_user_file(path)


WRITTEN = st.lists(st.tuples(WRITTEN_TEXT, WRITTEN_TEXT), min_size=1, max_size=6)


@given(
    rows=WRITTEN,
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)),
    line_end=st.sampled_from(("\n", "\r\n")),
    encoding=st.sampled_from(("utf-8", "utf-8-sig", "utf-16")),
    more=st.booleans(),
    packed=st.booleans(),
)
def test_csv_is_read_as_written(
    place: Path,
    rows: list[tuple[str, str]],
    delimiter: str,
    quoting: Any,
    line_end: str,
    encoding: str,
    more: bool,
    packed: bool,
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    head, tail = (["0"], ["", ""]) if more else ([], [])  # an index and empty columns at the end
    writer.writerow([*("" for _ in head), "text", "label", *tail])
    writer.writerows([*head, *row, *tail] for row in rows)
    content = text.getvalue().encode(encoding)
    path = place / f"written.csv{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    read_back(path, rows)


@given(
    rows=WRITTEN,
    name=st.sampled_from(("written.tsv", "written")),
    line_end=st.sampled_from(("\n", "\r\n")),
)
def test_tsv_is_read_as_pandas_writes_it(
    place: Path, rows: list[tuple[str, str]], name: str, line_end: str
) -> None:
    """Or refused, where other rows written without quotes would give the same file."""
    path = place / name
    frame = pd.DataFrame(rows, columns=["text", "label"], dtype=object)
    frame.to_csv(path, sep="\t", index=False, lineterminator=line_end)
    if answer(lambda: list(user_files.read_examples(path, Columns())) or True) is not None:
        read_back(path, rows)
    else:
        assert any("\n" in cell or "\r" in cell for row in rows for cell in row)


@given(rows=st.lists(st.tuples(PLAIN_TEXT, PLAIN_TEXT), min_size=1, max_size=6))
def test_no_row_of_a_tsv_without_quoting_is_lost(place: Path, rows: list[tuple[str, str]]) -> None:
    """Cells between tabs, whatever quotes are in them; at most quotes around a cell are removed."""
    path = place / "written.tsv"
    lines = ["text\tlabel", *map("\t".join, rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    reading = answer(lambda: user_files.read_examples(path, Columns()))
    if reading is None:  # a pair of quotes in two rows may be around a cell with a line break
        assert sum(cell.count('"') for row in rows for cell in row) > 1
        return
    texts = {example.row: example.text for example, _ in reading}
    assert len(texts) + reading.dropped.total() == len(rows)
    for number, (text, _) in enumerate(rows):
        quoted = text[:1] == '"' == text[-1:] and text[1:-1].replace('""', '"')
        assert texts.get(number, "").strip() in (text.strip(), str(quoted).strip())


@given(rows=WRITTEN, kind=st.sampled_from(("lines", "array", "indented", "pandas")))
def test_json_is_read_as_written(place: Path, rows: list[tuple[str, str]], kind: str) -> None:
    objects = [{"text": text, "label": label} for text, label in rows]
    path = place / "written.json"
    if kind == "pandas":
        pd.DataFrame(objects, dtype=object).to_json(path, orient="records", force_ascii=False)
    elif kind == "lines":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects))
    else:
        path.write_text(json.dumps(objects, indent=1 if kind == "indented" else None))
    read_back(path, rows)


@given(rows=WRITTEN, packed=st.booleans(), codec=st.sampled_from(("none", "zstd")))
def test_parquet_is_read_as_written(
    place: Path, rows: list[tuple[str, str]], packed: bool, codec: str
) -> None:
    content = parquet(codec, text=[text for text, _ in rows], label=[label for _, label in rows])
    path = place / f"written.parquet{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    read_back(path, rows)


def parquet(codec: str, **columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression=codec)
    return file.getvalue()


TEXTS, LABELS = [row["text"] for row in ROWS], [row["label"] for row in ROWS]
PARQUET = [
    *(parquet(codec, text=TEXTS, label=LABELS) for codec in ("none", "zstd", "snappy", "gzip")),
    parquet("none", text=pa.array(TEXTS).dictionary_encode(), label=[0.0, 1.0, None, 2.0] * 2),
    parquet("none", sentence1=TEXTS, sentence2=TEXTS, label=[[1], [2], None, []] * 2),
]


@given(content=mutated(PARQUET))
def test_parquet(place: Path, content: bytes) -> None:
    path = place / "a.parquet"
    path.write_bytes(content)
    read_user_file(path)


KINDS = (
    *(pa.string(), pa.large_string(), pa.binary(), pa.int8(), pa.uint64(), pa.float32()),
    *(pa.bool_(), pa.timestamp("ns"), pa.timestamp("s", "Mars"), pa.date64(), pa.time32("s")),
    *(pa.decimal128(9, 2), pa.list_(pa.int8()), pa.null(), pa.duration("s")),
    pa.struct([("a", pa.int8())]),
)


@given(st.data())
def test_parquet_of_any_kind(place: Path, data: st.DataObject) -> None:
    path = place / "a.parquet"
    names = st.sampled_from(("text", "label", "sentence1", "sentence2", "\n", "Text"))
    columns = {}
    for name in data.draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        kind = data.draw(st.sampled_from(KINDS))
        raw = data.draw(st.binary(min_size=64, max_size=64))
        if kind == pa.string():
            columns[name] = pa.array(TEXTS[:4])
        elif pa.types.is_primitive(kind) and not pa.types.is_boolean(kind):
            columns[name] = pa.Array.from_buffers(kind, 4, [None, pa.py_buffer(raw)])
        else:
            columns[name] = pa.nulls(4, kind)
    try:
        pq.write_table(pa.table(columns), path)
    except pa.ArrowInvalid:  # no Parquet holds such a time
        reject()
    read_user_file(path)


FILMS = Task(
    name="films",
    labels=("negative", "positive"),
    parse=imdb.parse,
    top_folder="aclImdb",
    counts={"train": (1, 1), "test": (1, 1), "unlabeled": (1,)},
)
REVIEWS = {
    f"{split}/{label}/0_7.txt": f"{split} {label} ça".encode()
    for split, label in (
        *(("train", "neg"), ("train", "pos"), ("train", "unsup")),
        *(("test", "neg"), ("test", "pos")),
    )
}


def archive(mode: str, kind: int = tarfile.PAX_FORMAT, **odd: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=kind) as tar:  # type: ignore[call-overload]
        for name, content in REVIEWS.items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(content)
            member.pax_headers = odd
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def sparse() -> bytes:
    """An archive whose member claims, as GNU's sparse files do, to be larger than it is."""
    return archive("w", **{"GNU.sparse.map": "0,2,9,3", "GNU.sparse.size": "99"})


ARCHIVES = [
    *(archive(mode) for mode in ("w", "w:gz", "w:bz2", "w:xz")),
    *(archive("w", kind) for kind in (tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)),
    archive("w", comment="x" * 20, mtime="1.5"),
    sparse(),
]


def read_archive(path: Path) -> None:
    found = answer(lambda: sources.read(FILMS, path))
    if found and answer(lambda: sources.check(FILMS, found[0]) or True):
        assert {name: len(rows) for name, rows in found[0].items()} == {
            "train": 2,
            "test": 2,
            "unlabeled": 1,
        }
        answer(lambda: make(found[0], RECIPE))


@given(content=mutated(ARCHIVES))
def test_archive(place: Path, content: bytes) -> None:
    path = place / "films.tar"
    path.write_bytes(content)
    read_archive(path)


@given(
    members=st.lists(
        st.tuples(
            st.sampled_from((*REVIEWS, "", "/", "..", "a/../b", "aclImdb", "\udcff")),
            st.sampled_from((b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"x", b"L")),
            st.binary(max_size=20),
        ),
        max_size=6,
    )
)
def test_archive_of_any_members(place: Path, members: list[tuple[str, bytes, bytes]]) -> None:
    path = place / "films.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.type, member.size, member.linkname = kind, len(content), "x"
            tar.addfile(member, io.BytesIO(content))
    read_archive(path)


VECTORS = [b"3 2\nbad 0.5 -1\ngood 1e-3 2\nfilm 0 0\n", b"good 1 2 3\nbad 4 5 6\n"]


@given(
    content=mutated([*VECTORS, *(gzip.compress(text, mtime=0) for text in VECTORS)]),
    suffix=st.sampled_from(("txt", "gz")),
)
def test_word_vectors(place: Path, content: bytes, suffix: str) -> None:
    path = place / f"vectors.{suffix}"
    path.write_bytes(content)
    found = answer(lambda: vectors.read(path, {"bad": 0, "good": 1, "film": 2}))
    if found:
        assert len({vector.shape for vector in found.values()}) == 1
        assert all(np.isfinite(vector).all() for vector in found.values())
