"""A smaller vocabulary: the word pieces that a task's texts are made of most."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery.errors import UserError
from distillery.models import tokenization


def commonest(tokenizer: Any, counts: np.ndarray, size: int) -> list[int]:
    """The ids to keep, rising: special tokens, characters that occur, then the commonest pieces.

    With its characters every word of known characters can still be spelt. counts: (V,), of each
    piece in the texts. UserError where `size` is less than the first two or more than there are.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(counts))))
    characters = {char for number in counts.nonzero()[0] for char in pieces[number]}
    kept = set(tokenizer.all_special_ids)
    for number, piece in enumerate(pieces):
        letter = piece.removeprefix("##") if len(piece) == 3 else piece
        if len(letter) == 1 and letter in characters:
            kept.add(number)
    if not len(kept) <= size <= len(counts):
        raise UserError(f"pieces {size} is impossible: {len(kept)} to {len(counts)}")
    by_count = np.argsort(-counts, kind="stable").tolist()
    rest = [number for number in by_count if number not in kept]
    return sorted([*kept, *rest[: size - len(kept)]])


def cut_tokenizer(tokenizer: Any, kept: list[int]) -> Any:
    """The word-piece tokenizer that knows the pieces `kept` alone, numbered in this order.

    UserError for tokenizers of other kinds.
    """
    pieces = tokenizer.convert_ids_to_tokens(kept)
    numbers = {piece: number for number, piece in enumerate(pieces)}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tokenization.save(tokenizer, folder)
        path = folder / "tokenizer.json"
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["model"].get("type") != "WordPiece":
            raise UserError("only a word-piece vocabulary can be made smaller")
        state["model"]["vocab"] = numbers
        for token in state["added_tokens"]:
            token["id"] = numbers[token["content"]]
        _renumber(state["post_processor"], numbers)
        path.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        found = tokenization.load(folder)
    if found.convert_tokens_to_ids(pieces) != [*range(len(pieces))] or len(found) != len(pieces):
        raise UserError("this tokenizer's vocabulary cannot be made smaller")
    return found


def _renumber(processor: dict[str, Any], numbers: dict[str, int]) -> None:
    """The special tokens that a post-processor puts around a text."""
    for side in ("sep", "cls"):
        if side in processor:
            processor[side] = [processor[side][0], numbers[processor[side][0]]]
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [numbers[piece] for piece in token["tokens"]]


def cut_embeddings(model: Any, kept: list[int], pad: int) -> None:
    """Makes a model's word embeddings those of the pieces `kept`. pad: the new padding's number."""
    old = model.get_input_embeddings()
    new = torch.nn.Embedding(len(kept), old.embedding_dim, padding_idx=pad)
    with torch.no_grad():
        new.weight.copy_(old.weight[torch.tensor(kept)])
    model.set_input_embeddings(new)
    model.config.vocab_size, model.config.pad_token_id = len(kept), pad
