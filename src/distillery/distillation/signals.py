"""Teachers, and what a student learns from them beside true labels, behind one interface.

A loss names what it needs (`losses.LOSSES`); `Taught.signal` finds where that comes from: recorded
outputs, a teacher that runs live beside the student, or the mean of several teachers' outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillery import encoders, files, paths
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation import layers
from distillery.distillation.layers import Layers
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError
from distillery.kernels import hardware
from distillery.models import tokenization
from distillery.models.saved import load_network
from distillery.runtime.facts import AGAIN, FACTS, is_number, read_facts
from distillery.runtime.predictor import INPUTS
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


class Signal:
    """What one phase of training reads of its teachers: nothing, where it has labels alone."""

    def check(self, ids: np.ndarray) -> None:
        """UserError unless everything that `read` gives is there for these rows."""

    def read(self, ids: np.ndarray) -> dict[str, Tensor]:
        """What was recorded for rows (B,), to travel with their batch."""
        return {}

    def give(self, batch: Mapping[str, Tensor]) -> Layers | None:
        """What the teachers say of a batch, on its device: logits (B, C), or those and layers."""
        return None


@dataclass(frozen=True)
class Recorded(Signal):
    """The mean of the teachers' recorded outputs; of one teacher, its own."""

    outputs: Sequence[TeacherOutputs]

    def check(self, ids: np.ndarray) -> None:
        for outputs in self.outputs:
            outputs.check(ids)

    def read(self, ids: np.ndarray) -> dict[str, Tensor]:
        found = [outputs.logits(ids) for outputs in self.outputs]
        mean = found[0] if len(found) == 1 else np.mean(found, axis=0)
        return {"teacher_logits": torch.from_numpy(mean)}

    def give(self, batch: Mapping[str, Tensor]) -> Layers:
        return Layers(batch["teacher_logits"], ())


class Live(Signal):
    """The layers of a teacher that runs beside the student: frozen, in its own precision, wrapped
    in nothing."""

    def __init__(self, teacher: Teacher) -> None:
        model = load_network(teacher.folder).to(hardware.device())
        self.model = layers.WithLayers(model).eval().requires_grad_(False)
        self.precision = teacher.facts["precision"]

    @torch.no_grad()
    def give(self, batch: Mapping[str, Tensor]) -> Layers:
        with hardware.autocast(self.precision):
            found: Layers = self.model(**{name: batch[name] for name in INPUTS})
        return found


@dataclass(frozen=True)
class Taught:
    """One or more teachers of a student, each with its recorded outputs. `teachers` is empty where
    the outputs of a model that is pruned are all there is."""

    teachers: tuple[Teacher, ...] = ()
    outputs: tuple[TeacherOutputs, ...] = ()

    def signal(self, needs: set[str]) -> Signal:
        """What gives all of `needs` (of `losses.needs`) that the data does not."""
        if needs & set(layers.EVERYTHING):
            if len(self.teachers) != 1:
                raise UserError(
                    "a loss on layers compares the student with one teacher, not with"
                    f" {len(self.teachers) or 'recorded outputs'}"
                )
            return Live(self.teachers[0])
        if "logits" in needs:
            return Recorded(self.outputs)
        return Signal()
