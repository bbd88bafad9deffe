"""Loading and saving any model: a teacher, a student, or one that is converted.

`Model` is what is trained and saved, `load_network` gives the network as transformers has it, and
`TorchPredictor` answers texts: it loads a student of our own with PyTorch alone, since importing
transformers takes longer than importing PyTorch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distillery import files
from distillery.data import store
from distillery.data.task import Task
from distillery.errors import UserError, reason
from distillery.models import networks
from distillery.runtime.facts import FACTS, ONNX, read_facts
from distillery.runtime.predictor import INPUTS, Predictor

if TYPE_CHECKING:
    from distillery.text.splits import SplitReader

WEIGHTS = "model.safetensors"


@dataclass
class Model:
    """A network of transformers, its tokenizer, and how it reads texts.

    max_length, head: as of `recipes.TextRecipe`. precision: fp32, bf16 or int8. facts: what a
    result says of how it was made. about: further facts that are saved beside it.
    """

    network: Any
    tokenizer: Any
    max_length: int
    head: float
    precision: str
    facts: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def reader(self) -> "SplitReader":
        """How it reads whole splits."""
        from distillery.models import tokenization

        return tokenization.reader(self.tokenizer, self.max_length, self.head)


def load(folder: Path) -> Model:
    """The model that a stage saved in a folder, in fp32."""
    from distillery.models import tokenization

    facts = read_facts(folder)
    reading = (facts["max_length"], facts["head"], facts["precision"])
    return Model(load_network(folder), tokenization.load(folder), *reading)


def save(model: Model, folder: Path, task: Task, converted: bool = False) -> None:
    """Writes a model's weights, its tokenizer and what `read_facts` reads into a folder.

    converted: the weights are there already, in ONNX: the configuration alone is added.
    """
    from distillery.models import tokenization

    part = model.network.config if converted else model.network
    part.save_pretrained(folder)
    network = None if converted else model.network
    tokenization.save_for(network, model.tokenizer, folder, model.max_length, model.head)
    write_facts(model, folder, task)


def write_facts(model: Model, folder: Path, task: Task) -> None:
    """Writes beside a model what `read_facts` reads."""
    facts = {
        "task": task.name,
        "kind": task.kind.name,
        "labels": list(task.labels),
        "max_length": model.max_length,
        "head": model.head,
        "precision": model.precision,
        "pairs": store.read_split(task.name, "dev").paired,
    }
    files.write_json(folder / FACTS, {**facts, **model.about})


def weights(folder: Path) -> Path:
    """The file of a saved model's weights."""
    exported = folder / ONNX
    return exported if exported.is_file() else folder / WEIGHTS


def load_network(folder: Path) -> Any:
    """The model saved in a folder, a class of transformers, in fp32 and from safetensors only.

    UserError if it can't be loaded or a weight is missing.
    """
    from transformers import AutoModelForSequenceClassification

    from distillery.models import auto

    classes = AutoModelForSequenceClassification
    model, report = auto.load(classes, folder, output_loading_info=True)
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise UserError(f"{folder} holds no whole model (no weights for {missing})")
    auto.hide_token_types(model)
    return model


class TorchPredictor(Predictor):
    """A saved PyTorch model that answers in fp32, on a GPU if there is one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = networks.of(str(self.config.get("model_type")))
        self.compute: Callable[..., torch.Tensor] = self._forward
        if network and (folder / WEIGHTS).is_file():
            student = _load_student(network, self.config, len(self.names), folder)
            self.model: Any = student
            self.compute = student.logits
        else:
            self.model = load_network(folder)
            if self.model.config.model_type == "bert":
                from distillery.kernels import fast_bert

                fast_bert.use_in(self.model)
        self.model.to(self.device).eval()

    def _forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.model(**dict(zip(INPUTS, inputs, strict=True))).logits
        return result

    def batch_outputs(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            inputs = [torch.from_numpy(batch[name]).to(self.device) for name in INPUTS]
            return self.compute(*inputs).float().cpu().numpy()


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
