"""The GRU of CPUs beside PyTorch's own layer."""

import pytest
import torch
from torch import nn

from distillery.kernels import gru
from distillery.models import registry

NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def compare(
    rows: int, length: int, width: int, dtype: torch.dtype = torch.float32, low: bool = False
) -> float:
    """The largest difference from `nn.GRU` in outputs and gradients, of the largest value."""
    torch.manual_seed(rows * length)
    layer = nn.GRU(24, width, batch_first=True, bidirectional=True).to(dtype)
    lengths = torch.randint(1, length + 1, (rows, 1))
    lengths[0] = length
    mask = torch.arange(length) < lengths
    turned = torch.where(mask, lengths - 1 - torch.arange(length), torch.arange(length))
    inputs = torch.randn(rows, length, 24, dtype=dtype, requires_grad=True)
    grad = torch.randn(rows, length, 2 * width, dtype=dtype) * mask[:, :, None]
    packed = nn.utils.rnn.pack_padded_sequence(
        inputs, lengths[:, 0], batch_first=True, enforce_sorted=False
    )
    expected = nn.utils.rnn.pad_packed_sequence(
        layer(packed)[0], batch_first=True, total_length=length
    )[0]
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        found = gru.bidirectional(layer, inputs, turned) * mask[:, :, None]
    wanted = [inputs, *layer.parameters()]
    ours = torch.autograd.grad(found, wanted, grad.to(found.dtype))
    theirs = torch.autograd.grad(expected, wanted, grad)
    pairs = [(found.detach().to(dtype), expected.detach()), *zip(ours, theirs, strict=True)]
    return max(
        float((one - other).abs().max() / other.abs().max().clamp(min=1)) for one, other in pairs
    )


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (3, 2), (5, gru.CHUNK), (7, gru.CHUNK + 1)])
def test_outputs_and_gradients_are_those_of_the_layer(rows: int, length: int) -> None:
    assert compare(rows, length, 16) < 1e-5


def test_long_texts_and_a_real_width_agree_too() -> None:
    assert compare(16, 256, 128) < 1e-4  # PyTorch's own tanh is off by 3e-5 in some shapes
    assert compare(4, 100, 128, torch.float64) < 1e-12


def test_lower_precision_is_near() -> None:
    assert compare(8, 64, 32, low=True) < 0.05


def test_gradients_are_right_by_finite_differences() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, gru.CHUNK + 2, 2, 3, dtype=torch.float64, requires_grad=True)
    shapes = [(2, 12, 3), (2, 12, 4), (2, 12), (2, 12)]
    weights = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(gru.GRUFunction.apply, (inputs, *weights), fast_mode=True)


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
