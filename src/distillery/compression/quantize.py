"""ONNX models with weights of 8 or 4 bits.

- Word and position embeddings: per block of a row, read by `GatherBlockQuantized`. Narrow tables,
  a bag's: int8 with a scale per column.
- Matmuls and LSTMs: int8 weights, a scale per output. Dynamic: the inputs are quantized as they
  come. Static: by ranges seen on calibration rows, for models without recurrent layers.
- What has no int8 kernel (convolutions, GRUs): int8 on disk, fp32 when computed.

Weights of fewer than `SMALL` values stay fp32, as the classifier's of single texts. All scales are
symmetric: w = s q (Jacob et al. 2018, arXiv:1712.05877, eq. 1, with zero point 0).

ONNX Runtime does this rather than torchao 0.18 (int8 weights and dynamic int8 inputs, uncompiled),
which leaves embeddings and LSTMs as they are. One core with AMX, 1 and 32 texts of 256 pieces, ms:

| | PyTorch fp32 | bf16 | torchao | ONNX Runtime fp32 | int8 |
| --- | ---: | ---: | ---: | ---: | ---: |
| attention | 5.2, 107 | 3.9, 52 | 6.9, 143 | 4.4, 170 | 3.9, 149 |
| transformer2 | 12.3, 258 | 7.2, 120 | 16.4, 392 | 8.8, 394 | 6.7, 334 |
| bilstm | 4.5, 53 | 3.6, 27 | 4.2, 52 | 3.1, 70 | 2.8, 59 |

So int8 is for the size of the file and for single texts; batches are fastest in bf16.
"""

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from distillery.errors import UserError
from distillery.recipes import QuantizationRecipe

SMALL = 4096
BLOCKS = {8: 128, 4: 32}  # bits -> values that share a scale
NARROW = 16  # the smallest block that the kernel supports
CONTRIB = "com.microsoft"
RECURRENT = ("LSTM", "GRU")


