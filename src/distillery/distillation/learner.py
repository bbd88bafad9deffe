"""What a phase of a student's training trains, and by which loss."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from distillery.distillation import losses
from distillery.distillation.layers import Layers, LiveTeacher, Source, WithLayers
from distillery.distillation.teacher import Teacher
from distillery.kernels import fast_bert

LossOf = Callable[[Any, Mapping[str, Tensor]], Tensor]


class Learner(nn.Module):
    """A student and what its losses learn beside it: one module for the optimizer, checkpoints and
    several processes. The student alone is saved at the end."""

    def __init__(self, student: Any, loss: losses.LiveLosses) -> None:
        super().__init__()
        self.student, self.loss = WithLayers(student), loss

    def forward(self, **inputs: Tensor) -> Layers:
        found: Layers = self.student(**inputs)
        return found


def on_outputs(student: Any, terms: losses.Terms) -> tuple[nn.Module, LossOf]:
    """The student itself, and its loss of (output, batch) on labels and recorded logits."""
    fast_bert.use_in(student)
    total = losses.combined(terms)
    return student, lambda output, batch: total(output.logits, batch)


def on_layers(
    student: Any, terms: losses.Terms, sources: tuple[Source, Source], teacher: Teacher
) -> tuple[nn.Module, LossOf]:
    """The student with what its losses learn, and its loss of (layers, batch) beside the teacher,
    which runs on every batch.

    sources: what student and teacher give.
    """
    learner = Learner(student, losses.LiveLosses(terms, *sources))
    live = LiveTeacher(teacher)
    return learner, lambda found, batch: learner.loss(found, live(batch), batch)
