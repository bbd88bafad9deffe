"""A fine-tuned teacher on disk, and the checks before anything learns from it."""

import csv
import io
import itertools
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery import encoders, files, paths
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.models import tokenization
from distillery.recipes import TextRecipe
from distillery.runtime.facts import AGAIN, FACTS, is_number, read_facts
from distillery.text.splits import SplitReader


def check_labels(config: Any, task: Task, where: object) -> None:
    """UserError where a model's labels differ from the task's, or are in another order.

    The case of letters is ignored. Names such as LABEL_0, which say nothing, pass: the dev rows
    decide on them.
    """
    names = [str(config.id2label[index]) for index in sorted(config.id2label)]
    if all(name == f"LABEL_{index}" for index, name in enumerate(names)):
        if len(names) != len(task.labels):
            raise UserError(
                f"{where} has {len(names)} labels where the task has {len(task.labels)}"
            )
        return
    lower = {label.lower(): label for label in task.labels}
    exact = dict(zip(task.labels, task.labels, strict=True))
    order = [exact.get(name) or lower.get(name.lower()) or name for name in names]
    if order == list(task.labels):
        return
    fault = (
        f"{where} has the labels {', '.join(names)}, in this order, where the task has"
        f" {', '.join(task.labels)}"
    )
    if sorted(order) == sorted(task.labels):
        fault += _reordered(task, order)
    raise UserError(fault)


def _reordered(task: Task, order: list[str]) -> str:
    """What a user can do about a model whose labels are in another order."""
    if not task.local or task.generate:
        return ""  # a task of the project, whose order is fixed
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(order)
    labels = shlex.quote(line.getvalue())
    return f": run scripts/distillery data --task {task.name} again with --labels {labels}"


def check_outputs(
    name: str, logits: np.ndarray, labels: np.ndarray, task: Task, floor: float
) -> None:
    """UserError where outputs on labelled dev rows are not those of a good teacher.

    logits: (N, C); labels: (N,). Refused: values that are not finite, an accuracy below `floor`
    or not above the commonest label's share.
    """
    if not np.isfinite(logits).all():
        raise UserError(f"teacher {name} gives outputs on dev that are not finite")
    if logits.shape[1] != len(task.labels):
        raise UserError(
            f"teacher {name} gives {logits.shape[1]} outputs for {len(task.labels)} labels"
        )
    predicted = logits.argmax(axis=1)
    majority = float(np.bincount(labels).max() / len(labels))

    def is_good(predicted: np.ndarray) -> bool:
        accuracy = float((predicted == labels).mean())
        return accuracy >= floor and accuracy > majority

    if is_good(predicted):
        return
    hint = "a raw encoder, one tuned on something else, or one trained too little?"
    if len(task.labels) <= 5:
        for order in itertools.permutations(range(len(task.labels))):
            if is_good(np.array(order)[predicted]):
                meant = [task.labels[index] for index in order]
                hint = f"its labels seem to be in the order {', '.join(meant)}"
                hint += _reordered(task, meant)
                break
    limit = f"below its floor {floor:g}" if floor > majority else "not above the majority class"
    accuracy = float((predicted == labels).mean())
    raise UserError(f"teacher {name} has a dev accuracy of {accuracy:.4f}, {limit} ({hint})")


@dataclass(frozen=True)
class Teacher:
    """A fine-tuned teacher of a task. `fingerprint` names what its recorded outputs depend on."""

    name: str
    folder: Path
    facts: dict[str, Any]
    fingerprint: str
    weights_sha256: str

    @property
    def weights(self) -> Path:
        return self.folder / encoders.WEIGHTS

    def reader(self) -> SplitReader:
        """How the teacher reads texts."""
        tokenizer = tokenization.load(self.folder)
        return tokenization.reader(tokenizer, self.facts["max_length"], self.facts["head"])


def write_facts(
    folder: Path, task: Task, recipe: TextRecipe, precision: str, pairs: bool, **more: Any
) -> None:
    """Writes beside a model what `read_facts` reads."""
    facts = {
        "task": task.name,
        "labels": list(task.labels),
        "max_length": recipe.max_length,
        "head": recipe.head,
        "precision": precision,
        "pairs": pairs,
    }
    files.write_json(folder / FACTS, {**facts, **more})


def find(task: Task, name: str, variant: str | None = None) -> Teacher:
    """The teacher that stage 2 made. UserError where it is not there, or not for this task."""
    folder = paths.model(task.name, paths.teacher_result(task.name, name, variant))
    if not (folder / FACTS).is_file():
        raise UserError(
            f"there is no teacher {name} for task {task.name} in {folder}:"
            f" run {paths.program()} teacher --task {task.name} --teacher"
            f" {name if name in encoders.SHORT else 'ITS_HUB_ID_OR_FOLDER'}"
            + (f" --variant {variant}" if variant else "")
        )
    facts = read_facts(folder)
    if not is_number(facts.get("floor")):
        raise UserError(f"{folder} holds no teacher: {AGAIN}")
    if facts.get("labels") != list(task.labels):
        raise UserError(f"{folder} has the labels {facts.get('labels')}, not {list(task.labels)}")
    weights = folder / encoders.WEIGHTS
    if not weights.is_file():
        raise UserError(f"{weights} is missing: {AGAIN}")
    checksum = files.sha256(weights)
    tokenizer = tokenization.fingerprint(tokenization.load(folder))
    reading = [facts[key] for key in ("max_length", "head", "precision", "labels")]
    fingerprint = files.short_hash([checksum, tokenizer, *reading, "logits"])
    return Teacher(name, folder, facts, fingerprint, checksum)
