"""Classification: one label for a text or a pair of texts."""

import csv
import io
import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from distillery.errors import UserError
from distillery.evaluation import calibration, metrics, significance
from distillery.kinds.base import Kind


class Classification(Kind):
    """Labels are numbers into `task.labels`; outputs are logits, one per label."""

    name = "classification"
    dtype = np.int64
    missing = -1
    metrics = (*metrics.METRICS,)
    baselines: ClassVar = {
        "majority": "majority class",
        "tfidf": "TF-IDF + logistic regression",
        "nbsvm": "NBSVM on bigrams",
    }

    def label_reader(self, declared: Sequence[str] | None) -> "LabelNames":
        return LabelNames(declared)

    def groups(self, labels: np.ndarray) -> np.ndarray:
        return labels

    def summary(self, labels: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        """Rows per label."""
        return {name: int((labels == number).sum()) for number, name in enumerate(names)}

    def check_config(self, config: Any, names: Sequence[str], where: object) -> None:
        """Labels must be the task's, in the same order; the case of letters is ignored. Names such
        as LABEL_0, which say nothing, pass: dev decides on them."""
        found = [str(config.id2label[index]) for index in sorted(config.id2label)]
        if all(name == f"LABEL_{index}" for index, name in enumerate(found)):
            if len(found) != len(names):
                raise UserError(f"{where} has {len(found)} labels where the task has {len(names)}")
            return
        lower = {name.lower(): name for name in names}
        exact = dict(zip(names, names, strict=True))
        order = [exact.get(name) or lower.get(name.lower()) or name for name in found]
        if order == list(names):
            return
        fault = (
            f"{where} has the labels {', '.join(found)}, in this order, where the task has"
            f" {', '.join(names)}"
        )
        if sorted(order) == sorted(names):
            fault += _reordered(order)
        raise UserError(fault)

    def check_teacher(
        self,
        teacher: str,
        logits: np.ndarray,
        labels: np.ndarray,
        names: Sequence[str],
        metric: str,
        lowest: float,
    ) -> None:
        """Accuracy must reach `lowest` and beat the majority class. A failing teacher whose labels
        are in another order is told so."""
        predicted = self.decode(logits)
        majority = float(np.bincount(labels).max() / len(labels))

        def is_good(predicted: np.ndarray) -> bool:
            accuracy = float((predicted == labels).mean())
            return accuracy >= lowest and accuracy > majority

        if is_good(predicted):
            return
        hint = "a raw encoder, one tuned on something else, or one trained too little?"
        if len(names) <= 5:
            for order in itertools.permutations(range(len(names))):
                if is_good(np.array(order)[predicted]):
                    meant = [names[index] for index in order]
                    hint = f"its labels seem to be in the order {', '.join(meant)}"
                    hint += _reordered(meant)
                    break
        limit = f"below {lowest:g}" if lowest > majority else "not above the majority class"
        accuracy = float((predicted == labels).mean())
        raise UserError(f"teacher {teacher} has a dev accuracy of {accuracy:.4f}, {limit} ({hint})")

    def decode(self, logits: np.ndarray) -> np.ndarray:
        predicted: np.ndarray = logits.argmax(axis=1)
        return predicted

    def scores(self, metric: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return metrics.scores(metric, labels, predicted)

    def calibration_error(self, labels: np.ndarray, logits: np.ndarray) -> float:
        return calibration.expected_calibration_error(labels, calibration.softmax(logits))

    def answer(self, outputs: np.ndarray, names: Sequence[str]) -> "Probabilities":
        return Probabilities(calibration.softmax(outputs[None, :])[0], names)

    def gain_interval(
        self, metric: str, labels: np.ndarray, before: np.ndarray, after: np.ndarray
    ) -> tuple[float, float]:
        return significance.gain_interval(labels, before, after, metric)

    def mcnemar(self, labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
        return significance.mcnemar(labels, before, after)

    def agreement(self, predicted: np.ndarray, other: np.ndarray) -> float:
        """The share of rows with the same label."""
        return significance.agreement(predicted, other)

    def pack(self, values: np.ndarray, names: Sequence[str]) -> bytes:
        """As many bits each as the number of labels needs."""
        width = _bits(names)
        bits = (values[..., None] >> np.arange(width)) & 1
        return np.packbits(bits.astype(np.uint8)).tobytes()

    def unpack(self, packed: bytes, runs: int, n: int, names: Sequence[str]) -> np.ndarray:
        width = _bits(names)
        if len(packed) != -(-runs * n * width // 8):
            raise ValueError(f"{len(packed)} bytes cannot be {runs} x {n} predictions")
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=runs * n * width)
        shaped = bits.reshape(runs, n, width).astype(np.int64)
        found: np.ndarray = (shaped << np.arange(width)).sum(-1)
        if found.size and found.max() >= len(names):
            raise ValueError(f"{found.max()} is not the number of one of {len(names)} labels")
        return found


@dataclass(frozen=True)
class Probabilities:
    """The probability (C,) of each label."""

    values: np.ndarray
    names: Sequence[str]

    def _best(self, top: int) -> list[int]:
        order: list[int] = np.argsort(-self.values, kind="stable")[:top].tolist()
        return order

    def columns(self, top: int | None) -> list[str]:
        """Label and probability, by default of the most probable one."""
        best = self._best(top or 1)
        return [part for n in best for part in (self.names[n], f"{self.values[n]:.4f}")]

    def as_dict(self, top: int | None) -> dict[str, Any]:
        """The most probable label and the probabilities, by default of all labels."""
        best = self._best(top or len(self.names))
        scores = {self.names[n]: round(float(self.values[n]), 6) for n in best}
        label = self.names[best[0]]
        return {"label": label, "score": scores[label], "scores": scores}


class LabelNames:
    """Labels by name: numbered as they come, then put in order."""

    def __init__(self, declared: Sequence[str] | None) -> None:
        self.declared = declared
        self.seen: dict[str, int] = {}  # label -> number, in the order in which they come
        self.order: tuple[str, ...] = ()

    def read(self, text: str, where: str) -> int:
        return self.seen.setdefault(text, len(self.seen))

    def finish(self, found: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
        raise NotImplementedError

    def numbers(self, labels: np.ndarray) -> np.ndarray:
        places = np.array([self.order.index(label) for label in self.seen], np.int64)
        found: np.ndarray = places[labels]
        return found


def _bits(names: Sequence[str]) -> int:
    """Bits of the largest label number."""
    return max(1, (len(names) - 1).bit_length())


def _reordered(order: list[str]) -> str:
    """What a user can do about labels in another order; a task of the project has a fixed one."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(order)
    return f": for data of your own, run stage 1 again with --labels {shlex.quote(line.getvalue())}"
