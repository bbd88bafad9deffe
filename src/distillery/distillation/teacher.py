"""A fine-tuned teacher on disk, and what must hold before anything learns from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery import encoders, files, paths
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError
from distillery.models import tokenization
from distillery.runtime.facts import AGAIN, FACTS, is_number, read_facts
from distillery.text.splits import SplitReader


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

    def outputs(self, task: Task) -> TeacherOutputs:
        """Its recorded outputs, as far as there are some."""
        return TeacherOutputs(task.name, self.fingerprint, self.name)


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


def check_on_dev(task: Task, teacher: Teacher, outputs: TeacherOutputs) -> None:
    """UserError if a teacher's recorded outputs on dev are not those of a good one."""
    dev = store.read_split(task.name, "dev")
    logits, name = outputs.logits(dev.ids), teacher.name
    if not np.isfinite(logits).all():
        raise UserError(f"teacher {name} gives outputs on dev that are not finite")
    if logits.shape[1] != len(task.labels):
        raise UserError(
            f"teacher {name} gives {logits.shape[1]} outputs for {len(task.labels)} labels"
        )
    lowest = teacher.facts["floor"]
    task.kind.check_teacher(name, logits, dev.labels, task.labels, task.metric, lowest)
