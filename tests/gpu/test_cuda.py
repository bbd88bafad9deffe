"""What a GPU does beside what a CPU does: `make test-gpu` (not part of `make test`)."""

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from distillery.cli import main
from distillery.distillation import losses
from distillery.kernels import fast_bert, graphs, hardware, rnn
from distillery.models import registry
from distillery.recipes import Phase
from distillery.training import inference, loop
from tests.conftest import STAGES

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _gpu() -> None:
    assert torch.cuda.is_available(), "there is no CUDA GPU here, or no PyTorch that serves it"


LENGTHS = np.tile([3, 9, 17, 24], 24)  # three shapes of batches of 8
LABELS = np.arange(len(LENGTHS)) % 2


def bert(dropout: float = 0.0) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    model = BertForSequenceClassification(config)
    fast_bert.use_in(model)
    return model


def student(architecture: str, **sizes: Any) -> Any:
    torch.manual_seed(0)
    labels = {0: "no", 1: "yes"}
    options = {"embedding_size": 16, "hidden_size": 64, "dropout": 0.0, **sizes}
    return registry.create(architecture, vocab_size=50, id2label=labels, **options)


def batch_of(rows: np.ndarray) -> loop.Batch:
    width = -(-int(LENGTHS[rows].max()) // 8) * 8
    mask = torch.arange(width)[None] < torch.from_numpy(LENGTHS[rows])[:, None]
    ids = torch.from_numpy(np.stack([(7 * row + np.arange(width)) % 49 + 1 for row in rows]))
    return {
        "input_ids": ids * mask,
        "attention_mask": mask.long(),
        "token_type_ids": torch.zeros_like(ids),
        "labels": torch.from_numpy(LABELS[rows]),
    }


class StoppedError(Exception):
    pass


def train(model: Any, place: Path, stop_after: int | None = None, precision: str = "fp32") -> Any:
    """The losses of every step and the weights after three epochs, or until it is stopped."""
    phase = Phase(
        splits=("train",),
        losses=(("labels", 1.0, {}),),
        epochs=3,
        batch_size=8,
        learning_rate=1e-3,
    )
    total = losses.Losses(phase.losses, "classification")
    seen: list[float] = []
    epochs = 0

    def evaluate() -> dict[str, float]:
        nonlocal epochs
        epochs += 1
        if epochs == stop_after:
            raise StoppedError
        return {"accuracy": float(epochs)}

    class Losses(loop._Losses):
        def add(self, step: int, loss: torch.Tensor) -> None:
            seen.append(float(loss))
            super().add(step, loss)

    job = loop.Job(
        phase=phase,
        lengths=LENGTHS,
        batch_of=batch_of,
        loss_of=lambda output, batch: total(output, None, batch),
        evaluate=evaluate,
        metric="accuracy",
        precision=precision,
        seed=0,
        title="gpu",
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(loop, "_Losses", Losses)
        loop.train(model, job, place, checkpoint_seconds=1e9)
    return seen, {name: tensor.cpu() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], atol=1e-4, rtol=1e-3, msg=name)


MODELS = {
    "bert": bert,
    "attention": lambda: student("attention"),
    "transformer": lambda: student("transformer"),
}


@pytest.mark.parametrize("name", MODELS)
def test_graphs_learn_what_steps_learn(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = 0
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: torch.cuda.CUDAGraph) -> None:
        nonlocal replayed
        replayed += 1
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counted)
    found, weights = train(MODELS[name](), tmp_path / "graphs")
    assert replayed == len(found) - 3  # each of the three shapes is computed as ever once
    monkeypatch.setattr(graphs, "can_hold", lambda _: False)
    expected, others = train(MODELS[name](), tmp_path / "steps")
    assert replayed == len(found) - 3
    assert found == pytest.approx(expected, abs=1e-4)
    assert expected[-1] != pytest.approx(expected[0], abs=1e-3), "nothing was learned"
    same(weights, others)


def test_a_stopped_training_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    found, whole = train(bert(), tmp_path / "whole")
    with pytest.raises(StoppedError):
        train(bert(), tmp_path / "stopped", stop_after=2)
    rest, weights = train(bert(), tmp_path / "stopped")
    assert rest == pytest.approx(found[-len(rest) :], abs=1e-4)
    assert len(rest) < len(found)
    same(whole, weights)


