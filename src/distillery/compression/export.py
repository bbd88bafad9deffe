"""ONNX models, checked to give PyTorch's outputs.

This uses PyTorch's exporter by tracing: `torch.export`, on which the newer exporter rests, fixes
the batch size of recurrent layers (torch 2.13). A BERT is exported as `kernels.fast_bert` computes
it.
"""

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from distillery.errors import UserError
from distillery.kernels import fast_bert
from distillery.runtime.predictor import INPUTS, open_session, run
from distillery.text.encode import Encoded

OPSET = 20
TOLERANCE = 1e-4  # largest difference of an output from PyTorch's
ROWS = (1, 32)
LENGTHS = (8, 128)  # and the model's maximum

Batch = dict[str, np.ndarray]


class _Logits(nn.Module):
    """(B, T) inputs by place -> logits (B, C)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(**dict(zip(INPUTS, inputs, strict=True))).logits
        return logits


def write(model: Any, text: Encoded, max_length: int, path: Path) -> float:
    """Exports a model to `path`; gives the largest difference of an output from PyTorch's.

    Batch size and length are dynamic, up to `max_length` pieces. text: rows to compare on.
    UserError, and no file, if an output differs by more than `TOLERANCE`.
    """
    network = _Logits(model.cpu()).eval()
    try:
        _trace(network, next(_probes(text, max_length)), path)
        onnx.save(_accept_empty_batches(onnx.load(path)), path)
        onnx.checker.check_model(str(path), full_check=True)
        return _compare(network, text, max_length, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _xor(graph: Any, one: Any, other: Any) -> Any:
    """Exclusive or of integers, in a bag's hash: ONNX has it, the exporter doesn't know it."""
    return graph.op("BitwiseXor", one, other)


def _tensors(batch: Batch) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(batch[name]) for name in INPUTS)


def _trace(network: _Logits, example: Batch, path: Path) -> None:
    lean = copy.deepcopy(network)
    fast_bert.use_in(lean.model)
    axes = {name: {0: "batch", 1: "length"} for name in INPUTS}
    torch.onnx.utils.register_custom_op_symbolic("aten::__xor_", _xor, OPSET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: `_compare` finds what it gets wrong
        torch.onnx.export(
            lean,
            _tensors(example),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[*INPUTS],
            output_names=["logits"],
            dynamic_axes={**axes, "logits": {0: "batch"}},
        )


def _accept_empty_batches(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed to give no outputs for an empty batch.

    ONNX Runtime 1.31 aborts the whole process if an LSTM or GRU gets no rows, and refuses to
    reshape them. So a batch without rows or without tokens is padded to one of each, and the
    outputs are cut to the rows there were; any other batch stays as it is.
    """
    graph, make = model.graph, onnx.helper.make_node
    padded = {name: f"{name}.padded" for name in INPUTS}
    for node in graph.node:
        node.input[:] = [padded.get(name, name) for name in node.input]
        node.output[:] = ["logits.padded" if name == "logits" else name for name in node.output]
    constants = {"one.each": [1, 1], "none.each": [0, 0], "rows.axis": [0]}
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in constants.items()
    )
    before = [
        make("Shape", ["input_ids"], ["shape"]),
        make("Min", ["shape", "one.each"], ["shape.at.most.one"]),
        make("Sub", ["one.each", "shape.at.most.one"], ["missing"]),
        make("Concat", ["none.each", "missing"], ["pads"], axis=0),
        *(make("Pad", [name, "pads"], [new]) for name, new in padded.items()),
    ]
    after = [
        make("Shape", ["input_ids"], ["rows"], start=0, end=1),
        make("Slice", ["logits.padded", "rows.axis", "rows", "rows.axis"], ["logits"]),
    ]
    nodes = [*before, *copy.deepcopy(list(graph.node)), *after]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _compare(network: _Logits, text: Encoded, max_length: int, path: Path) -> float:
    session = open_session(path, torch.get_num_threads())
    worst = 0.0
    for batch in _probes(text, max_length):
        with torch.inference_mode():
            expected = network(*_tensors(batch)).numpy()
        try:
            outputs = run(session, batch)
        except UserError:
            outputs = np.full_like(expected, np.nan)
        difference = float(np.abs(outputs - expected).max())
        if not difference <= TOLERANCE:
            rows, length = batch["input_ids"].shape
            raise UserError(
                f"the ONNX model's outputs differ from PyTorch's by {difference:.1e} (batch {rows},"
                f" length {length}), over {TOLERANCE:g}: not exported"
            )
        worst = max(worst, difference)
    return worst


def _probes(text: Encoded, max_length: int) -> Iterator[Batch]:
    """Batches of running text at every length and number of rows, the first one padded."""
    stream = np.concatenate([text.take(np.array([row])).pieces[1:-1] for row in range(len(text))])
    first, *_, last = text.take(np.array([0])).pieces[:]
    for length in sorted({min(max_length, length) for length in (*LENGTHS, max_length)}):
        for rows in ROWS[::-1]:
            ids = np.resize(stream, (rows, length)).astype(np.int64)
            for lengths in (np.linspace(3, length, rows).astype(int), np.full(rows, length)):
                places = np.arange(length)[None, :]
                mask = places < lengths[:, None]
                pieces = np.where(mask, ids, text.pad)
                pieces[:, 0] = first
                pieces[np.arange(rows), lengths - 1] = last
                types = mask & (places >= lengths[:, None] // 2)
                arrays = (pieces, mask.astype(np.int64), types.astype(np.int64))
                yield dict(zip(INPUTS, arrays, strict=True))
