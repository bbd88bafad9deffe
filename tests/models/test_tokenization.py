"""Tokenizers in folders, and what they make of long texts and of pairs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from distillery.errors import UserError
from distillery.models import registry, tokenization

TEXTS = ["the film was great", "it was bad", "a good story with a weak plot and a fine cast"]


def test_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no tokenizer"):
        tokenization.load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_truncated_tokenizer_is_refused(tmp_path: Path, tiny_folder: Path, share: float) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match="tokenizer"):
        tokenization.load(tmp_path)


def roberta() -> Any:
    """A tokenizer that marks a pair's second text by separators alone, as RoBERTa's does."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    numbers = {word: number for number, word in enumerate([*special, *"abcdefgh"])}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), False, False)
    names = {"cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )


@pytest.fixture(params=["bert", "roberta"])
def tokenizer(request: pytest.FixtureRequest, tiny_folder: Path) -> Any:
    return roberta() if request.param == "roberta" else tokenization.load(tiny_folder)


def student(**sizes: Any) -> Any:
    return registry.create("attention", embedding_size=8, hidden_size=16, **sizes)


def teacher() -> Any:
    widths = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(num_hidden_layers=1, vocab_size=99, **widths))


def texts_of(lengths: range) -> list[str]:
    return [" ".join("abcdefgh"[n % 8] for n in range(length)) for length in lengths]


def test_a_students_tokenizer_truncates_nothing(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer("a b c", truncation=True, max_length=4)  # leaves its mark in the state
    tokenization.save_for(student(), tokenizer, tmp_path, 8, 0.25)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    (text,) = texts_of(range(600, 601))
    assert saved(text, truncation=True) == saved(text)
    assert len(saved(text)["input_ids"]) == 602
    assert len(saved(text, truncation=True, max_length=9)["input_ids"]) == 9
    state = json.loads((tmp_path / "tokenizer.json").read_text())
    assert (state["truncation"], state["padding"]) == (None, None)
    assert saved.padding_side == "right"


@pytest.mark.parametrize("room", [8, 9])
@pytest.mark.parametrize("head", [0.0, 1.0])
def test_truncation_keeps_what_predict_keeps(
    tokenizer: Any, tmp_path: Path, head: float, room: int
) -> None:
    """For a teacher, at all lengths of a text and of both texts of a pair."""
    tokenization.save_for(teacher(), tokenizer, tmp_path, room, head)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    reader = tokenization.reader(tokenization.load(tmp_path), room, head)
    single = texts_of(range(1, 15))
    pairs = [(one, two) for one in single for two in single]
    for texts in ([single], [list(side) for side in zip(*pairs, strict=True)]):
        expected = saved(*texts, truncation=True)["input_ids"]
        encoded = reader.encode(texts[0], texts[1] if len(texts) > 1 else None)
        found = np.split(encoded.pieces[:], encoded.offsets[1:-1])
        assert [ids.tolist() for ids in found] == expected


def test_a_student_of_pairs_is_told_which_text_is_the_second(
    tokenizer: Any, tmp_path: Path
) -> None:
    tokenization.save_for(student(pairs=True), tokenizer, tmp_path, 64, 1.0)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    batch = tokenization.reader(tokenizer, 64, 1.0).encode(["a b c"], ["d e"]).batch(np.arange(1))
    found = saved(["a b c"], ["d e"])
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert found[name] == batch[name].tolist(), name
    assert saved("a b")["input_ids"] == tokenizer("a b")["input_ids"]


def test_saving_leaves_the_tokenizer_as_it_was(tokenizer: Any, tmp_path: Path) -> None:
    before = tokenization.fingerprint(tokenizer)
    tokenization.save_for(student(pairs=True), tokenizer, tmp_path, 8, 0.0)
    assert tokenization.fingerprint(tokenizer) == before
