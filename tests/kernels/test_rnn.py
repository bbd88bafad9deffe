"""Recurrent layers for CPUs beside PyTorch's own."""

from typing import Any

import pytest
import torch
from torch import nn

from distillery.kernels import rnn
from distillery.models import registry


def compare(
    rows: int, length: int, width: int, dtype: torch.dtype = torch.float32, low: bool = False
) -> float:
    """The largest difference from `nn.GRU` in outputs and gradients, of the largest value."""
    torch.manual_seed(rows * length)
    layer = nn.GRU(24, width, batch_first=True, bidirectional=True).to(dtype)
    lengths = torch.randint(1, length + 1, (rows, 1))
    lengths[0] = length
    mask = torch.arange(length) < lengths
    reverse = torch.where(mask, lengths - 1 - torch.arange(length), torch.arange(length))
    inputs = torch.randn(rows, length, 24, dtype=dtype, requires_grad=True)
    grad = torch.randn(rows, length, 2 * width, dtype=dtype) * mask[:, :, None]
    packed = nn.utils.rnn.pack_padded_sequence(
        inputs, lengths[:, 0], batch_first=True, enforce_sorted=False
    )
    expected = nn.utils.rnn.pad_packed_sequence(
        layer(packed)[0], batch_first=True, total_length=length
    )[0]
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        found = rnn.bidirectional_gru(layer, inputs, reverse) * mask[:, :, None]
    wanted = [inputs, *layer.parameters()]
    ours = torch.autograd.grad(found, wanted, grad.to(found.dtype))
    theirs = torch.autograd.grad(expected, wanted, grad)
    pairs = [(found.detach().to(dtype), expected.detach()), *zip(ours, theirs, strict=True)]
    return max(
        float((one - other).abs().max() / other.abs().max().clamp(min=1)) for one, other in pairs
    )


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (3, 2), (5, rnn.CHUNK), (7, rnn.CHUNK + 1)])
def test_outputs_and_gradients_are_those_of_the_layer(rows: int, length: int) -> None:
    assert compare(rows, length, 16) < 1e-5


def test_long_texts_and_a_real_width_agree_too() -> None:
    assert compare(16, 256, 128) < 1e-4  # PyTorch's own tanh is off by 3e-5 in some shapes
    assert compare(4, 100, 128, torch.float64) < 1e-12


def test_lower_precision_is_near() -> None:
    assert compare(8, 64, 32, low=True) < 0.05


def test_gradients_are_right_by_finite_differences() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, rnn.CHUNK + 2, 2, 3, dtype=torch.float64, requires_grad=True)
    shapes = [(2, 12, 3), (2, 12, 4), (2, 12), (2, 12)]
    weights = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(rnn.GRUFunction.apply, (inputs, *weights), fast_mode=True)


@pytest.mark.parametrize(("student", "operation"), [("bigru2", "gru"), ("bilstm2", "lstm")])
def test_an_exported_model_holds_whole_layers(student: str, operation: str) -> None:
    """What ONNX makes its GRU and LSTM nodes of."""
    model = registry.create(student, vocab_size=30, num_labels=2, embedding_size=8, hidden_size=8)
    batch = (torch.randint(1, 30, (2, 9)), torch.ones(2, 9, dtype=torch.long))
    with torch.no_grad():
        program = torch.export.export(model.eval(), batch)
        assert torch.allclose(program.module()(*batch).logits, model(*batch).logits, atol=1e-5)
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert sum(f"aten.{operation}." in call for call in calls) == 4  # two layers, two directions


@pytest.mark.parametrize("student", ["bilstm2", "bigru2"])
def test_each_direction_alone_gives_what_the_packed_layer_gives(student: str) -> None:
    """Outputs and gradients, for texts of several lengths, down to one piece."""
    torch.manual_seed(0)
    layer = registry.create(student, num_labels=2).encoder.layers[1]
    lengths = torch.tensor([30, 1, 7, 29, 15])
    mask = (torch.arange(30) < lengths[:, None]).long()
    inputs = torch.randn(5, 30, 256)
    found = []
    for run in (rnn.packed, rnn.padded):
        given = inputs.clone().requires_grad_()
        layer.zero_grad()
        states = run(layer, given, mask)
        (states * torch.arange(states.numel()).reshape(states.shape).cos()).sum().backward()
        found.append([states, given.grad, *(weight.grad.clone() for weight in layer.parameters())])
    for packed, alone in zip(*found, strict=True):
        assert torch.allclose(packed, alone, atol=1e-5)


@pytest.mark.parametrize("switch", ["on", "off"])
@pytest.mark.parametrize("student", ["bilstm", "bigru"])
def test_the_switch_chooses_between_the_two(
    monkeypatch: pytest.MonkeyPatch, student: str, switch: str
) -> None:
    monkeypatch.setenv("DISTILLERY_KERNELS", switch)
    called = []
    for name in ("packed", "padded"):
        function = getattr(rnn, name)

        def watched(*inputs: Any, name: str = name, function: Any = function) -> Any:
            called.append(name)
            return function(*inputs)

        monkeypatch.setattr(rnn, name, watched)
    model = registry.create(student, vocab_size=30, num_labels=2, embedding_size=8, hidden_size=8)
    model(torch.randint(1, 30, (2, 9)))
    assert called == ["padded" if switch == "on" else "packed"]
