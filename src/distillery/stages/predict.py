"""Using a saved model: label and probability of texts."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from distillery.compression import runtime
from distillery.distillation import teacher as teachers
from distillery.errors import UserError
from distillery.evaluation import calibration
from distillery.models import fast_bert
from distillery.preprocessing import keys
from distillery.text import encode
from distillery.training import inference, machine

CHUNK = 1024  # texts predicted at once


def run(folder: Path, texts: list[str], file: Path | None) -> None:
    """Prints label, probability and text or pair, separated by tabs, a line per prediction.

    Of a model that reads pairs, two `texts` are a pair, and a line holds two parted by a tab.
    """
    if texts and file:
        raise UserError("give texts or --file, not both")
    if not folder.is_dir():
        raise UserError(f"model folder {folder} does not exist")
    facts = teachers.read_facts(folder)
    rows = _rows(texts, file, facts["pairs"])
    model = runtime.load(folder).to(machine.device()).eval()
    fast_bert.use_in(model)
    inference.lower(model, facts["precision"])
    tokenizer = encode.load_tokenizer(folder)
    reader = encode.Reader(tokenizer, facts["max_length"], facts["head"])
    while chunk := [tuple(map(keys.clean, row)) for row in islice(rows, CHUNK)]:
        first, *second = (list(column) for column in zip(*chunk, strict=True))
        encoded = reader.encode(first, second[0] if second else None)
        logits = inference.logits(model, encoded, facts["precision"], "predicting")
        for row, found in zip(chunk, calibration.softmax(logits), strict=True):
            label = model.config.id2label[int(found.argmax())]
            print(label, f"{found.max():.4f}", *row, sep="\t", flush=True)


def _rows(texts: list[str], file: Path | None, pairs: bool) -> Iterator[tuple[str, ...]]:
    """The texts to be labelled, as (text,) or (text, text_pair). UserError names what is none."""
    if pairs and len(texts) % 2:
        raise UserError(f"the model reads pairs of texts, and {len(texts)} are given")
    if texts:
        return iter(list(zip(*[iter(texts)] * (2 if pairs else 1), strict=True)))
    return (_row(line, number, pairs) for number, line in enumerate(_lines(file), start=1))


def _row(line: str, number: int, pairs: bool) -> tuple[str, ...]:
    row = tuple(line.split("\t")) if pairs else (line,)
    if pairs and len(row) != 2:
        raise UserError(f"text {number}: the model reads pairs, two texts parted by one tab")
    return row


def _lines(file: Path | None) -> Iterator[str]:
    """The lines of a file, or of stdin, that hold a text."""

    def texts(lines: Iterable[str]) -> Iterator[str]:
        yield from (line.strip() for line in lines if line.strip())

    try:
        if file is None:
            sys.stdin.reconfigure(encoding="utf-8", errors="strict")  # type: ignore[union-attr]
            yield from texts(sys.stdin)
        else:
            with file.open(encoding="utf-8-sig") as opened:
                yield from texts(opened)
    except UnicodeDecodeError as error:
        raise UserError(f"{file or 'stdin'} is not UTF-8 (byte {error.start})") from None
