"""A saved PyTorch classifier, answered as an exported one is."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from distillery.errors import UserError, reason
from distillery.models import networks
from distillery.runtime.classifier import Classifier
from distillery.runtime.session import INPUTS

WEIGHTS = "model.safetensors"


class TorchClassifier(Classifier):
    """Answers in fp32, as `pipeline` of transformers does, on a GPU where there is one.

    transformers, which takes longer to import than PyTorch, is loaded for models of its own alone.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        kind = networks.CLASSIFIERS.get(str(self.config.get("model_type")))
        self.compute: Callable[..., torch.Tensor] = self._forward
        if kind and (folder / WEIGHTS).is_file():
            student = _student(kind, self.config, len(self.labels), folder)
            self.model: Any = student
            self.compute = student.logits
        else:
            self.model = _of_transformers(folder)
        self.model.to(self.device).eval()

    def _forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(INPUTS, inputs, strict=True))).logits
        return logits

    def batch_logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            inputs = [torch.from_numpy(batch[name]).to(self.device) for name in INPUTS]
            found: np.ndarray = self.compute(*inputs).float().cpu().numpy()
            return found


def _student(
    kind: type[networks.Classifier], config: dict[str, Any], labels: int, folder: Path
) -> networks.Classifier:
    """A student of our own with the weights of a folder. UserError where they are not whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network = kind(SimpleNamespace(**{**config, "num_labels": labels}))
        weights = {name: t.float() for name, t in load_file(folder / WEIGHTS).items()}
        for name, value in sorted(network.state_dict().items()):
            if name not in weights:
                raise UserError(f"{folder} holds no whole model (no weights for {name})")
            if weights[name].shape != value.shape:
                shapes = f"{tuple(weights[name].shape)}, not {tuple(value.shape)}"
                raise UserError(f"{folder} holds no whole model ({name} has the shape {shapes})")
        network.load_state_dict(weights, strict=False, assign=True)
    except (SafetensorError, OSError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{folder} holds no whole model ({reason(error)})") from None
    return network


def _of_transformers(folder: Path) -> Any:
    from distillery.distillation import teacher as teachers

    model = teachers.load_model(folder)
    if model.config.model_type == "bert":
        from distillery.kernels import fast_bert

        fast_bert.use_in(model)
    return model