def test_every_replay_draws_its_own_dropout() -> None:
    model = bert(dropout=0.5).to(hardware.device()).train()

    def step(batch: loop.Batch) -> torch.Tensor:
        loss = model(**batch).loss
        loss.backward()
        model.zero_grad(set_to_none=True)
        return loss.detach()

    captured = graphs.Graphs(step)
    found = [float(captured.run(batch_of(np.arange(8)))) for _ in range(6)]
    assert len(set(found)) == 6


def test_models_that_wait_for_the_gpu_are_no_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {name: graphs.can_hold(student(name)) for name in ("bilstm", "bigru", "attention")}
    assert held == {"bilstm": False, "bigru": False, "attention": True}
    assert not graphs.can_hold(student("bag", embedding_size=2))
    assert not graphs.can_hold(torch.nn.Linear(2, 2))
    monkeypatch.setenv("DISTILLERY_KERNELS", "off")
    assert not graphs.can_hold(student("attention"))


def test_graphs_are_gone_after_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[graphs.Graphs]] = []

    class Watched(graphs.Graphs):
        def __init__(self, step: Any) -> None:
            super().__init__(step)
            made.append(weakref.ref(self))

    monkeypatch.setattr(graphs, "Graphs", Watched)
    gc.disable()
    try:
        train(bert(), tmp_path)
        assert [found() for found in made] == [None]
    finally:
        gc.enable()


def test_packed_texts_are_answered_as_padded_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    packings = []
    attend = fast_bert.Packed.attend

    def counted(texts: fast_bert.Packed, *arguments: Any) -> torch.Tensor:
        packings.append(texts)
        return attend(texts, *arguments)

    monkeypatch.setattr(fast_bert.Packed, "attend", counted)
    model = bert().to(hardware.device()).eval()
    text = {n: t for n, t in batch_of(np.arange(8)).items() if n != "labels"}
    packed = inference.forward(model, text, "bf16")
    assert len(packings) == model.config.num_hidden_layers
    fast_bert.use_in(model, packs=lambda _: False)
    torch.testing.assert_close(packed, inference.forward(model, text, "bf16"), atol=1e-2, rtol=0)
    exact = inference.forward(model, text, "fp32")
    torch.testing.assert_close(packed, exact, atol=1e-2, rtol=0)


def test_compiled_layers_learn_what_written_ones_do(tmp_path: Path) -> None:
    expected, _ = train(bert(), tmp_path / "written")
    model = bert()
    fast_bert.compile_in(model)
    found, _ = train(model, tmp_path / "compiled")
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("architecture", ["bilstm", "bigru"])
def test_cudnn_gives_what_the_cpu_gives(architecture: str) -> None:
    model = student(architecture)
    layer = model.encoder.layers[0]
    batch = batch_of(np.arange(8))
    mask = batch["attention_mask"].bool()
    inputs = torch.randn(*mask.shape, 16, requires_grad=True)
    states = rnn.padded(layer, inputs, mask)
    states.square().sum().backward()
    assert inputs.grad is not None
    found = [states, inputs.grad, *(weight.grad for weight in layer.parameters())]
    expected = [tensor.detach().clone() for tensor in found if tensor is not None]
    model.to(hardware.device()).zero_grad()
    again = inputs.detach().to(hardware.device()).requires_grad_()
    with torch.backends.cudnn.flags(allow_tf32=False):
        every, _ = model.encoder.encode(again, mask.to(hardware.device()), False)
        every[0].square().sum().backward()
    there = [every[0], again.grad, *(weight.grad for weight in layer.parameters())]
    for one, two in zip(there, expected, strict=True):
        assert one is not None
        torch.testing.assert_close(one.cpu(), two, atol=2e-3, rtol=2e-3)


def test_the_stages_run_on_the_gpu(home: Path) -> None:
    for command in STAGES:
        assert main([*command.split(), "--task", "smoke"]) == 0, command
    for name in ("tiny_smoke", "distil_attention_tiny_smoke", "distil_bilstm_tiny_smoke"):
        result = json.loads((home / "results" / "local" / f"{name}.json").read_text())
        assert result["environment"]["device"] == torch.cuda.get_device_name()
        assert result["metrics"]["accuracy"] > 0.6, name
