"""Loading a saved model, to train it further or to answer texts with it.

`load_network` gives the model as transformers has it. `TorchModel` answers texts, and loads a
student of our own with PyTorch alone: importing transformers takes longer than importing PyTorch.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from distillery.errors import UserError, reason
from distillery.models import networks, segments
from distillery.runtime.classifier import Classifier
from distillery.runtime.session import INPUTS

WEIGHTS = "model.safetensors"


def load_network(folder: Path) -> Any:
    """The model saved in a folder, a class of transformers, in fp32 and from safetensors only.

    UserError if it can't be loaded or a weight is missing.
    """
    from transformers import AutoModelForSequenceClassification

    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            use_safetensors=True,
            dtype="float32",
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # a loader's many errors all mean: not a whole model
        raise UserError(f"{folder} holds no whole model ({reason(error)})") from None
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise UserError(f"{folder} holds no whole model (no weights for {missing})")
    segments.use_in(model)
    return model


class TorchModel(Classifier):
    """A saved PyTorch model that answers in fp32, on a GPU if there is one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = networks.CLASSIFIERS.get(str(self.config.get("model_type")))
        self.compute: Callable[..., torch.Tensor] = self._forward
        if network and (folder / WEIGHTS).is_file():
            student = _load_student(network, self.config, len(self.labels), folder)
            self.model: Any = student
            self.compute = student.logits
        else:
            self.model = load_network(folder)
            if self.model.config.model_type == "bert":
                from distillery.kernels import fast_bert

                fast_bert.use_in(self.model)
        self.model.to(self.device).eval()

    def _forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(INPUTS, inputs, strict=True))).logits
        return logits

    def batch_logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            inputs = [torch.from_numpy(batch[name]).to(self.device) for name in INPUTS]
            logits: np.ndarray = self.compute(*inputs).float().cpu().numpy()
            return logits


def _load_student(
    network: type[networks.Classifier], config: dict[str, Any], outputs: int, folder: Path
) -> networks.Classifier:
    """A student of our own with the weights in a folder; UserError if they are incomplete."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        student = network(SimpleNamespace(**{**config, "num_labels": outputs}))
        weights = {name: t.float() for name, t in load_file(folder / WEIGHTS).items()}
        for name, value in sorted(student.state_dict().items()):
            if name not in weights:
                raise UserError(f"{folder} holds no whole model (no weights for {name})")
            if weights[name].shape != value.shape:
                shapes = f"{tuple(weights[name].shape)}, not {tuple(value.shape)}"
                raise UserError(f"{folder} holds no whole model ({name} has the shape {shapes})")
        student.load_state_dict(weights, strict=False, assign=True)
    except (SafetensorError, OSError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{folder} holds no whole model ({reason(error)})") from None
    return student
