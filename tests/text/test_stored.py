"""Word pieces in a file: slices as of an array, memory that does not grow with what was read."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from distillery.errors import UserError
from distillery.text.stored import Stored


def stored(tmp_path: Path, count: int) -> Stored:
    np.arange(count, dtype=np.int32).tofile(tmp_path / "pieces.int32")
    return Stored(tmp_path / "pieces.int32")


def test_slices_are_those_of_an_array(tmp_path: Path) -> None:
    found, expected = stored(tmp_path, 10), np.arange(10, dtype=np.int32)
    assert len(found) == 10
    for where in (slice(2, 5), slice(None), slice(8, 99), slice(-3, None), slice(4, 4)):
        assert found[where].dtype == np.int32
        assert np.array_equal(found[where], expected[where]), where


def test_a_file_without_pieces_is_empty(tmp_path: Path) -> None:
    assert stored(tmp_path, 0)[:].tolist() == []


def test_a_file_that_became_shorter_is_named(tmp_path: Path) -> None:
    found = stored(tmp_path, 10)
    os.truncate(tmp_path / "pieces.int32", 8)
    assert found[0:2].tolist() == [0, 1]
    with pytest.raises(UserError, match=r"pieces.int32 became shorter"):
        found[0:5]


def test_what_was_read_stays_out_of_memory(tmp_path: Path) -> None:
    """32 MB are read; of a mapping they would all count as this process's."""

    def in_memory() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    found = stored(tmp_path, 8_000_000)
    gc.collect()
    before = in_memory()
    for start in range(0, len(found), 1000):
        assert found[start : start + 1000][-1] == start + 999
    assert in_memory() - before < 8e6


def test_the_file_is_closed_with_its_reader(tmp_path: Path) -> None:
    found = stored(tmp_path, 3)
    number = found.file
    del found
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
