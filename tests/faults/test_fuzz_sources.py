"""Readers of a user's data, on thousands of damaged files: a right answer or a UserError.

A hundred examples each in the suite, always the same; `make test-fuzz` draws 10,000 new ones.
"""

import csv
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, reject
from hypothesis import strategies as st

from distillery.preprocessing import sources, splits, user_files
from distillery.preprocessing.task import Task
from distillery.preprocessing.user_files import Columns
from distillery.recipes import DataRecipe
from distillery.tasks import imdb
from distillery.text import vectors
from tests.faults.mutations import answer, astray, mutated

RECIPE = DataRecipe(dev_rows=2)
ROWS = [{"text": f"a {word} film", "label": "xy"[n % 2]} for n, word in enumerate("abcdefgh")]
ANY_TEXT = st.text(max_size=12) | st.sampled_from(("", " ", "\ud800", "\0", "a,b", 'a"b', "a\r\nb"))


def read_user_file(path: Path) -> None:
    """Stage 1 on a file of the user's, up to what is written."""

    def read() -> tuple[user_files.Labelled, tuple[str, ...]]:
        examples = user_files.read_examples(path, Columns())
        labels = {label for _, label in examples if label is not None}
        return examples, user_files.label_order(labels, None, path.name)

    found = answer(read)
    if found is None:
        return
    examples, order = found
    for number, (example, label) in enumerate(examples):
        assert example.row == number
        assert example.text.strip()
        assert label is None or label in order
    numbered = [
        example._replace(label=order.index(label))
        for example, label in examples
        if label is not None
    ]
    made = answer(lambda: splits.make({"train": numbered}, RECIPE))
    if made:
        for rows in made[0].values():
            for row in rows:
                f"{row.text}{row.text_pair}".encode()


def delimited(delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["text", "label"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


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


@given(rows=st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=5))
def test_csv_is_read_as_written(place: Path, rows: list[tuple[str, str]]) -> None:
    path = place / "a.csv"
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    found = answer(lambda: user_files.read_rows(path))
    if found is not None:
        assert [(row["text"], row["label"]) for row in found] == rows
    else:
        assert any("\ud800" <= letter <= "\udfff" for row in rows for letter in "".join(row))


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
        answer(lambda: splits.make(found[0], RECIPE))


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
