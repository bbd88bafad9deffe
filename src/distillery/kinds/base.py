"""What a kind of task must say: the contract between a task's data and everything that uses it.

N is a number of rows, C the number of outputs a model gives per row (`len(task.labels)`). Labels
are one number a row; a kind says of which type, and which value marks a row without one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from distillery.students import BASELINES


class LabelReader(Protocol):
    """Reads the labels of a user's files (train, then test) row by row."""

    def read(self, role: str, row: int, text: str) -> float:
        """The number that stands for a label of the file `role` until `names` is known. row: from
        0. UserError if it can't be a label of this kind."""

    def log(self, role: str) -> None:
        """Logs which labels were read from the file `role`."""

    def names(self) -> tuple[str, ...]:
        """The names of a model's outputs, in order, once all labels are read. UserError where no
        model can be trained on them."""

    def final(self, labels: np.ndarray) -> np.ndarray:
        """What `read` gave (N,) as numbers that fit `names`, which has been called."""


class Kind(ABC):
    """A kind of task.

    name: as tasks and manifests write it. dtype: of labels. missing: the label of a row without
    one. label_word: what one label is called in errors. metrics: those a task may name as its main
    one, the default first.
    """

    name: ClassVar[str]
    dtype: ClassVar[type[np.generic]]
    missing: ClassVar[float]
    label_word: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]

    @property
    def baselines(self) -> dict[str, str]:
        """The baselines that fit it, each with its title in tables."""
        return {name: row.title for name, row in BASELINES.items() if self.name in row.kinds}

    # Data

    @abstractmethod
    def label_reader(self, files: Mapping[str, str], declared: Sequence[str] | None) -> LabelReader:
        """Reads the labels of a user's own files. files: role -> name, of train and, where there is
        one, test. declared: the labels in order, where the user names them."""

    @abstractmethod
    def check_labels(self, labels: np.ndarray, names: Sequence[str], where: str) -> None:
        """UserError if one of the labels (N,) of a public data set is not one of this task."""

    @abstractmethod
    def groups(self, labels: np.ndarray) -> np.ndarray:
        """(N,) labels -> (N,) int64 numbers of groups, of which a carved split gets the same
        share."""

    @abstractmethod
    def contradicts(self, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(N,) bool: whether a text with both labels (N,) contradicts itself."""

    @abstractmethod
    def summary(self, labels: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        """What a manifest says about a split's labels (N,)."""

    @abstractmethod
    def describe(self, summary: Mapping[str, float]) -> str:
        """A summary in one line."""

    # Models

    @abstractmethod
    def check_config(self, config: Any, names: Sequence[str], where: object) -> None:
        """UserError if a fine-tuned model's configuration doesn't fit the task."""

    @abstractmethod
    def check_teacher(
        self,
        teacher: str,
        logits: np.ndarray,
        labels: np.ndarray,
        names: Sequence[str],
        metric: str,
        lowest: float,
    ) -> None:
        """UserError if outputs (N, C) on labelled dev rows are not those of a good teacher: not
        finite, scored below `lowest`, or no better than a constant answer."""

    # Predictions and scores

    @abstractmethod
    def decode(self, logits: np.ndarray) -> np.ndarray:
        """Outputs (N, C) -> predictions (N,)."""

    @abstractmethod
    def scores(self, metric: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """The metrics of predictions (N,), the task's main one first."""

    def calibration_error(self, labels: np.ndarray, logits: np.ndarray) -> float | None:
        """How far a model's probabilities are from how often it is right; None if it gives none."""
        return None

    @abstractmethod
    def answer(self, outputs: np.ndarray, names: Sequence[str]) -> "Answer":
        """What a user is told of one text: outputs (C,)."""

    # Comparing two models on the same rows

    @abstractmethod
    def gain_interval(
        self, metric: str, labels: np.ndarray, before: np.ndarray, after: np.ndarray
    ) -> tuple[float, float]:
        """The 95 % interval of the gain in `metric`, by the paired bootstrap; predictions
        (runs, N)."""

    def mcnemar(self, labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> float | None:
        """The p of both (N,) being right equally often; None if no row is right or wrong."""
        return None

    @abstractmethod
    def agreement(self, predicted: np.ndarray, other: np.ndarray) -> float:
        """How far two models' predictions agree, 0 to 1: (runs, N) and (N,)."""

    # Storage in results

    @abstractmethod
    def pack(self, values: np.ndarray, names: Sequence[str]) -> bytes:
        """Labels or predictions (runs, N) as bytes."""

    @abstractmethod
    def unpack(self, packed: bytes, runs: int, n: int, names: Sequence[str]) -> np.ndarray:
        """What `pack` packed, (runs, N); ValueError if that can't be."""


class Answer(Protocol):
    """A model's answer to one text."""

    def columns(self, top: int | None) -> list[str]:
        """As columns of text, such as label and probability; of the `top` most probable labels."""

    def as_dict(self, top: int | None) -> dict[str, Any]:
        """As the fields of a JSON object."""
