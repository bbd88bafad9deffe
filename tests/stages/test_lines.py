"""Lines as they come: what waits is one batch, and nothing waits for more."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import UserError
from distillery.stages import predict


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def _read(content: bytes, place: Path) -> list[str]:
    path = place / "lines"
    path.write_bytes(content)
    with path.open("rb", buffering=0) as file:
        return [line for batch in predict.batches(file.fileno(), "lines") for (line,) in batch]


def test_a_line_is_given_before_the_next_one_is_written(pipe: tuple[int, int]) -> None:
    source, sink = pipe
    batches = predict.batches(source, "pipe")
    os.write(sink, b"one\n")
    assert next(batches) == [("one",)]
    os.write(sink, b"two\nthree\nfo")
    assert next(batches) == [("two",), ("three",)]
    os.write(sink, b"ur\n")
    assert next(batches) == [("four",)]
    os.write(sink, b"no line end")
    os.close(sink)
    assert next(batches) == [("no line end",)]
    assert next(batches, None) is None


def test_lines_that_wait_are_one_batch_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_text("x\n" * (2 * predict.CHUNK + 1))
    with path.open("rb") as file:
        sizes = [len(batch) for batch in predict.batches(file.fileno(), "many")]
    assert sizes == [predict.CHUNK, predict.CHUNK, 1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\n\nb", ["a", "", "b"]),
        (b"a\r\n b \r\n", ["a", " b "]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("a\u2028b\x0bc\x85d\re\n".encode(), ["a\u2028b\x0bc\x85d\re"]),
        (b"a" * 200_000 + b"\nb\n", ["a" * 200_000, "b"]),
    ],
)
def test_a_line_ends_where_files_have_it(
    tmp_path: Path, content: bytes, expected: list[str]
) -> None:
    assert _read(content, tmp_path) == expected


@given(texts=st.lists(st.text().map(lambda text: text.replace("\n", "").strip("\r\ufeff"))))
def test_every_line_comes_as_it_is(texts: list[str]) -> None:
    source, sink = os.pipe()

    def write() -> None:
        with os.fdopen(sink, "wb") as file:
            file.writelines(f"{text}\n".encode() for text in texts)

    writer = threading.Thread(target=write)
    writer.start()
    found = [line for batch in predict.batches(source, "pipe") for (line,) in batch]
    writer.join()
    os.close(source)
    assert found == texts


def test_a_byte_that_is_not_utf8_is_named_after_the_lines_before_it(tmp_path: Path) -> None:
    path = tmp_path / "latin1"
    before = "gut\n" * 5000
    path.write_bytes(f"{before}très ".encode() + "très\n".encode("latin1"))
    found = []
    with path.open("rb") as file, pytest.raises(UserError) as error:
        for batch in predict.batches(file.fileno(), "latin1"):
            found += batch
    assert found == [("gut",)] * 5000
    assert "latin1 is not UTF-8 (byte 20008, in line 5001)" in str(error.value)
