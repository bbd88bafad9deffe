"""The pure parts of the training loop: its order and the losses it reads."""

import numpy as np
import pytest
import torch

from distillery.errors import UserError
from distillery.recipes import Phase
from distillery.text import encode
from distillery.training import loop
from distillery.training.checkpoint import Progress

PHASE = Phase(
    splits=("train",), losses=(("mse", 1.0, {}),), learning_rate=1.0, warmup=0.2, batch_size=4
)


def job(lengths: np.ndarray, seed: int = 1) -> loop.Job:
    def never(*_: object) -> dict[str, float]:
        raise AssertionError

    return loop.Job(PHASE, lengths, never, never, never, "accuracy", "fp32", seed, "it")  # type: ignore[arg-type]


def test_epoch_goes_on_after_the_batches_that_are_done() -> None:
    lengths = np.arange(1, 31)
    whole = list(loop._batches(job(lengths), Progress(epoch=2)))
    rest = list(loop._batches(job(lengths), Progress(epoch=2, batch=3)))
    assert len(whole) == 8
    assert [rows.tolist() for rows in whole[3:]] == [rows.tolist() for rows in rest]
    assert sorted(np.concatenate(whole).tolist()) == list(range(30))


def test_order_depends_on_seed_and_epoch_and_is_that_of_the_batches() -> None:
    lengths = np.arange(1, 31)
    orders = {
        tuple(np.concatenate(list(loop._batches(job(lengths, seed), Progress(epoch=epoch)))))
        for seed in (1, 2)
        for epoch in (0, 1)
    }
    assert len(orders) == 4
    assert tuple(np.concatenate(encode.training_batches(lengths, 4, 1, 0))) in orders


def test_loss_that_is_not_finite_is_named_by_its_step() -> None:
    losses = loop._Losses(folder=loop.Path("runs/it"), every=3)
    losses.add(0, torch.tensor(1.0))
    losses.add(1, torch.tensor(float("nan")))
    with pytest.raises(UserError, match=r"the loss is nan at step 2: .*runs/it"):
        losses.add(2, torch.tensor(1.0))


def test_losses_are_read_in_groups() -> None:
    losses = loop._Losses(folder=loop.Path("runs/it"), every=2)
    losses.add(0, torch.tensor(1.0))
    assert np.isnan(losses.last)
    losses.add(1, torch.tensor(2.0))
    assert losses.last == 2.0
    assert losses.mean == 1.5
    assert losses.waiting == []


def test_the_loss_shown_is_a_running_mean() -> None:
    """Of all steps so far, then exponential; it goes on where a checkpoint left it."""
    values = np.random.default_rng(0).random(3 * loop.LOSSES_SHOWN)
    whole = loop._Losses(loop.Path("runs/it"), every=1)
    for step, value in enumerate(values[: loop.LOSSES_SHOWN]):
        whole.add(step, torch.tensor(value))
    assert whole.mean == pytest.approx(values[: loop.LOSSES_SHOWN].mean())
    resumed = loop._Losses(loop.Path("runs/it"), every=1, mean=whole.mean)
    expected = whole.mean
    for step, value in enumerate(values[loop.LOSSES_SHOWN :], start=loop.LOSSES_SHOWN):
        resumed.add(step, torch.tensor(value))
        expected = (1 - 1 / loop.LOSSES_SHOWN) * expected + value / loop.LOSSES_SHOWN
    assert resumed.mean == pytest.approx(expected)
