"""A smaller vocabulary: tokenizer and embeddings stay of one mind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from distillery.compression import prune
from distillery.errors import UserError
from distillery.models import tokenization
from distillery.training import inference
from tests.compression.conftest import classifier

TEXTS = ["the film was great", "the plot was awful, and we saw it at home", "a story"]


def _counts(tokenizer: object, texts: list[str]) -> np.ndarray:
    found = tokenization.reader(tokenizer, 64, 0.25).encode(texts, None)
    return np.bincount(found.pieces[:], minlength=len(tokenizer))  # type: ignore[arg-type]


def test_kept_words_read_as_before_and_others_are_spelt(tiny_folder: Path, tmp_path: Path) -> None:
    old = tokenization.load(tiny_folder)
    counts = _counts(old, [*TEXTS, *TEXTS[:2]])
    letters = {char for text in TEXTS for char in text if char.isalpha()}
    room = 5 + 2 * len(letters) + 1 + 8  # special tokens, letters, the comma, 8 words
    kept = prune.commonest(old, counts, room)
    assert len(kept) == room
    tokenization.save(prune.cut_tokenizer(old, kept), tmp_path)
    new = tokenization.load(tmp_path)
    assert len(new) == room
    sentence = "the film was great"
    assert new.tokenize(sentence) == old.tokenize(sentence)
    assert new.tokenize("story") == ["s", "##t", "##o", "##r", "##y"]
    assert new.tokenize("jazz") == ["[UNK]"], "j and z occur nowhere"
    for text, pair in ((sentence, None), (sentence, "a story")):
        ids = new(text, pair)["input_ids"]
        assert new.convert_ids_to_tokens(ids)[0] == "[CLS]"
        assert new.convert_ids_to_tokens(ids)[-1] == "[SEP]"
        assert max(ids) < room
    assert new.pad_token_id == new.convert_tokens_to_ids("[PAD]") == kept.index(old.pad_token_id)


@torch.no_grad()
def test_a_model_says_the_same_of_texts_of_kept_pieces(tiny_folder: Path) -> None:
    old = tokenization.load(tiny_folder)
    kept = prune.commonest(old, _counts(old, TEXTS), 80)
    new = prune.cut_tokenizer(old, kept)
    for kind in ("bilstm", "bert"):
        model = classifier(kind)
        before = model(
            **inference.tensors(
                tokenization.reader(old, 24, 0.25).encode(TEXTS, None), np.arange(3)
            )
        )
        prune.cut_embeddings(model, kept, new.pad_token_id)
        after = model(
            **inference.tensors(
                tokenization.reader(new, 24, 0.25).encode(TEXTS, None), np.arange(3)
            )
        )
        torch.testing.assert_close(before.logits, after.logits)
        assert model.config.vocab_size == len(model.get_input_embeddings().weight) == 80


@pytest.mark.parametrize("size", [3, 100_000])
def test_impossible_sizes_are_refused(tiny_folder: Path, size: int) -> None:
    tokenizer = tokenization.load(tiny_folder)
    with pytest.raises(UserError, match=rf"pieces {size} is impossible: \d+ to \d+"):
        prune.commonest(tokenizer, _counts(tokenizer, TEXTS), size)
