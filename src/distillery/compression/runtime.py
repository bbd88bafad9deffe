"""Models as they are run after compression: in PyTorch, or by ONNX Runtime."""

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor
from transformers import AutoConfig
from transformers.modeling_outputs import SequenceClassifierOutput

from distillery import encoders
from distillery.distillation import teacher as teachers
from distillery.errors import UserError, reason

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class OnnxClassifier(torch.nn.Module):
    """The ONNX model of a folder, called as a classifier of transformers is."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        teachers.read_facts(folder)  # checks it
        self.session = session(folder / encoders.ONNX)
        try:
            self.config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:  # a loader's many errors all mean: no model
            raise UserError(f"{folder} holds no model ({reason(error)})") from None

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, **_: Any
    ) -> SequenceClassifierOutput:
        """(B, T) int64 each -> logits (B, labels) fp32, on the device of the inputs."""
        given = dict(zip(INPUTS, (input_ids, attention_mask, token_type_ids), strict=True))
        found = logits(self.session, given)
        if found.shape != (len(input_ids), self.config.num_labels):
            raise UserError(
                f"the ONNX model gives {tuple(found.shape)} logits, not the"
                f" {(len(input_ids), self.config.num_labels)} of its configuration"
            )
        return SequenceClassifierOutput(logits=found.to(input_ids.device))


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session on the CPU, with as many threads as PyTorch has. UserError for a damaged file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised, not printed
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of many kinds, which all mean: no whole model
        raise UserError(f"{path} holds no whole model ({reason(error)})") from None


def logits(runs: onnxruntime.InferenceSession, batch: dict[str, Tensor]) -> Tensor:
    """The logits (B, labels) of a batch. UserError where the model cannot read it."""
    given = {name: batch[name].cpu().numpy() for name in INPUTS}
    try:
        (found,) = runs.run(["logits"], given)
    except Exception as error:  # ONNX Runtime's own kinds, of which none is public
        raise UserError(f"the ONNX model cannot read a batch ({reason(error)})") from None
    return torch.from_numpy(found)


def load(folder: Path) -> Any:
    """The classifier in a folder, whichever way it runs. UserError where there is no whole one."""
    if (folder / encoders.ONNX).is_file():
        return OnnxClassifier(folder)
    return teachers.load_model(folder)
