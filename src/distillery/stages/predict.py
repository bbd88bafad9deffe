"""Using a saved model: label and probability of texts."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from distillery.compression import runtime
from distillery.distillation import teacher as teachers
from distillery.errors import UserError
from distillery.preprocessing import keys
from distillery.text import encode
from distillery.training import inference, machine

CHUNK = 1024  # texts predicted at once


def run(folder: Path, texts: list[str], file: Path | None) -> None:
    """Prints label, probability and text, separated by tabs, a line per text."""
    if texts and file:
        raise UserError("give texts or --file, not both")
    if not folder.is_dir():
        raise UserError(f"model folder {folder} does not exist")
    facts = teachers.read_facts(folder)
    if facts["pairs"]:
        raise UserError(f"the model in {folder} reads pairs of texts; predict gives it single ones")
    model = runtime.load(folder).to(machine.device()).eval()
    tokenizer = encode.load_tokenizer(folder)
    reader = encode.Reader(tokenizer, facts["max_length"], facts["head"])
    lines = (keys.clean(text) for text in texts or _lines(file))
    while chunk := list(islice(lines, CHUNK)):
        encoded = reader.encode(chunk, None)
        logits = inference.logits(model, encoded, facts["precision"], "predicting")
        for text, row in zip(chunk, logits.astype(np.float64), strict=True):
            odds = np.exp(row - row.max())
            best = int(row.argmax())
            label = model.config.id2label[best]
            print(f"{label}\t{odds[best] / odds.sum():.4f}\t{text}", flush=True)


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
