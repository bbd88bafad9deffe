"""Small models with random weights, saved as the stages save them."""

from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification

from distillery import files
from distillery.models import registry, tokenization
from distillery.runtime.facts import FACTS

ROOM = 12  # word pieces of a text
LABELS = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}


def save(folder: Path, tiny_folder: Path, kind: str, pairs: bool = False, head: float = 1.0) -> Any:
    """Saves a student, or a teacher, as the stages do; gives the model."""
    torch.manual_seed(0)
    tokenizer = tokenization.load(tiny_folder)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, **LABELS}
    if kind == "teacher":
        layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        config = BertConfig(max_position_embeddings=64, **layers, **sizes)
        model: Any = BertForSequenceClassification(config)
    else:
        reading = {"max_length": ROOM, "head": head, "pairs": pairs}
        buckets = {"buckets": 97} if kind == "bag" else {"embedding_size": 8}
        model = registry.create(kind, **sizes, **reading, **buckets)
    for weight in model.parameters():  # so that answers differ
        weight.data.normal_(std=0.5)
    model.classifier.weight.data *= 0.2
    model.classifier.bias.data.zero_()
    if kind == "bag":
        model.encoder.table.weight.data[-1] = 0  # of padding
    model.eval().save_pretrained(folder)
    tokenization.save_for(model, tokenizer, folder, ROOM, head)
    reading = {"max_length": ROOM, "head": head, "precision": "fp32", "pairs": pairs}
    files.write_json(folder / FACTS, {"labels": ["bad", "good"], **reading})
    return model
