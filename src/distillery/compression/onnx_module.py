"""An ONNX model called as a classifier of transformers is, for what compares and times both."""

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput

from distillery.errors import UserError
from distillery.models.saved import load_network
from distillery.runtime.classifier import OnnxClassifier
from distillery.runtime.facts import ONNX
from distillery.runtime.session import INPUTS, logits, open_session


class OnnxModule(torch.nn.Module):
    """The ONNX model of a folder, with as many threads as PyTorch has."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.classifier = OnnxClassifier(folder, torch.get_num_threads())

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, **_: Any
    ) -> SequenceClassifierOutput:
        """(B, T) int64 each -> logits (B, labels) fp32, on the device of the inputs."""
        batch = dict(zip(INPUTS, (input_ids, attention_mask, token_type_ids), strict=True))
        found = run(self.classifier.session, batch)
        expected = (len(input_ids), len(self.classifier.labels))
        if found.shape != expected:
            raise UserError(
                f"the ONNX model gives {tuple(found.shape)} logits, not the {expected} of its"
                " configuration"
            )
        return SequenceClassifierOutput(logits=found.to(input_ids.device))


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session with as many threads as PyTorch has. UserError for a damaged file."""
    return open_session(path, torch.get_num_threads())


def run(session: onnxruntime.InferenceSession, batch: dict[str, Tensor]) -> Tensor:
    """The logits (B, labels) of a batch. UserError where the model cannot read it."""
    return torch.from_numpy(logits(session, {name: batch[name].cpu().numpy() for name in INPUTS}))


def load(folder: Path) -> Any:
    """The classifier in a folder, whichever way it runs. UserError where there is no whole one."""
    return OnnxModule(folder) if (folder / ONNX).is_file() else load_network(folder)
