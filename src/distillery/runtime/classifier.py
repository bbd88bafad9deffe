"""A saved classifier that answers texts: reading, batches, logits, probabilities."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from distillery.errors import UserError, reason
from distillery.evaluation import calibration
from distillery.runtime import session
from distillery.runtime.facts import ONNX, read_facts
from distillery.text import batches
from distillery.text.encode import Encoded, Reader

TOKENS = 8192  # of one batch with its padding: what fits a CPU's caches


class Classifier:
    """A model folder that distillery saved. A subclass says how a batch is computed.

    labels: names in the order of the logits. pairs: whether it reads pairs of texts.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            wrong = "is a file: name its folder" if folder.is_file() else "does not exist"
            raise UserError(f"model folder {folder} {wrong}")
        self.facts = read_facts(folder)
        self.config = _json(folder / "config.json")
        self.labels = _labels(self.config, self.facts["labels"])
        self.pairs: bool = self.facts["pairs"]
        self.reader = _reader(folder, self.config, self.facts)

    def batch_logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """`Encoded.batch` of one row or more -> logits (B, labels) fp32."""
        raise NotImplementedError

    @property
    def one_by_one(self) -> bool:
        """Whether a text's answer would depend on the texts beside it in a batch."""
        return False

    def logits(
        self, encoded: Encoded, progress: Callable[[int], object] = lambda tokens: None
    ) -> np.ndarray:
        """The logits (N, labels) of every text, in order. UserError where one is not finite.

        progress: called with the number of tokens after each batch.
        """
        found = np.empty((len(encoded), len(self.labels)), np.float32)
        for rows in batches.inference(encoded.lengths, 1 if self.one_by_one else TOKENS):
            batch = encoded.take(rows).batch(np.arange(len(rows)))
            answered = self.batch_logits(batch)
            if answered.shape != (len(rows), len(self.labels)):
                raise UserError(
                    f"the model gives {answered.shape} logits, not the"
                    f" {(len(rows), len(self.labels))} of its configuration"
                )
            found[rows] = answered
            progress(int(encoded.lengths[rows].sum()))
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(bad):
            raise UserError(f"the model's output for text {bad[0] + 1} is not finite")
        return found

    def probabilities(self, texts: list[str], pairs: list[str] | None = None) -> np.ndarray:
        """(N, labels) float64 of N texts, or of N pairs of texts; each row sums to 1."""
        return calibration.softmax(self.logits(self.reader.encode(texts, pairs)))


class OnnxClassifier(Classifier):
    """An exported model, answered by ONNX Runtime."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        super().__init__(folder)
        self.session = session.open_session(folder / ONNX, threads or session.threads())

    @property
    def one_by_one(self) -> bool:
        """An int8 model scales its inputs by the largest value of the whole batch."""
        return bool(self.facts["precision"] == "int8")

    def batch_logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        return session.logits(self.session, batch)


def _json(path: Path) -> dict[str, Any]:
    """The object in a file that another library wrote."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path.parent} holds no model ({reason(error)})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path.parent} holds no model ({path.name} is no JSON object)")
    return found


def _labels(config: dict[str, Any], facts: list[str]) -> list[str]:
    """The model's own names of its labels, which someone may have changed since."""
    names = config.get("id2label")
    if not isinstance(names, dict) or sorted(names) != sorted(map(str, range(len(names)))):
        return facts
    return [str(names[str(number)]) for number in range(len(names))]


def _reader(folder: Path, config: dict[str, Any], facts: dict[str, Any]) -> Reader:
    """How the model reads texts: by its tokenizer.json, as training did."""
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises plain exceptions
        raise UserError(f"{folder} holds no tokenizer ({reason(error)})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    pad = config.get("pad_token_id")
    if not isinstance(pad, int):
        raise UserError(f"{folder} names no padding token (pad_token_id of config.json)")
    return Reader(tokenizer, pad, facts["max_length"], facts["head"])
