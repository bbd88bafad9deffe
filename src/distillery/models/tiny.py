"""A tiny encoder with random weights, for tests: every stage runs with it in seconds."""

import string
from pathlib import Path

from distillery.tasks import smoke


def save(folder: Path) -> None:
    """Writes a two-layer BERT of width 32 and a word-piece tokenizer that knows smoke's words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = string.ascii_lowercase + string.digits
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*letters, *(f"##{letter}" for letter in letters), ".", ",", *smoke.WORDS]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(special + pieces))}
    tokenizer = BertTokenizerFast(vocab=vocabulary)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
