"""Texts as word pieces: special tokens, cutting, pairs, batches, and pieces in a file."""

import gc
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from distillery.errors import UserError
from distillery.models import tokenization
from distillery.text import encode
from tests.text.cutting import cut

TEXTS = ["the film was great", "it was bad", "a good story with a weak plot and a fine cast"]


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Any:
    return tokenization.load(tiny_folder)


def words(tokenizer: Any, pieces: np.ndarray) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(pieces.tolist()))


@pytest.mark.parametrize(
    ("room", "head", "kept"),
    [
        (10, 0.25, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (4, 0.25, [0, 7, 8, 9]),
        (4, 0.5, [0, 1, 8, 9]),
        (4, 0.0, [6, 7, 8, 9]),
        (4, 1.0, [0, 1, 2, 3]),
        (0, 0.25, []),
    ],
)
def test_cut_keeps_head_and_tail(room: int, head: float, kept: list[int]) -> None:
    pieces, counts = encode.cut((np.arange(10), np.array([10])), np.array(room), head)
    assert pieces.tolist() == kept == cut(list(range(10)), room, head)
    assert counts.tolist() == [len(kept)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 99), max_size=12), st.integers(0, 12)), min_size=1),
    st.floats(0, 1),
)
def test_every_text_is_cut_to_its_own_room(texts: list[tuple[list[int], int]], head: float) -> None:
    pieces, rooms = [text for text, _ in texts], np.array([room for _, room in texts])
    flat = np.array(sum(pieces, []), np.int32), np.array([len(text) for text in pieces])
    found, counts = encode.cut(flat, rooms, head)
    wanted = [cut(text, room, head) for text, room in texts]
    assert found.tolist() == sum(wanted, [])
    assert counts.tolist() == [len(text) for text in wanted]


def test_spans_follow_each_other() -> None:
    assert encode.spans(np.array([5, 3, 0]), np.array([2, 0, 1])).tolist() == [5, 6, 0]
    assert encode.spans(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_short_texts_are_what_the_tokenizer_gives(tokenizer: Any) -> None:
    encoded = tokenization.reader(tokenizer, 64, 0.25).encode(TEXTS, None)
    for row, text in enumerate(TEXTS):
        ids = encoded.pieces[encoded.offsets[row] : encoded.offsets[row + 1]]
        assert ids.tolist() == tokenizer(text)["input_ids"]
    assert encoded.second.tolist() == encoded.lengths.tolist()


def test_special_tokens_written_in_a_text_are_those_tokens(tokenizer: Any) -> None:
    """A masked word is the mask, whatever stands around it; a user's `[SEP]` ends no text."""
    text, pair = "the [MASK] was,[MASK]. great [SEP] [PAD] it", "a [CLS] plot"
    encoded = tokenization.reader(tokenizer, 64, 0.25).encode([text], [pair])
    expected = "[CLS] the [MASK] was , [MASK] . great [SEP] [PAD] it [SEP] a [CLS] plot [SEP]"
    assert words(tokenizer, encoded.pieces) == expected
    batch = encoded.batch(np.arange(1))
    assert batch["attention_mask"].sum() == len(expected.split())
    assert batch["token_type_ids"].sum() == len(["a", "[CLS]", "plot", "[SEP]"])


def test_long_text_keeps_head_and_tail(tokenizer: Any) -> None:
    encoded = tokenization.reader(tokenizer, 8, 0.5).encode(TEXTS[2:], None)
    assert words(tokenizer, encoded.pieces) == "[CLS] a good story a fine cast [SEP]"


def test_pairs_are_what_the_tokenizer_gives(tokenizer: Any) -> None:
    encoder = tokenization.reader(tokenizer, 64, 0.25)
    batch = encoder.encode(TEXTS, TEXTS[::-1]).batch(np.arange(3))
    expected = tokenizer(TEXTS, TEXTS[::-1], padding=True, return_tensors="pt")
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert batch[name].tolist() == expected[name].tolist(), name


def test_pairs_of_roberta_have_its_two_separators(tokenizer: Any) -> None:
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    first, last = (tokenizer.convert_tokens_to_ids(token) for token in ("[CLS]", "[SEP]"))
    state["post_processor"] = {
        "type": "RobertaProcessing",
        "sep": ["[SEP]", last],
        "cls": ["[CLS]", first],
        "trim_offsets": False,
        "add_prefix_space": False,
    }
    roberta = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), pad_token="[PAD]"
    )
    encoded = tokenization.reader(roberta, 64, 0.25).encode(TEXTS[:1], TEXTS[1:2])
    assert encoded.pieces.tolist() == roberta(*TEXTS[:2])["input_ids"]
    assert words(roberta, encoded.pieces).count("[SEP] [SEP]") == 1
    assert len(tokenization.reader(roberta, 8, 0.25).encode(TEXTS[2:], TEXTS[2:]).pieces) == 8


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (1, 9, "[CLS] a [SEP] b b b b [SEP]"),
        (9, 1, "[CLS] a a a a [SEP] b [SEP]"),
        (9, 9, "[CLS] a a [SEP] b b b [SEP]"),
        (2, 3, "[CLS] a a [SEP] b b b [SEP]"),
    ],
)
def test_longer_text_of_a_pair_is_cut_first(
    tokenizer: Any, first: int, second: int, kept: str
) -> None:
    encoder = tokenization.reader(tokenizer, 8, 0.25)
    encoded = encoder.encode([" ".join("a" * first)], [" ".join("b" * second)])
    found = words(tokenizer, encoded.pieces)
    if (first, second) == (9, 9):  # the odd one may go to either
        assert sorted(found) in (sorted(kept), sorted(kept.replace("b", "a", 1)))
    else:
        assert found == kept
    assert encoded.second[0] == found.split().index("[SEP]") + 1