class _Rows(CalibrationDataReader):  # type: ignore[misc]
    """Gives the calibration batches one by one."""

    def __init__(self, batches: Iterable[dict[str, np.ndarray]]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def write(
    source: Path,
    target: Path,
    recipe: QuantizationRecipe,
    calibration: Iterable[dict[str, np.ndarray]],
) -> None:
    """Writes the quantized model of an ONNX file. calibration: batches, read only if static.

    UserError for static quantization of a recurrent model.
    """
    model = onnx.load(source)
    shared: dict[str, Any] = {
        "per_channel": True,
        "weight_type": QuantType.QInt8,
        "nodes_to_exclude": _small_matmuls(model),
    }
    if recipe.method == "static" and any(node.op_type in RECURRENT for node in model.graph.node):
        raise UserError("a recurrent model has no static quantization: use dynamic")
    logging.disable(logging.WARNING)  # advice to optimize the graph first, which a session does
    try:
        with tempfile.TemporaryDirectory() as place:
            half = Path(place) / "half.onnx"
            if recipe.method == "static":
                shared["op_types_to_quantize"] = ["MatMul"]
                quantize_static(source, half, _Rows(calibration), **shared)
            else:
                quantize_dynamic(source, half, ["MatMul", "LSTM"], **shared)
            model = onnx.load(half)
    finally:
        logging.disable(logging.NOTSET)
    _shrink_embeddings(model, recipe.embedding_bits)
    _shrink_rest(model)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _weights(model: ModelProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def _is_large(tensor: TensorProto | None, *ranks: int) -> bool:
    return (
        tensor is not None
        and tensor.data_type == TensorProto.FLOAT
        and len(tensor.dims) in ranks
        and bool(np.prod(tensor.dims) >= SMALL)
    )


def _small_matmuls(model: ModelProto) -> list[str]:
    """Matmuls with a weight of few values; a Gemm under its name once it is made a matmul."""
    weights = _weights(model)
    ends = {"MatMul": "", "Gemm": "_MatMul"}
    return [
        f"{node.name}{ends[node.op_type]}"
        for node in model.graph.node
        if node.op_type in ends
        and node.input[1] in weights
        and np.prod(weights[node.input[1]].dims) < SMALL
    ]


def _replace(
    model: ModelProto, weight: TensorProto, codes: np.ndarray, scales: np.ndarray
) -> list[str]:
    """Replaces a weight by its codes and scales; gives their names."""
    parts = {f"{weight.name}.codes": codes, f"{weight.name}.scales": scales}
    model.graph.initializer.remove(weight)
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in parts.items())
    return [*parts]


def _set_nodes(model: ModelProto, nodes: list[NodeProto]) -> None:
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def packed_blocks(table: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(V, E) -> uint8 codes, two to a byte for 4 bits, scales (V, blocks), and the block's size.

    A value is (code - 2^(bits - 1)) * scale of its block. UserError for 4 bits of an odd width.
    """
    rows, width = table.shape
    if bits == 4 and width % 2:
        raise UserError(f"embedding_bits 4 is impossible: the embeddings' width {width} is odd")
    block = min(BLOCKS[bits], max(NARROW, 1 << (width - 1).bit_length()))
    padded = np.pad(table, ((0, 0), (0, -width % block))).reshape(rows, -1, block)
    half = 2 ** (bits - 1)
    scales = np.abs(padded).max(axis=2) / (half - 1)
    scales[scales == 0] = 1
    codes = (np.round(padded / scales[..., None]) + half).astype(np.uint8).reshape(rows, -1)
    codes = codes[:, :width]
    if bits == 4:
        codes = codes[:, 0::2] | (codes[:, 1::2] << 4)
    return codes, scales.astype(np.float32), block


def _shrink_embeddings(model: ModelProto, bits: int) -> None:
    """Tables that rows are gathered from: 8 or 4 bits a value. Those with rows too short for a
    scale of their own: int8 with a scale per column, made fp32 once gathered."""
    weights = _weights(model)
    gathered = [node.input[0] for node in model.graph.node if node.op_type == "Gather"]
    tables = [name for name in dict.fromkeys(gathered) if _is_large(weights.get(name), 2)]
    for name in tables:
        table = numpy_helper.to_array(weights[name])
        narrow = table.shape[1] < NARROW
        if narrow and bits != 8:
            raise UserError(f"embedding_bits {bits} is impossible for rows of {table.shape[1]}: 8")
        codes, scales, block = (
            (*_per_channel(table, 1), None) if narrow else packed_blocks(table, bits)
        )
        names = _replace(model, weights[name], codes, scales)
        nodes: list[NodeProto] = []
        for node in model.graph.node:
            nodes.append(node)
            if node.op_type != "Gather" or node.input[0] != name:
                continue
            if narrow:
                (found,) = node.output
                node.input[0], node.output[0] = names[0], f"{found}.codes"
                inputs = [node.output[0], names[1]]
                nodes.append(helper.make_node("DequantizeLinear", inputs, [found], axis=-1))
            else:
                nodes[-1] = helper.make_node(
                    "GatherBlockQuantized",
                    [names[0], node.input[1], names[1]],
                    node.output,
                    name=node.name,
                    domain=CONTRIB,
                    gather_axis=0,
                    quantize_axis=1,
                    block_size=block,
                    bits=bits,
                )
        _set_nodes(model, nodes)
    if tables and CONTRIB not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))


def _per_channel(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes in the weight's shape, and a scale (C,) for each place along `axis`."""
    others = tuple(dim for dim in range(weight.ndim) if dim != axis)
    scales = np.abs(weight).max(axis=others) / 127
    scales[scales == 0] = 1
    shape = [-1 if dim == axis else 1 for dim in range(weight.ndim)]
    return np.round(weight / scales.reshape(shape)).astype(np.int8), scales.astype(np.float32)


def _shrink_rest(model: ModelProto) -> None:
    """Every large fp32 weight that is left: int8 with a scale per output, made fp32 when read."""
    readers: dict[str, NodeProto] = {name: node for node in model.graph.node for name in node.input}
    before: list[NodeProto] = []
    for name, tensor in _weights(model).items():
        if _is_large(tensor, 2, 3, 4):
            axis = 1 if readers[name].op_type in RECURRENT else 0
            names = _replace(model, tensor, *_per_channel(numpy_helper.to_array(tensor), axis))
            before.append(helper.make_node("DequantizeLinear", names, [name], axis=axis))
    _set_nodes(model, [*before, *model.graph.node])
