"""Using a saved model: an answer to each text, as soon as the text is read."""

import gc
import itertools
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from distillery.errors import UserError
from distillery.runtime import lines
from distillery.runtime.facts import ONNX
from distillery.runtime.predictor import OnnxPredictor, Predictor

Row = tuple[str, ...]  # (text,) or (text, text_pair)


def run_command(arguments: Namespace) -> None:
    run(arguments.model, arguments.text, arguments.file, arguments.format, arguments.top_k)


def run(
    folder: Path, texts: list[str], file: Path | None, layout: str = "text", top: int | None = None
) -> None:
    """Prints a line per text or pair; `layout` and `top` are those of `lines.answer_line`.

    Without `texts` and `file`, standard input is read, a text per line.
    """
    if texts and file:
        raise UserError("give texts or --file, not both")
    if top is not None and top < 1:
        raise UserError(f"--top-k {top} is impossible: 1 or more")
    if sys.stdout is None:
        raise UserError("standard output is closed")
    with ExitStack() as stack:
        descriptor = 0 if texts else _open(file, stack)
        model = load(folder)
        if top is not None and len(model.names) == 1:
            raise UserError(f"--top-k {top} is impossible: the model has a single output")
        rows = [_pair_up(texts, model.pairs)] if texts else _read(descriptor, file, model.pairs)
        for batch in rows:
            first, *second = (list(column) for column in zip(*batch, strict=True))
            answers = model.answers(first, second[0] if second else None)
            for row, answer in zip(batch, answers, strict=True):
                print(lines.answer_line(row, answer, layout, top))
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


def _read(descriptor: int, file: Path | None, pairs: bool) -> Iterator[list[Row]]:
    """The rows of a file as they come; UserError, after the rows before it, for a bad line."""
    numbers = itertools.count(1)
    for batch in lines.batches(descriptor, str(file or "standard input")):
        rows: list[Row] = []
        for line, number in zip(batch, numbers, strict=False):
            row = tuple(line.split("\t")) if pairs else (line,)
            if len(row) != 1 + pairs:
                if rows:
                    yield rows
                raise UserError(
                    f"line {number}: the model reads pairs, two texts separated by one tab"
                )
            rows.append(row)
        yield rows
