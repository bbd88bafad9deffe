"""Word vectors: what is read, and what is refused."""

import gzip
from pathlib import Path

import pytest

from distillery.errors import UserError
from distillery.text import vectors

LINES = "the 1 2 3\nfilm -1 0.5 2e-3\nthe 9 9 9\nunknown 0 0 0\n"
WORDS = {"the": 4, "film": 7, "absent": 1}


@pytest.mark.parametrize("header", ["", "4 3\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_vectors_of_known_words_are_read(tmp_path: Path, header: str, packed: bool) -> None:
    path = tmp_path / ("v.txt.gz" if packed else "v.txt")
    data = (header + LINES).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    found = vectors.read(path, WORDS)
    assert set(found) == {4, 7}
    assert found[4].tolist() == [1, 2, 3]
    assert found[7] == pytest.approx([-1, 0.5, 0.002])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the 1 2\nfilm 1 2 3\n", "line 2: 3 numbers, 2 before"),
        ("the 1 x\n", "line 1: not a word and 2 numbers"),
        ("the 1 inf\n", "line 1: a number that is not finite"),
        ("other 1 2\n", "no vector for any word"),
        ("", "no vector for any word"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        vectors.read(path, WORDS)


def test_missing_truncated_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no word vectors in"):
        vectors.read(tmp_path / "none.txt", WORDS)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(LINES.encode() * 99)[:-30])
    (tmp_path / "damaged.gz").write_bytes(gzip.compress(b"x" * 9999)[:12] + b"\xff" * 40)
    (tmp_path / "plain.gz").write_bytes(b"the 1 2 3")
    for name in ("cut.gz", "damaged.gz", "plain.gz"):
        with pytest.raises(UserError, match="is it whole"):
            vectors.read(tmp_path / name, WORDS)
    (tmp_path / "binary.txt").write_bytes(b"the 1 2\n\xff\xfe 1 2\n")
    with pytest.raises(UserError, match="no text in UTF-8"):
        vectors.read(tmp_path / "binary.txt", WORDS)
