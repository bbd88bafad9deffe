"""Using a saved model: an answer to each text, as soon as the text is read."""

import gc
import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from distillery.errors import UserError
from distillery.kinds.base import Answer
from distillery.runtime.facts import ONNX
from distillery.runtime.predictor import OnnxPredictor, Predictor

Row = tuple[str, ...]  # (text,) or (text, text_pair)
FORMATS = ("text", "jsonl")
CHUNK = 1024  # lines of a batch at most
_READ = 1 << 20  # bytes read at once
# What would break a line or a column, or cannot be written as UTF-8.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def run(arguments: Namespace) -> None:
    """Prints a line per text or pair.

    Without texts and `--file`, standard input is read, a text per line.
    """
    texts, file, top = arguments.text, arguments.file, arguments.top_k
    if texts and file:
        raise UserError("give texts or --file, not both")
    if top is not None and top < 1:
        raise UserError(f"--top-k {top} is impossible: 1 or more")
    if sys.stdout is None:
        raise UserError("standard output is closed")
    with ExitStack() as stack:
        descriptor = 0 if texts else _open(file, stack)
        model = load(arguments.model)
        if top is not None and len(model.names) == 1:
            raise UserError(f"--top-k {top} is impossible: the model has a single output")
        name = str(file or "standard input")
        rows = _pair_up(texts, model.pairs) if texts else []
        for batch in [rows] if texts else batches(descriptor, name, model.pairs):
            first, *second = (list(column) for column in zip(*batch, strict=True))
            answers = model.answers(first, second[0] if second else None)
            for row, answer in zip(batch, answers, strict=True):
                print(answer_line(row, answer, arguments.format, top))
            sys.stdout.flush()


def load(folder: Path) -> Predictor:
    """The model in a folder; PyTorch is imported only if it is not an exported one."""
    if (folder / ONNX).is_file():
        return OnnxPredictor(folder)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    gc.disable()  # importing makes no garbage, and looking for it takes a sixth of the time
    try:
        from distillery.models.saved import TorchPredictor
    finally:
        gc.enable()
    return TorchPredictor(folder)


def _open(file: Path | None, stack: ExitStack) -> int:
    """The descriptor of the file, or of standard input."""
    if file:
        return stack.enter_context(file.open("rb", buffering=0)).fileno()
    if sys.stdin is None:
        raise UserError("standard input is closed: give texts, or --file")
    if sys.stdin.isatty():
        print("reading texts from the terminal, one per line; Ctrl-D ends", file=sys.stderr)
    return sys.stdin.fileno()


def _pair_up(texts: list[str], pairs: bool) -> list[Row]:
    if pairs and len(texts) % 2:
        raise UserError(f"the model reads pairs of texts: give an even number, not {len(texts)}")
    return list(zip(texts[::2], texts[1::2], strict=True)) if pairs else [(t,) for t in texts]


def escaped(text: str) -> str:
    r"""The text on one line without tabs: control characters as `\t`, `\n`, `\x0b`."""
    return _BREAKS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def answer_line(row: Row, answer: Answer, layout: str, top: int | None = None) -> str:
    """An answer as one line, without its end.

    row: the text, or the two texts of a pair. layout: one of `FORMATS`. top: how many labels, the
    most probable first [text: 1, jsonl: all].
    """
    if layout == "text":
        return "\t".join(map(escaped, [*answer.columns(top), *row]))
    texts = dict(zip(("text", "text_pair"), row, strict=False))
    return json.dumps({**answer.as_dict(top), **texts}, ensure_ascii=False)


def batches(descriptor: int, name: str, pairs: bool = False) -> Iterator[list[Row]]:
    """The rows of an open file, pipe or terminal, a line each, in lists of 1 to `CHUNK`.

    A list holds lines that one read gives, so that none waits for the next. name: of the file, for
    errors. UserError, after the rows before it, for a line that is not UTF-8 or no pair. A byte
    order mark in front of the first one is left out.
    """
    number, position = 0, 0  # of the line, of its first byte
    for lines in _raw(descriptor):
        batch: list[Row] = []
        try:
            for line in lines:
                number += 1
                try:
                    text = line.decode().removesuffix("\r")
                except UnicodeDecodeError as error:
                    where = f"byte {position + error.start}, in line {number}"
                    raise UserError(f"{name} is not UTF-8 ({where}): convert it first") from None
                text = text if position else text.removeprefix("\ufeff")
                row = tuple(text.split("\t")) if pairs else (text,)
                if len(row) != 1 + pairs:
                    what = "the model reads pairs, two texts separated by one tab"
                    raise UserError(f"line {number}: {what}")
                batch.append(row)
                position += len(line) + 1
        except UserError:
            if batch:
                yield batch
            raise
        yield batch


def _raw(descriptor: int) -> Iterator[list[bytes]]:
    """Whole lines without their ends, 1 to `CHUNK` at once."""
    parts: list[bytes] = []  # of a line that has not ended yet
    while read := os.read(descriptor, _READ):
        parts.append(read)
        if b"\n" in read:
            *lines, last = b"".join(parts).split(b"\n")
            parts = [last]
            for start in range(0, len(lines), CHUNK):
                yield lines[start : start + CHUNK]
    if last := b"".join(parts):
        yield [last]
