"""Tokenizers of transformers: loading and saving them, and how a model reads texts with one."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from distillery.errors import UserError, reason
from distillery.text import splits, vocabulary


def load(folder: Path) -> Any:
    """The fast tokenizer saved in a folder, without truncation or padding of its own."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a loader's many errors all mean: no whole tokenizer
        raise UserError(f"{folder} holds no tokenizer ({reason(error)})") from None
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise UserError(f"the tokenizer in {folder} is not a fast one with a padding token")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def save(tokenizer: Any, folder: Path) -> None:
    """Saves a tokenizer without the traces of where and how it was loaded."""
    for trace in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(trace, None)
    tokenizer.save_pretrained(folder)


def of_words(task_splits: list[Any], words: int) -> Any:
    """A tokenizer of the commonest words of some splits (`text.vocabulary`)."""
    return PreTrainedTokenizerFast(
        tokenizer_object=vocabulary.word_tokenizer(task_splits, words),
        pad_token=vocabulary.PAD,
        unk_token=vocabulary.UNKNOWN,
        cls_token=vocabulary.FIRST,
        sep_token=vocabulary.LAST,
        mask_token=vocabulary.MASK,
    )


def reader(tokenizer: Any, max_length: int, head: float) -> splits.SplitReader:
    """How a model with this tokenizer reads texts; arguments as of `text.encode.Reader`."""
    mask = tokenizer.mask_token or tokenizer.unk_token
    backend = tokenizer.backend_tokenizer
    return splits.SplitReader(backend, tokenizer.pad_token_id, max_length, head, mask)


def fingerprint(tokenizer: Any) -> str:
    """Names what a tokenizer does: a hash of its whole state."""
    return splits.fingerprint(tokenizer.backend_tokenizer)


def same_pieces(one: Any, other: Any) -> bool:
    """Whether two tokenizers give every text the same word pieces, by the same numbers."""

    def does(tokenizer: Any) -> list[Any]:
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        parts = [state[part] for part in ("model", "normalizer", "pre_tokenizer")]
        return [*parts, tokenizer("a", "b")["input_ids"], tokenizer.pad_token_id]

    return does(one) == does(other)
