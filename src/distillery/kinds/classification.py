"""Classification: one label for a text or a pair of texts."""

import csv
import io
import itertools
import logging
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillery.errors import UserError, choose, one_line
from distillery.evaluation import metrics
from distillery.kinds.base import Kind

MOST_LABELS = 1000  # of a user's data: more are most likely the wrong column
MANY_NUMBERS = 20  # labels that are all numbers: more are most likely scores, not classes
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0+", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


class Classification(Kind):
    """Labels are numbers into `task.labels`; outputs are logits, one per label."""

    name = "classification"
    dtype = np.int64
    missing = -1
    label_word = "class"
    metrics = (*metrics.METRICS,)

    def label_reader(
        self, files: Mapping[str, str], declared: Sequence[str] | None
    ) -> "LabelNames":
        return LabelNames(files, declared)

    def check_labels(self, labels: np.ndarray, names: Sequence[str], where: str) -> None:
        wrong = labels[~np.isin(labels, range(len(names)))]
        if len(wrong):
            raise UserError(
                f"{where} has the label {wrong.max():g}, and the task {len(names)} labels, counted"
                " from 0"
            )

    def groups(self, labels: np.ndarray) -> np.ndarray:
        return labels

    def contradicts(self, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
        result: np.ndarray = labels != others
        return result

    def summary(self, labels: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        """Rows per label."""
        return {name: int((labels == number).sum()) for number, name in enumerate(names)}

    def describe(self, summary: Mapping[str, float], most: int = 20) -> str:
        """The labels with their counts, the most frequent first."""
        ordered = sorted(summary.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{one_line(label)} ({count})" for label, count in ordered[:most]]
        more = [f"and {len(ordered) - most} more"] if len(ordered) > most else []
        return ", ".join([*shown, *more])

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
        result: np.ndarray = logits.argmax(axis=1)
        return result

    def scores(self, metric: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return metrics.scores(metric, labels, predicted)

    def calibration_error(self, labels: np.ndarray, logits: np.ndarray) -> float:
        return metrics.expected_calibration_error(labels, metrics.softmax(logits))

    def answer(self, outputs: np.ndarray, names: Sequence[str]) -> "Probabilities":
        return Probabilities(metrics.softmax(outputs[None, :])[0], names)

    def gain_interval(
        self, metric: str, labels: np.ndarray, before: np.ndarray, after: np.ndarray
    ) -> tuple[float, float]:
        return metrics.gain_interval(labels, before, after, metric)

    def mcnemar(self, labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
        return metrics.mcnemar(labels, before, after)

    def agreement(self, predicted: np.ndarray, other: np.ndarray) -> float:
        """The share of rows with the same label."""
        return metrics.agreement(predicted, other)

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
        result: list[int] = np.argsort(-self.values, kind="stable")[:top].tolist()
        return result

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

    def __init__(self, files: Mapping[str, str], declared: Sequence[str] | None) -> None:
        self.files, self.declared = files, declared
        self.counts: dict[str, Counter[str]] = {role: Counter() for role in files}
        self.numbers: dict[str, int] = {}  # label -> number, in the order in which they come
        self.order: tuple[str, ...] = ()

    def read(self, role: str, row: int, text: str) -> int:
        label = plain_label(text)
        self.counts[role][label] += 1
        if label not in self.numbers:
            self.numbers[label] = len(self.numbers)
            if len(self.numbers) > MOST_LABELS:
                self._ordered()  # refuses that many
        return self.numbers[label]

    def log(self, role: str) -> None:
        """Warns of labels that differ in case alone."""
        labels = self.counts[role]
        if not labels:
            return
        logging.info("  labels: %s", Classification().describe(labels))
        alike = Counter(label.casefold() for label in labels)
        several = [one_line(label) for label in sorted(labels) if alike[label.casefold()] > 1]
        if several:
            logging.warning(
                "  labels that differ in case alone are kept apart: %s", ", ".join(several)
            )

    def names(self) -> tuple[str, ...]:
        """UserError where a file has one label only, or where test has some that train has not and
        nobody has declared: most often other names for the same."""
        self.order = self._ordered()
        for role, labels in self.counts.items():
            if len(labels) < 2:
                raise UserError(
                    f"{self.files[role]} has one class only:"
                    f" {', '.join(labels) or 'no label at all'}"
                )
        unknown = sorted(self.counts.get("test", Counter()).keys() - self.counts["train"].keys())
        if unknown and not self.declared:
            raise UserError(
                f"{self.files['test']} has the label '{unknown[0]}', which no row of"
                f" {self.files['train']} has (--labels A,B,... names those that are meant)"
            )
        return self.order

    def final(self, labels: np.ndarray) -> np.ndarray:
        places = np.array([self.order.index(label) for label in self.numbers], np.int64)
        result: np.ndarray = places[labels]
        return result

    def _ordered(self) -> tuple[str, ...]:
        return label_order(self.numbers, self.declared, ", ".join(self.files.values()))


def plain_label(text: str) -> str:
    """The label without surrounding blanks; a whole number without a fraction: 1.0 is 1.

    Everything else stays as it is: 01, 1.50, True, Pos beside pos, nan and None.
    """
    whole = _WHOLE.fullmatch(text.strip())
    if not whole:
        return text.strip()
    return "0" if whole[1] == "-0" else whole[1]


def label_order(
    labels: Iterable[str], declared: Sequence[str] | None, where: str
) -> tuple[str, ...]:
    """The labels in order: as declared, else by number if all are numbers, else by alphabet.

    UserError for a label that isn't declared, for fewer than two and more than `MOST_LABELS`.
    """
    found = sorted(set(labels))
    if declared is not None:
        order = [plain_label(text) for text in declared]
        if len(order) < 2 or len(set(order)) < len(order) or not all(order):
            raise UserError(
                f"--labels {','.join(declared)} needs at least two different labels: A,B"
            )
        for label in found:
            choose(f"label in {where}", label, order)
        return tuple(order)
    if len(found) < 2:
        names = ", ".join(found) or "no label at all (name their --label-column)"
        raise UserError(f"{where} has {names}: at least two different labels are needed")
    if len(found) > MOST_LABELS:
        raise UserError(
            f"{where} has {len(found)} different labels: is it the right column? (numbers are"
            " learned with --kind regression)"
        )
    if all(map(_NUMBER.fullmatch, found)):
        found.sort(key=float)
        if len(found) > MANY_NUMBERS:
            logging.warning(
                "  the %d labels are numbers, and each becomes a class of its own:"
                " --kind regression learns them as numbers",
                len(found),
            )
    return tuple(found)


def _bits(names: Sequence[str]) -> int:
    """Bits of the largest label number."""
    return max(1, (len(names) - 1).bit_length())


def _reordered(order: list[str]) -> str:
    """What a user can do about labels in another order; a task of the project has a fixed one."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(order)
    return f": for data of your own, run stage 1 again with --labels {shlex.quote(line.getvalue())}"
