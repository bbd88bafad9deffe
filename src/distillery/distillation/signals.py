"""What a student learns from beside true labels, behind one interface.

A loss names what it needs (`losses.LOSSES`); `of` finds where that comes from: outputs recorded
before, a teacher that runs live beside the student, or the mean of several teachers' outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from distillery.distillation import layers
from distillery.distillation.layers import Layers
from distillery.distillation.outputs import TeacherOutputs
from distillery.distillation.teacher import Teacher
from distillery.errors import UserError


class Signal(Protocol):
    """What one phase of training reads of its teachers."""

    def read(self, ids: np.ndarray) -> dict[str, Tensor]:
        """What was recorded for rows (B,), to travel with their batch."""

    def give(self, batch: Mapping[str, Tensor]) -> Layers | None:
        """What the teachers say of a batch, on its device: logits (B, C), or those and layers."""


class Nothing:
    """Labels alone."""

    def read(self, ids: np.ndarray) -> dict[str, Tensor]:
        return {}

    def give(self, batch: Mapping[str, Tensor]) -> Layers | None:
        return None


@dataclass(frozen=True)
class Recorded:
    """The mean of the teachers' recorded outputs; of one teacher, its own."""

    outputs: Sequence[TeacherOutputs]

    def read(self, ids: np.ndarray) -> dict[str, Tensor]:
        found = [outputs.logits(ids) for outputs in self.outputs]
        mean = found[0] if len(found) == 1 else np.mean(found, axis=0)
        return {"teacher_logits": torch.from_numpy(mean)}

    def give(self, batch: Mapping[str, Tensor]) -> Layers:
        return Layers(batch["teacher_logits"], ())


class Live:
    """The layers of a teacher that runs beside the student: frozen, in its own precision."""

    def __init__(self, teacher: Teacher) -> None:
        self.model = layers.LiveTeacher(teacher)

    def read(self, ids: np.ndarray) -> dict[str, Tensor]:
        return {}

    def give(self, batch: Mapping[str, Tensor]) -> Layers:
        return self.model(batch)


@dataclass(frozen=True)
class Taught:
    """One or more teachers of a student, each with its recorded outputs. `teachers` is empty where
    the outputs of a model that is pruned are all there is."""

    teachers: tuple[Teacher, ...] = ()
    outputs: tuple[TeacherOutputs, ...] = ()

    def check(self, ids: np.ndarray) -> None:
        """UserError unless every teacher has recorded outputs for these rows."""
        for outputs in self.outputs:
            outputs.check(ids)

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
        return Nothing()
