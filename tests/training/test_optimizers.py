"""The schedule, weight decay, sparse tables and clipping."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distillery.models import registry
from distillery.recipes import Phase
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
    rates = [loop.learning_rate(phase, step, 4) for step in range(4)]
    assert rates == [1.0, 0.75, 0.5, 0.25]


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


def test_gradients_are_clipped_as_pytorch_clips_them() -> None:
    def trained(clip: bool) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.arange(6.0))
        created = loop.create_optimizers(torch.nn.ParameterList([weight]), PHASE)
        for step in range(4):
            created[0].zero_grad()
            ((weight * 3 + step) ** 2).sum().backward()
            if clip:
                loop.clip(created)
            else:
                torch.nn.utils.clip_grad_norm_([weight], loop.MAX_GRAD_NORM)
            created[0].step()
        return weight.detach()

    assert torch.allclose(trained(True), trained(False), atol=1e-5)


def test_gradients_of_a_bag_are_sparse_in_the_loop_alone(tmp_path: Path) -> None:
    model = registry.create("bag", vocab_size=20, buckets=31, max_length=8, num_labels=2)
    sparse = []
    model.encoder.table.weight.register_hook(lambda grad: sparse.append(grad.is_sparse))

    def batch_of(rows: np.ndarray) -> loop.Batch:
        ids = torch.full((len(rows), 2), 5)
        types = torch.zeros_like(ids)
        return {"input_ids": ids, "attention_mask": types + 1, "token_type_ids": types}

    def loss_of(output: Any, batch: loop.Batch) -> torch.Tensor:
        return output.logits.pow(2).sum()

    job = loop.Job(
        phase=PHASE,
        lengths=np.array([2] * 8),
        batch_of=batch_of,
        loss_of=loss_of,
        evaluate=lambda: {"accuracy": 1.0},
        metric="accuracy",
        precision="fp32",
        seed=1,
        title="bag",
    )
    loop.train(model, job, tmp_path, 60)
    assert sparse and all(sparse)
    model(torch.tensor([[4, 5]])).logits.sum().backward()
    assert sparse[-1] is False