def test_batch_pads_at_the_right_and_masks_padding(tokenizer: Any) -> None:
    encoded = tokenization.reader(tokenizer, 64, 0.25).encode(TEXTS, None)
    batch = encoded.batch(np.array([1, 0]))
    assert batch["attention_mask"].tolist() == [[1] * 5 + [0] * 3, [1] * 6 + [0] * 2]
    assert batch["input_ids"][0, 5:].tolist() == [tokenizer.pad_token_id] * 3
    assert batch["input_ids"][1, :6].tolist() == tokenizer(TEXTS[0])["input_ids"]
    assert batch["token_type_ids"].sum() == 0
    assert {tensor.dtype.itemsize for tensor in batch.values()} == {8}


def test_batch_is_no_longer_than_the_longest_text_of_all(tokenizer: Any) -> None:
    """A model may have no more positions than that."""
    encoded = tokenization.reader(tokenizer, 13, 0.25).encode(TEXTS, None)
    assert encoded.batch(np.array([2]))["input_ids"].shape == (1, 13)
    assert encoded.batch(np.array([0]))["input_ids"].shape == (1, 8)


def test_take_and_joined_keep_the_order_asked_for(tokenizer: Any) -> None:
    encoded = tokenization.reader(tokenizer, 64, 0.25).encode(TEXTS, TEXTS[::-1])
    taken = encoded.take(np.array([2, 0, 2]))
    assert taken.lengths.tolist() == encoded.lengths[[2, 0, 2]].tolist()
    again = encode.joined([encoded.take(np.array([2])), encoded.take(np.array([0, 2]))])
    for name in ("offsets", "second"):
        assert np.array_equal(getattr(taken, name), getattr(again, name)), name
    assert np.array_equal(taken.pieces, again.take(np.arange(3)).pieces)
    nested = encode.joined([again, encoded])
    assert np.array_equal(
        nested.take(np.array([5, 1])).pieces, encoded.take(np.array([2, 0])).pieces
    )
    assert len(encoded.take(np.zeros(0, np.int64))) == 0


def test_tokenizer_with_other_special_tokens_is_refused(tiny_folder: Path) -> None:
    tokenizer = tokenization.load(tiny_folder)
    tokenizer.backend_tokenizer.post_processor = None
    with pytest.raises(UserError, match="one token before and one after"):
        tokenization.reader(tokenizer, 16, 0.25)


def stored(tmp_path: Path, count: int) -> encode.Stored:
    np.arange(count, dtype=np.int32).tofile(tmp_path / "pieces.int32")
    return encode.Stored(tmp_path / "pieces.int32")


def test_slices_are_those_of_an_array(tmp_path: Path) -> None:
    found, expected = stored(tmp_path, 10), np.arange(10, dtype=np.int32)
    assert len(found) == 10
    for where in (slice(2, 5), slice(None), slice(8, 99), slice(-3, None), slice(4, 4)):
        assert found[where].dtype == np.int32
        assert np.array_equal(found[where], expected[where]), where


def test_a_file_without_pieces_is_empty(tmp_path: Path) -> None:
    assert stored(tmp_path, 0)[:].tolist() == []


def test_a_file_that_became_shorter_is_named(tmp_path: Path) -> None:
    found = stored(tmp_path, 10)
    os.truncate(tmp_path / "pieces.int32", 8)
    assert found[0:2].tolist() == [0, 1]
    with pytest.raises(UserError, match=r"pieces.int32 became shorter"):
        found[0:5]


def test_what_was_read_stays_out_of_memory(tmp_path: Path) -> None:
    """32 MB are read; of a mapping they would all count as this process's."""

    def in_memory() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    found = stored(tmp_path, 8_000_000)
    gc.collect()
    before = in_memory()
    for start in range(0, len(found), 1000):
        assert found[start : start + 1000][-1] == start + 999
    assert in_memory() - before < 8e6


def test_the_file_is_closed_with_its_reader(tmp_path: Path) -> None:
    found = stored(tmp_path, 3)
    number = found.file
    del found
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
