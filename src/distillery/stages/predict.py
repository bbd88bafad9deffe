"""Using a saved model: label and probability of texts."""

import gc
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from distillery.errors import UserError
from distillery.runtime import answers, lines
from distillery.runtime.classifier import Classifier, OnnxClassifier
from distillery.runtime.facts import ONNX

Row = tuple[str, ...]  # (text,) or (text, text_pair)


def run(
    folder: Path, texts: list[str], file: Path | None, layout: str = "text", top: int | None = None
) -> None:
    """Prints a line per text or pair as soon as it is read; arguments as of `answers.line`.

    Without `texts` and `file`, standard input is read, a text per line.
    """
    if texts and file:
        raise UserError("give texts or --file, not both")
    if top is not None and top < 1:
        raise UserError(f"--top-k {top} is impossible: 1 or more")
    if sys.stdout is None:
        raise UserError("standard output is closed")
    with ExitStack() as stack:
        descriptor = 0 if texts else _opened(file, stack)
        model = load(folder)
        rows = [_given(texts, model.pairs)] if texts else _read(descriptor, file, model.pairs)
        for batch in rows:
            first, *second = (list(column) for column in zip(*batch, strict=True))
            found = model.probabilities(first, second[0] if second else None)
            for row, probabilities in zip(batch, found, strict=True):
                print(answers.line(row, model.labels, probabilities, layout, top))
            sys.stdout.flush()


def load(folder: Path) -> Classifier:
    """The classifier in a folder; PyTorch is imported only where it is not an exported one."""
    if (folder / ONNX).is_file():
        return OnnxClassifier(folder)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # of loading a second's weights
    gc.disable()  # importing makes no garbage, and looking for it takes a sixth of the time
    try:
        from distillery.models.saved import TorchModel
    finally:
        gc.enable()
    return TorchModel(folder)


def _opened(file: Path | None, stack: ExitStack) -> int:
    """The descriptor of the file, or of standard input."""
    if file:
        return stack.enter_context(file.open("rb", buffering=0)).fileno()
    if sys.stdin is None:
        raise UserError("standard input is closed: give texts, or --file")
    if sys.stdin.isatty():
        print("reading texts from the terminal, one per line; Ctrl-D ends", file=sys.stderr)
    return sys.stdin.fileno()


def _given(texts: list[str], pairs: bool) -> list[Row]:
    if not pairs:
        return [(text,) for text in texts]
    if len(texts) % 2:
        raise UserError(f"the model reads pairs of texts: give an even number, not {len(texts)}")
    return list(zip(texts[::2], texts[1::2], strict=True))


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
