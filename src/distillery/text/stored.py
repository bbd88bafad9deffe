"""Word pieces in a file, of which only what is asked for is in memory."""

import os
import weakref
from pathlib import Path

import numpy as np

from distillery.errors import UserError


class Stored:
    """The (P,) int32 in a file; a slice is read from it.

    Not memory-mapped: of a mapping every page that was ever read counts as this process's, so that
    its memory grows with the rows it has seen, though the system may take them back.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.file)
        self.count = os.fstat(self.file).st_size // 4

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, where: slice) -> np.ndarray:
        start, stop, _ = where.indices(self.count)
        found = np.empty(max(0, stop - start), np.int32)
        left, place = found.view(np.uint8).data, 4 * start
        while left:  # the system reads 2 GiB at most at once
            read = os.preadv(self.file, [left], place)
            if not read:
                raise UserError(f"{self.path} became shorter while it was read: run this again")
            left, place = left[read:], place + read
        return found
