"""ONNX models: right for any batch and length, or not there."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from distillery.compression import export
from distillery.errors import UserError
from distillery.models import registry
from distillery.models.pretrained import StudentForSequenceClassification
from distillery.runtime.predictor import INPUTS, open_session
from distillery.students import OWN, STUDENTS
from distillery.text.encode import Encoded
from tests.compression.conftest import KINDS, MAX_LENGTH, batch, classifier, onnx_outputs


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_pytorchs_at_other_shapes_than_the_examples(
    kind: str, text: Encoded, tmp_path: Path
) -> None:
    model, path = classifier(kind), tmp_path / "model.onnx"
    assert export.write(model, text, MAX_LENGTH, path) <= export.TOLERANCE
    session = open_session(path, 1)
    for rows, length in ((1, 2), (3, 7), (50, MAX_LENGTH), (1, MAX_LENGTH)):
        inputs = batch(rows, length, seed=rows + length)
        with torch.inference_mode():
            expected = model(**inputs).logits
        found = onnx_outputs(path, inputs)
        torch.testing.assert_close(found, expected, atol=export.TOLERANCE, rtol=0)
    for shape in ((0, 4), (0, 0)):  # ONNX Runtime itself aborts at an LSTM without rows
        nothing = dict.fromkeys(INPUTS, np.zeros(shape, np.int64))
        assert session.run(["logits"], nothing)[0].shape == (0, 2)
    without_tokens = dict.fromkeys(INPUTS, np.zeros((3, 0), np.int64))
    assert session.run(["logits"], without_tokens)[0].shape == (3, 2)


def test_inputs_and_output_are_those_of_the_contract(text: Encoded, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export.write(classifier("attention"), text, MAX_LENGTH, path)
    session = open_session(path, 1)
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        (name, "tensor(int64)", ["batch", "length"]) for name in INPUTS
    ]
    (output,) = session.get_outputs()
    assert (output.name, output.type, output.shape[0]) == ("logits", "tensor(float)", "batch")
    model = onnx.load(path)
    assert [opset.version for opset in model.opset_import if not opset.domain] == [export.OPSET]


@pytest.mark.parametrize("kind", [name for name in OWN if name.startswith("bi")])
def test_recurrent_layers_are_nodes_of_their_own(kind: str, text: Encoded, tmp_path: Path) -> None:
    architecture, layers = STUDENTS[kind].architecture, STUDENTS[kind].layers
    export.write(classifier(kind), text, MAX_LENGTH, tmp_path / "model.onnx")
    nodes = Counter(node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node)
    assert nodes[architecture.removeprefix("bi").upper()] == 2 * layers
    assert not nodes["Loop"] and not nodes["Scan"]


class _CountsRows(registry.CLASSES["bilstm"]):
    """Its logits depend on the batch size in a way that tracing takes for a constant."""

    def forward(self, input_ids: torch.Tensor, **inputs: Any) -> Any:
        output = StudentForSequenceClassification.forward(self, input_ids, **inputs)
        output.logits = output.logits + 0.01 * len(input_ids)
        return output


def test_a_model_that_differs_is_refused_and_nothing_is_left(text: Encoded, tmp_path: Path) -> None:
    model = _CountsRows(classifier("bilstm").config).eval()
    with pytest.raises(UserError, match=r"differ from PyTorch's by 3.1e-01 \(batch 1, length 8\)"):
        export.write(model, text, MAX_LENGTH, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
