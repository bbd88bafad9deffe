"""Students with random weights, saved as distillery saves them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import files
from distillery.compression import export, quantize
from distillery.models import registry, tokenization
from distillery.recipes import QuantizationRecipe
from distillery.runtime.facts import FACTS, ONNX

MAX_LENGTH = 24
TEXTS = ["the film was great", "it was bad and dull", "a good story with a fine cast " * 9, ""]
LABELS = ("bad", "good", "so-so")


def probabilities(model: Any, texts: list[str], pairs: list[str] | None = None) -> np.ndarray:
    """(N, C) of a classifier."""
    answers = model.answers(texts, pairs)
    return np.stack([answer.values for answer in answers])


def save(folder: Path, tiny_folder: Path, form: str, kind: str = "bilstm", **facts: Any) -> Path:
    """Writes a student as distillery does. form: pytorch, onnx or int8."""
    torch.manual_seed(0)
    tokenizer = tokenization.load(tiny_folder)
    labels = facts.pop("labels", LABELS)
    model = registry.create(
        kind,
        vocab_size=len(tokenizer),
        max_length=MAX_LENGTH,
        embedding_size=64,
        hidden_size=64,
        pairs=facts.get("pairs", False),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    ).eval()
    text = tokenization.reader(tokenizer, MAX_LENGTH, 0.25).encode(TEXTS[:3], None)
    with files.replacing_folder(folder) as target:
        if form == "pytorch":
            model.save_pretrained(target)
        else:
            model.config.save_pretrained(target)
            export.write(model, text, MAX_LENGTH, target / ONNX)
        if form == "int8":
            (target / ONNX).rename(target / "whole.onnx")
            quantize.write(target / "whole.onnx", target / ONNX, QuantizationRecipe(), ())
            (target / "whole.onnx").unlink()
        tokenization.save(tokenizer, target)
        said = {"task": "t", "kind": "regression" if len(labels) == 1 else "classification"}
        said |= {"labels": list(labels), "max_length": MAX_LENGTH, "head": 0.25}
        said |= {"precision": "int8" if form == "int8" else "fp32", "pairs": False, **facts}
        files.write_json(target / FACTS, said)
    return folder
