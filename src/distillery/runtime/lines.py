"""Lines of text as they come: each batch holds what is waiting, so no line waits for the next."""

import os
import select
from collections.abc import Iterator

from distillery.errors import UserError

CHUNK = 1024  # lines of a batch at most
_READ = 1 << 16  # bytes read at once


def batches(descriptor: int, name: str) -> Iterator[list[str]]:
    """Lines of an open file, pipe or terminal, without their line ends, in lists of 1 to `CHUNK`.

    A list holds the lines that can be read without waiting. name: of the file, for errors.
    UserError, after the lines before it, for one that is not UTF-8.
    """
    lines = _decoded(_raw(descriptor), name)
    batch: list[str] = []
    try:
        for line in lines:
            if line is not None:
                batch.append(line)
            if batch and (line is None or len(batch) == CHUNK):
                yield batch
                batch = []
    except UserError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _raw(descriptor: int) -> Iterator[bytes | None]:
    """Lines with their ends; None where reading on would wait."""
    parts: list[bytes] = []  # of a line that has not ended yet
    while True:
        if not select.select([descriptor], [], [], 0)[0]:
            yield None
        read = os.read(descriptor, _READ)
        if not read:
            break
        first, *others = read.split(b"\n")
        parts.append(first)
        for other in others:
            yield b"".join(parts) + b"\n"
            parts = [other]
    if last := b"".join(parts):
        yield last


def _decoded(lines: Iterator[bytes | None], name: str) -> Iterator[str | None]:
    """The texts of the lines. A byte order mark in front of the first one is left out."""
    position = 0  # of the line's first byte
    number = 0
    for line in lines:
        if line is None:
            yield None
            continue
        number += 1
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f"byte {position + error.start}, in line {number}"
            raise UserError(f"{name} is not UTF-8 ({where}): convert it first") from None
        if not position:
            text = text.removeprefix("\ufeff")
        position += len(line)
        yield text.removesuffix("\n").removesuffix("\r")
