"""Weights of 8 and 4 bits: small files whose models say nearly the same."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from distillery.compression import export, quantize
from distillery.errors import UserError
from distillery.recipes import QuantizationRecipe
from distillery.text.encode import Encoded
from tests.compression.conftest import MAX_LENGTH, batch, classifier, onnx_outputs

RECIPES = {
    "dynamic": QuantizationRecipe(),
    "4 bits": QuantizationRecipe(embedding_bits=4),
    "static": QuantizationRecipe(method="static"),
}


def _quantized(kind: str, recipe: QuantizationRecipe, text: Encoded, folder: Path) -> Path:
    whole, small = folder / "whole.onnx", folder / "small.onnx"
    sizes = {} if kind == "bag" else {"embedding_size": 64, "hidden_size": 64}
    model = classifier(kind, **sizes)
    export.write(model, text, MAX_LENGTH, whole)
    rows = (text.batch(np.array([row])) for row in range(len(text)))
    quantize.write(whole, small, recipe, rows)
    return small


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *((kind, "dynamic") for kind in ("bilstm2", "bigru", "attention", "transformer", "bert")),
        *(("bilstm", "4 bits"), ("attention", "4 bits"), ("transformer", "static")),
        *(("pruned bert", "static"), ("bag", "dynamic")),
    ],
)
def test_logits_stay_near_and_large_weights_are_small_integers(
    kind: str, how: str, text: Encoded, tmp_path: Path
) -> None:
    path = _quantized(kind, RECIPES[how], text, tmp_path)
    inputs = batch(40, MAX_LENGTH)
    before = onnx_outputs(tmp_path / "whole.onnx", inputs)
    after = onnx_outputs(path, inputs)
    error = (after - before).pow(2).mean().sqrt() / before.std()
    assert 0 < error < (0.5 if how == "4 bits" else 0.15)
    for tensor in onnx.load(path).graph.initializer:
        if np.prod(tensor.dims) >= quantize.SMALL:
            kinds = (TensorProto.INT8, TensorProto.UINT8)
            assert tensor.data_type in kinds, tensor.name


def test_a_recurrent_model_has_no_static_quantization(text: Encoded, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no static quantization: use dynamic"):
        _quantized("bigru", RECIPES["static"], text, tmp_path)


@pytest.mark.parametrize(("bits", "width", "block"), [(8, 200, 128), (8, 20, 32), (4, 50, 32)])
def test_a_value_is_its_code_times_the_scale_of_its_block(
    bits: int, width: int, block: int
) -> None:
    table = np.random.default_rng(0).normal(size=(7, width)).astype(np.float32)
    table[3] = 0
    codes, scales, size = quantize.packed_blocks(table, bits)
    assert size == block
    assert codes.shape == (7, width * bits // 8)
    if bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=-1).reshape(7, width)
    per_value = scales.repeat(block, axis=1)[:, :width]
    found = (codes.astype(np.float32) - 2 ** (bits - 1)) * per_value
    assert np.abs(found - table).max() <= per_value.max() / 2 + 1e-6
    assert not found[3].any()


def test_4_bits_of_a_narrow_table_are_refused(text: Encoded, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="embedding_bits 4 is impossible for rows of 2: 8"):
        _quantized("bag", RECIPES["4 bits"], text, tmp_path)


def test_4_bits_of_an_odd_width_are_refused() -> None:
    with pytest.raises(UserError, match="width 5 is odd"):
        quantize.packed_blocks(np.ones((2, 5), np.float32), 4)


def test_gather_reads_the_blocks_as_they_were_written(text: Encoded, tmp_path: Path) -> None:
    """A table of exact 4-bit values: the quantized model says what the whole one says."""
    torch.manual_seed(0)
    model = classifier("bigru", embedding_size=64, hidden_size=8)  # weights below SMALL
    values = torch.randint(-7, 8, model.encoder.word_embeddings.weight.shape).float()
    values[:, ::32] = 7
    model.encoder.word_embeddings.weight.data = values / 7
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    export.write(model, text, MAX_LENGTH, whole)
    quantize.write(whole, small, RECIPES["4 bits"], [])
    inputs = batch(5, 9)
    before, after = (onnx_outputs(path, inputs) for path in (whole, small))
    torch.testing.assert_close(before, after, atol=1e-5, rtol=0)
    assert small.stat().st_size < whole.stat().st_size
