"""Lines in and out: texts as they come, and an answer to each."""

import json
import os
import re
import select
from collections.abc import Iterator

from distillery.errors import UserError
from distillery.kinds.base import Answer

FORMATS = ("text", "jsonl")
CHUNK = 1024  # lines of a batch at most
_READ = 1 << 16  # bytes read at once
# What would break a line or a column, or cannot be written as UTF-8.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def escaped(text: str) -> str:
    r"""The text on one line without tabs: control characters as `\t`, `\n`, `\x0b`."""
    return _BREAKS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def answer_line(row: tuple[str, ...], answer: Answer, layout: str, top: int | None = None) -> str:
    """An answer as one line, without its end.

    row: the text, or the two texts of a pair. layout: one of `FORMATS`. top: how many labels, the
    most probable first [text: 1, jsonl: all].
    """
    if layout == "text":
        return "\t".join(map(escaped, [*answer.columns(top), *row]))
    texts = dict(zip(("text", "text_pair"), row, strict=False))
    return json.dumps({**answer.as_dict(top), **texts}, ensure_ascii=False)


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
