"""A checkpoint restores all that training depends on, in the precision it was trained in."""

from pathlib import Path

import pytest
import torch

from distillery.errors import UserError
from distillery.models import registry
from distillery.recipes import Phase
from distillery.training import loop
from distillery.training.checkpoint import Checkpoint, Progress

PHASE = Phase(splits=("train",), losses=(("mse", 1.0, {}),), learning_rate=0.1)


@pytest.mark.parametrize(("metric", "expected"), [("accuracy", 1), ("mse", 0), ("loss", 0)])
def test_best_epoch_is_the_first_of_equals(metric: str, expected: int) -> None:
    history = [{metric: value} for value in (0.5, 0.8, 0.8, 0.5)]
    assert Progress(history=history).best(metric) == expected


def test_training_resumes_with_the_sparse_state(tmp_path: Path) -> None:
    """With identical results, random draws included."""

    def create() -> tuple[torch.nn.Module, list[torch.optim.Optimizer], Checkpoint]:
        model = registry.create("bag", vocab_size=20, buckets=31, max_length=8, num_labels=2)
        created = loop.create_optimizers(model, PHASE)
        return model, created, Checkpoint(tmp_path, model, created)

    def trained(stop: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model, created, checkpoint = create()
        for step in range(6):
            if stop and step == 3:
                checkpoint.save(Progress(step=step, precision="fp32"))
                model, created, checkpoint = create()
                assert checkpoint.load("fp32").step == step
            for optimizer in created:
                optimizer.zero_grad()
            loss = model(torch.tensor([[3, 4, step + 5]])).logits.pow(2).sum() * torch.rand(())
            loss.backward()
            loop.clip(created)
            for optimizer in created:
                optimizer.step()
        return [weight for weight, _ in checkpoint.owners]

    for one, other in zip(trained(False), trained(True), strict=True):
        assert torch.equal(one, other)


def test_training_continues_in_its_own_precision_only(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    checkpoint = Checkpoint(tmp_path, model, loop.create_optimizers(model, PHASE))
    assert checkpoint.load("bf16").precision == "bf16"  # there is none yet
    checkpoint.save(Progress(precision="fp32"))
    assert checkpoint.load("fp32").precision == "fp32"
    with pytest.raises(UserError, match=r"trained in fp32 so far.*DISTILLERY_PRECISION=fp32"):
        checkpoint.load("bf16")
