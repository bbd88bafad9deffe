"""BERT models of a known shape with random weights: time does not depend on the weights."""

from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from distillery import encoders, recipes, tasks
from distillery.compression import export, quantize
from distillery.data import store
from distillery.models import saved, tokenization

SHAPES: dict[str, dict[str, int]] = {
    "bert-base": {},  # the defaults of BertConfig
    "tiny": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    },
}
PROBES = 32  # texts on which the ONNX model is compared


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
    pytorch, onnx, int8 = folders = [place / name for name in ("pytorch", "onnx", "int8")]
    for folder in folders:
        config.save_pretrained(folder)
        tokenization.save(tokenizer, folder)
        precision = "int8" if folder is int8 else "fp32"
        shape = saved.Model(model, tokenizer, recipe.max_length, recipe.head, precision)
        saved.write_facts(shape, folder, task)
    model.save_pretrained(pytorch)
    export.write(model, text, recipe.max_length, onnx / encoders.ONNX)
    int8_recipe = recipes.QuantizationRecipe()
    quantize.write(onnx / encoders.ONNX, int8 / encoders.ONNX, int8_recipe, ())
    return int(model.num_parameters())
