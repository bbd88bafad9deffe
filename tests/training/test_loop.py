"""The pure parts of the training loop: its schedule, its weight decay, its order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import UserError
from distillery.models import registry
from distillery.recipes import Phase
from distillery.text import batches
from distillery.training import loop

PHASE = Phase(
    splits=("train",), losses=(("mse", 1.0, {}),), learning_rate=1.0, warmup=0.2, batch_size=4
)


def test_learning_rate_rises_then_falls_linearly() -> None:
    found = [loop.learning_rate(PHASE, step, 10) for step in range(11)]
    # two steps of warm-up in thirds of the peak, then eighths down to zero after the last step
    assert found == pytest.approx([1 / 3, 2 / 3, *(eighth / 8 for eighth in range(8, -1, -1))])


def test_learning_rate_begins_at_its_peak_without_warm_up() -> None:
    phase = replace(PHASE, warmup=0.0)
    assert [loop.learning_rate(phase, s, 4) for s in range(4)] == [1.0, 0.75, 0.5, 0.25]


@given(steps=st.integers(1, 300), warmup=st.floats(0, 0.9))
def test_learning_rate_is_never_zero_and_never_above_its_peak(steps: int, warmup: float) -> None:
    phase = replace(PHASE, warmup=warmup)
    found = [loop.learning_rate(phase, step, steps) for step in range(steps)]
    assert all(0 < value <= 1 for value in found)
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)


@pytest.mark.parametrize("architecture", registry.CLASSES)
def test_weight_decay_spares_biases_norms_and_embeddings(architecture: str) -> None:
    model = registry.create(architecture, vocab_size=20, embedding_size=8, hidden_size=8)
    decayed, plain = loop.parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    names = {id(weight): name for name, weight in model.named_parameters()}
    spared = {names[id(weight)] for weight in plain["params"]}
    rest = {names[id(weight)] for weight in decayed["params"]}
    assert spared | rest == set(names.values())
    assert not spared & rest
    assert all("embeddings" in name or "bias" in name or "norm" in name or ".0.weight" in name
               for name in spared)  # fmt: skip
    assert not any("bias" in name or "norm" in name or "embeddings" in name for name in rest)
    assert "classifier.weight" in rest


def test_frozen_weights_are_left_out() -> None:
    model = torch.nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    decayed, plain = loop.parameter_groups(model, 0.1)
    assert decayed["params"] == []
    assert len(plain["params"]) == 1


def job(lengths: np.ndarray, seed: int = 1) -> loop.Job:
    def never(*_: object) -> dict[str, float]:
        raise AssertionError

    return loop.Job(PHASE, lengths, never, never, never, "accuracy", "fp32", seed, "it")  # type: ignore[arg-type]


def test_epoch_goes_on_after_the_batches_that_are_done() -> None:
    lengths = np.arange(1, 31)
    whole = list(loop._batches(job(lengths), loop.Progress(epoch=2)))
    rest = list(loop._batches(job(lengths), loop.Progress(epoch=2, batch=3)))
    assert len(whole) == 8
    assert [rows.tolist() for rows in whole[3:]] == [rows.tolist() for rows in rest]
    assert sorted(np.concatenate(whole).tolist()) == list(range(30))


def test_order_depends_on_seed_and_epoch_and_is_that_of_the_batches() -> None:
    lengths = np.arange(1, 31)
    orders = {
        tuple(np.concatenate(list(loop._batches(job(lengths, seed), loop.Progress(epoch=epoch)))))
        for seed in (1, 2)
        for epoch in (0, 1)
    }
    assert len(orders) == 4
    assert tuple(np.concatenate(batches.training(lengths, 4, 1, 0))) in orders


def test_best_epoch_is_the_first_of_equals() -> None:
    history = [{"accuracy": 0.5}, {"accuracy": 0.8}, {"accuracy": 0.8}]
    assert loop.Progress(history=history).best("accuracy") == 1


def test_loss_that_is_not_finite_is_named_by_its_step() -> None:
    losses = loop._Losses(folder=loop.Path("runs/it"), every=3)
    losses.add(0, torch.tensor(1.0))
    losses.add(1, torch.tensor(float("nan")))
    with pytest.raises(UserError, match=r"the loss is nan at step 2: .*runs/it"):
        losses.add(2, torch.tensor(1.0))


def test_losses_are_looked_at_in_groups() -> None:
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


def test_gradients_are_clipped_as_pytorch_clips_them() -> None:
    def trained(clip: bool) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.arange(6.0))
        model = torch.nn.ParameterList([weight])
        training = loop._Training(model, job(np.arange(1, 9)), loop.Path("nowhere"))
        for step in range(4):
            training.optimizers[0].zero_grad()
            ((weight * 3 + step) ** 2).sum().backward()
            if clip:
                training._clip()
            else:
                torch.nn.utils.clip_grad_norm_([weight], PHASE.max_grad_norm)
            training.optimizers[0].step()
        return weight.detach()

    assert torch.allclose(trained(True), trained(False), atol=1e-5)


def test_average_follows_its_formula_and_is_put_in_place_for_a_look() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    average = loop.Average([weight], 0.9)
    expected = weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            weight.add_(1.0)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.detach()
    torch.testing.assert_close(average.means[0], expected)
    own = weight.detach().clone()
    with average.in_place():
        torch.testing.assert_close(weight.detach(), expected)
    torch.testing.assert_close(weight.detach(), own)


def test_without_averaging_nothing_is_kept() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    average = loop.Average([weight], 0.0)
    average.update(3)
    with average.in_place():
        assert torch.equal(weight, torch.ones(2))
    assert average.means == []


def test_gradients_of_a_bag_are_sparse_in_the_loop_alone(tmp_path: Path) -> None:
    model = registry.create("bag", vocab_size=20, buckets=31, max_length=8, num_labels=2)
    sparse = []
    model.encoder.table.weight.register_hook(lambda grad: sparse.append(grad.is_sparse))
    sizes = np.array([2] * 8)

    def batch_of(rows: np.ndarray) -> loop.Batch:
        ids = torch.full((len(rows), 2), 5)
        types = torch.zeros_like(ids)
        return {"input_ids": ids, "attention_mask": types + 1, "token_type_ids": types}

    def loss_of(output: Any, batch: loop.Batch) -> torch.Tensor:
        return output.logits.pow(2).sum()

    plain = replace(
        job(sizes), batch_of=batch_of, loss_of=loss_of, evaluate=lambda: {"accuracy": 1.0}
    )
    loop.train(model, plain, tmp_path, 60)
    assert sparse and all(sparse)
    model(torch.tensor([[4, 5]])).logits.sum().backward()
    assert sparse[-1] is False


def test_checkpoint_brings_back_sparse_state_and_average(tmp_path: Path) -> None:
    """Training on from it gives what training through gives."""

    def a_bag() -> torch.nn.Module:
        sizes = {"vocab_size": 20, "buckets": 31, "max_length": 8}
        return registry.create("bag", num_labels=2, **sizes)

    def trained(stop: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = a_bag()
        phase = replace(PHASE, averaging=0.5, learning_rate=0.1)
        sizes = torch.arange(1, 9).numpy()

        def started(model: torch.nn.Module) -> loop._Training:
            return loop._Training(model, replace(job(sizes), phase=phase), tmp_path / str(stop))

        training = started(model)
        for step in range(6):
            if stop and step == 3:
                training._save()
                model = registry.create(
                    "bag", vocab_size=20, buckets=31, max_length=8, num_labels=2
                )
                training = started(model)
            for optimizer in training.optimizers:
                optimizer.zero_grad()
            model(torch.tensor([[3, 4, step + 5]])).logits.pow(2).sum().backward()
            training._clip()
            for optimizer in training.optimizers:
                optimizer.step()
            training.checkpoint.average.update(step)
        return [*training.checkpoint.weights, *training.checkpoint.average.means]

    for one, other in zip(trained(False), trained(True), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("now", "refused"), [("fp32", False), ("bf16", True)])
def test_training_continues_in_its_precision_alone(tmp_path: Path, now: str, refused: bool) -> None:
    model = torch.nn.Linear(2, 2)
    loop._Training(model, job(np.arange(1, 9)), tmp_path)._save()
    again = replace(job(np.arange(1, 9)), precision=now)
    if not refused:
        loop._Training(model, again, tmp_path)
        return
    with pytest.raises(UserError, match=r"trained in fp32 so far.*DISTILLERY_PRECISION=fp32"):
        loop._Training(model, again, tmp_path)
