"""BERT classifiers of a known shape with random weights: time does not depend on the weights."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from distillery import encoders, recipes, tasks
from distillery.compression import export, quantize
from distillery.data import store
from distillery.errors import UserError
from distillery.models import saved, tokenization

SHAPES: dict[str, dict[str, int]] = {
    "bert-base": {},  # what BertConfig says by itself
    "tiny": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    },
}
PROBES = 32  # reviews on which the ONNX model is compared


def write(task_name: str, recipe: recipes.InferenceRecipe, place: Path) -> int:
    """Writes the shape as `pytorch`, `onnx` and `int8` into `place`; gives its parameters."""
    task = tasks.get(task_name)
    tokenizer = tokenization.load(encoders.locate(recipe.tokenizer))
    torch.manual_seed(0)
    config = BertConfig(
        **SHAPES[recipe.shape],
        vocab_size=len(tokenizer),
        num_labels=len(task.labels),
        max_position_embeddings=max(512, recipe.max_length),
    )
    model = BertForSequenceClassification(config).eval()
    test = store.read_split(task_name, "test")
    reader = tokenization.reader(tokenizer, recipe.max_length, recipe.head)
    text = reader.encode_split(task_name, test).take(np.arange(min(PROBES, len(test))))
    for name in ("pytorch", "onnx", "int8"):
        folder = place / name
        if name == "pytorch":
            model.save_pretrained(folder)
        else:
            config.save_pretrained(folder)
        if name == "onnx":
            export.write(model, text, recipe.max_length, folder / encoders.ONNX)
        if name == "int8":
            source = place / "onnx" / encoders.ONNX
            quantize.write(source, folder / encoders.ONNX, recipes.QuantizationRecipe(), ())
        tokenization.save(tokenizer, folder)
        precision = "int8" if name == "int8" else "fp32"
        shape = saved.Model(model, tokenizer, recipe.max_length, recipe.head, precision)
        saved.write_facts(shape, folder, task)
    return int(model.num_parameters())


def main(given: dict[str, Any]) -> int:
    """Writes the shape, and its number of parameters to standard output."""
    try:
        recipe = recipes.InferenceRecipe(**given["recipe"])
        print(write(given["task"], recipe, Path(given["place"])))
    except UserError as error:
        print(f"distillery: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
