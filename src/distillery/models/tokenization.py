"""Tokenizers of transformers: loading and saving them, and how a model reads texts with one."""

import copy
import json
from pathlib import Path
from typing import Any

from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from distillery.errors import UserError, reason
from distillery.models.pretrained import StudentForSequenceClassification
from distillery.text import splits

# What loading leaves in a tokenizer's settings: where it was, and the truncation of its file.
_TRACES = ("is_local", "local_files_only", "max_length", "stride", "truncation_strategy")


def load(folder: Path, clean: str = "none") -> Any:
    """The fast tokenizer saved in a folder, without truncation or padding of its own.

    clean: how the data recipe cleaned the task's texts; the tokenizer does the same to any text,
    also when it is saved and loaded again.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{folder} holds no tokenizer ({reason(error)})") from None
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise UserError(f"the tokenizer in {folder} is not a fast one with a padding token")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    if not splits.put_cleaning_in(tokenizer.backend_tokenizer, clean):
        return tokenizer
    # A class of its own, such as BertTokenizer, would be loaded with the normalizer of that class.
    kept = ("model_max_length", "model_input_names", "padding_side", "truncation_side")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        **tokenizer.special_tokens_map,
        **{name: getattr(tokenizer, name) for name in kept},
    )


def save(tokenizer: Any, folder: Path) -> None:
    """Saves a tokenizer without the traces of where and how it was loaded."""
    for trace in _TRACES:
        tokenizer.init_kwargs.pop(trace, None)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def save_for(model: Any, tokenizer: Any, folder: Path, max_length: int, head: float) -> None:
    """Saves the tokenizer of a model, so that `pipeline` reads texts as `predict` does.

    Our own students cut long texts themselves: their tokenizer has no maximum length, and
    `truncation=True` changes nothing. Other models (teachers, BERT students, and all ONNX models,
    which come as None) need `truncation=True`, which `pipeline` takes from no saved file. It then
    keeps what `predict` keeps if `head` is 1.0 (the beginning) or 0.0 (the end); a tokenizer cannot
    keep both.
    """
    tokenizer = copy.deepcopy(tokenizer)  # the caller goes on reading with it
    cuts = isinstance(model, StudentForSequenceClassification)
    tokenizer.model_max_length = VERY_LARGE_INTEGER if cuts else max_length
    sides = {"padding_side": "right", "truncation_side": "right" if cuts or head else "left"}
    for name, side in sides.items():
        setattr(tokenizer, name, side)
        tokenizer.init_kwargs[name] = side  # or it is not saved
    if cuts and model.config.pairs:
        _mark_second_text(tokenizer)
    save(tokenizer, folder)


def _mark_second_text(tokenizer: Any) -> None:
    """Makes a tokenizer give the second text of a pair the type 1, as students that compare pairs
    read them. RoBERTa's and MPNet's give it 0."""
    names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names
    between = reader(tokenizer, 8, 1.0).between
    pair = tokenizer("a", "b")
    start = len(tokenizer("a")["input_ids"]) - 1 + len(between)
    if pair["token_type_ids"] == [int(at >= start) for at in range(len(pair["input_ids"]))]:
        return
    ids = [pair["input_ids"][0], pair["input_ids"][-1], *between]
    first, last, *middle = tokenizer.convert_ids_to_tokens(ids)
    special = [first, last, *middle]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=[first, "$A", last],
        pair=[first, "$A", *middle, "$B:1", f"{last}:1"],
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in {*special}],
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
