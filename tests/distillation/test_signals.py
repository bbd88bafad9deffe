"""What a phase reads of its teachers: nothing, recorded outputs, or a live teacher."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from distillery.distillation.signals import Live, Recorded, Signal, Taught
from distillery.errors import UserError
from distillery.runtime.predictor import INPUTS

IDS = np.array([3, 4], np.uint64)
ONE, TWO = np.array([[1.0, 3.0], [0.0, 2.0]]), np.array([[3.0, 5.0], [2.0, 4.0]])


def recorded(logits: np.ndarray) -> Any:
    return SimpleNamespace(logits=lambda ids: logits[: len(ids)])


def test_labels_alone_need_no_signal() -> None:
    signal = Taught().signal({"labels"})
    assert type(signal) is Signal
    assert signal.read(IDS) == {}
    assert signal.give({}) is None


@pytest.mark.parametrize(
    ("outputs", "expected"), [([ONE], ONE), ([ONE, TWO], [[2.0, 4.0], [1.0, 3.0]])]
)
def test_recorded_outputs_are_the_mean_of_the_teachers(outputs: Any, expected: Any) -> None:
    signal = Taught((), tuple(map(recorded, outputs))).signal({"labels", "logits"})
    assert isinstance(signal, Recorded)
    batch = signal.read(IDS)
    given = signal.give(batch)
    assert given is not None
    assert torch.equal(given.logits, torch.tensor(np.array(expected)))


def test_losses_on_layers_get_the_one_live_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(self: Live, teacher: Any) -> None:
        self.model, self.precision = lambda **inputs: (teacher, inputs), "fp32"  # type: ignore[assignment]

    monkeypatch.setattr(Live, "__init__", begin)
    batch = {name: torch.ones(1, 2) for name in (*INPUTS, "labels")}
    signal = Taught(("the teacher",), (recorded(ONE),)).signal({"logits", "hidden_states"})  # type: ignore[arg-type]
    assert isinstance(signal, Live)
    assert signal.read(IDS) == {}
    assert signal.give(batch) == ("the teacher", {name: batch[name] for name in INPUTS})


@pytest.mark.parametrize("teachers", [(), ("one", "two")])
def test_losses_on_layers_need_exactly_one_teacher(teachers: Any) -> None:
    with pytest.raises(UserError, match="compares the student with one teacher"):
        Taught(teachers).signal({"hidden_states"})


def test_recorded_outputs_must_be_there_and_a_live_teacher_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(ids: np.ndarray) -> None:
        raise UserError("not recorded")

    monkeypatch.setattr(Live, "__init__", lambda self, teacher: None)
    outputs: Any = SimpleNamespace(check=refuse)
    taught = Taught(("the teacher",), (outputs,))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="not recorded"):
        taught.signal({"logits"}).check(IDS)
    taught.signal({"logits", "hidden_states"}).check(IDS)
    taught.signal({"labels"}).check(IDS)
