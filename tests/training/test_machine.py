"""Choices measured on this machine."""

import multiprocessing
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from distillery import files, paths
from distillery.training import machine

Set = Callable[..., list[str]]


@pytest.fixture
def seconds(home: Path, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets what a measurement gives; the list it returns grows with each one."""
    measured: list[str] = []

    def use(**times: float) -> list[str]:
        def fake(candidates: Mapping[str, object]) -> dict[str, float]:
            measured.append(",".join(candidates))
            return {name: times[name] for name in candidates}

        monkeypatch.setattr(machine, "_seconds", fake)
        return measured

    return use


def choose(margin: float = 1.1, what: str = "a choice") -> str:
    return machine.fastest(what, {"first": lambda: None, "second": lambda: None}, margin)


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [(1.0, 2.0, "first"), (1.05, 1.0, "first"), (1.1, 1.0, "first"), (1.2, 1.0, "second")],
)
def test_first_is_kept_within_the_margin(
    seconds: Set, first: float, second: float, chosen: str
) -> None:
    seconds(first=first, second=second)
    assert choose() == chosen


def test_choice_is_remembered(seconds: Set) -> None:
    seconds(first=2.0, second=1.0)
    assert choose() == "second"
    measured = seconds(first=1.0, second=2.0)
    assert choose() == "second"
    assert measured == ["first,second"]
    (entry,) = files.read_json(paths.machine()).values()
    assert entry == {"first": 2.0, "second": 1.0}


def test_other_choices_are_measured_and_kept_beside(seconds: Set) -> None:
    measured = seconds(first=2.0, second=1.0)
    choose(what="one")
    choose(what="other")
    assert len(measured) == 2
    assert len(files.read_json(paths.machine())) == 2


def test_other_number_of_threads_is_measured_again(
    seconds: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = seconds(first=2.0, second=1.0)
    choose()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 12345)
    choose()
    assert len(measured) == 2


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_memory_is_measured_again(seconds: Set, content: str) -> None:
    seconds(first=2.0, second=1.0)
    choose()
    paths.machine().write_text(content)
    measured = seconds(first=1.0, second=2.0)
    assert choose() == "first"
    assert len(measured) == 2
    assert len(files.read_json(paths.machine())) == 1


def test_measuring_leaves_the_random_state_alone(home: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    machine.fastest("noise", {"a": lambda: torch.rand(5), "b": lambda: torch.rand(9)}, 1.1)
    assert torch.equal(torch.rand(3), expected)


def test_candidates_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    found = machine._seconds({"a": lambda: called.append("a"), "b": lambda: called.append("b")})
    assert called == ["a", "b"] * (machine.REPEATS + 1)
    assert all(value >= 0 for value in found.values())


def test_given_precision_is_not_measured(home: Path) -> None:
    model = torch.nn.Linear(1, 1)  # has no logits: a measurement would fail
    assert machine.precision_for("it", "bf16", model, {}) == "bf16"
    assert not paths.machine().exists()


def test_environment_says_where_a_result_was_made() -> None:
    found = machine.environment("fp32")
    assert found["torch"] == torch.__version__
    assert found["precision"] == "fp32"
    assert all(value not in (None, "") for value in found.values())


def test_autocast_computes_in_the_precision_asked_for() -> None:
    layer = torch.nn.Linear(2, 2).to(machine.device())
    given = torch.ones(1, 2, device=machine.device())
    for precision, expected in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with machine.autocast(precision):
            assert layer(given).dtype == expected


def _sunken_after_a_step() -> int:
    """How many of Adam's means are below 1e-38 and no zero after a step that lowers them there."""
    machine.prepare()
    weight = torch.nn.Parameter(torch.zeros(2**20))  # enough for every thread
    optimizer = torch.optim.AdamW([weight], lr=1e-3, fused=True)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    mean = optimizer.state[weight]["exp_avg"]
    mean.fill_(1.2e-38)
    optimizer.step()
    return int((mean.view(torch.int32) != 0).sum())  # by their bits


def test_means_that_sink_become_zero_in_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        assert fresh.apply(_sunken_after_a_step) == 0
