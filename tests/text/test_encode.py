"""Texts as word pieces: special tokens, cutting, pairs, batches, and the copy on disk."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from distillery import files, paths
from distillery.errors import UserError
from distillery.preprocessing.store import Split
from distillery.text import encode
from distillery.text.encode import Encoded, Reader

TEXTS = ["the film was great", "it was bad", "a good story with a weak plot and a fine cast"]


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Any:
    return encode.load_tokenizer(tiny_folder)


def split(texts: list[str], name: str = "train") -> Split:
    count = len(texts)
    path = paths.split("task", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts}), path)
    ids, labels = np.arange(count, dtype=np.uint64), np.zeros(count, np.int64)
    return Split(name, path, ids, labels, False, files.sha256(path))


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
    assert encode.cut(list(range(10)), room, head) == kept


@given(st.lists(st.integers(), max_size=40), st.integers(0, 40), st.floats(0, 1))
def test_cut_fills_its_room_and_no_more(pieces: list[int], room: int, head: float) -> None:
    assert len(encode.cut(pieces, room, head)) == min(len(pieces), room)


def test_short_texts_are_what_the_tokenizer_gives(tokenizer: Any) -> None:
    encoded = Reader(tokenizer, 64, 0.25).encode(TEXTS, None)
    for row, text in enumerate(TEXTS):
        ids = encoded.pieces[encoded.offsets[row] : encoded.offsets[row + 1]]
        assert ids.tolist() == tokenizer(text)["input_ids"]
    assert encoded.second.tolist() == encoded.lengths.tolist()


def test_special_tokens_written_in_a_text_are_those_tokens(tokenizer: Any) -> None:
    """A masked word is the mask, whatever stands around it; a user's `[SEP]` ends no text."""
    text, pair = "the [MASK] was,[MASK]. great [SEP] [PAD] it", "a [CLS] plot"
    encoded = Reader(tokenizer, 64, 0.25).encode([text], [pair])
    expected = "[CLS] the [MASK] was , [MASK] . great [SEP] [PAD] it [SEP] a [CLS] plot [SEP]"
    assert words(tokenizer, encoded.pieces) == expected
    batch = encoded.batch(np.arange(1))
    assert batch["attention_mask"].sum() == len(expected.split())
    assert batch["token_type_ids"].sum() == len(["a", "[CLS]", "plot", "[SEP]"])


@pytest.mark.parametrize("mask", ["great", None])
def test_augmented_rows_are_read_with_the_tokenizers_own_mask(
    home: Path, tiny_folder: Path, mask: str | None
) -> None:
    other = encode.load_tokenizer(tiny_folder)
    other.mask_token = mask
    encoder = Reader(other, 16, 0.25)
    for name, shown in ((paths.AUGMENTED, mask or "[UNK]"), ("train", "[MASK]")):
        encoded = encoder.encode_split("films", split(["the [MASK] film"], name))
        assert words(other, encoded.pieces[:]) == f"[CLS] the {shown} film [SEP]"


def test_long_text_keeps_head_and_tail(tokenizer: Any) -> None:
    encoded = Reader(tokenizer, 8, 0.5).encode(TEXTS[2:], None)
    assert words(tokenizer, encoded.pieces) == "[CLS] a good story a fine cast [SEP]"


def test_pairs_are_what_the_tokenizer_gives(tokenizer: Any) -> None:
    encoder = Reader(tokenizer, 64, 0.25)
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
    encoded = Reader(roberta, 64, 0.25).encode(TEXTS[:1], TEXTS[1:2])
    assert encoded.pieces.tolist() == roberta(*TEXTS[:2])["input_ids"]
    assert words(roberta, encoded.pieces).count("[SEP] [SEP]") == 1
    assert len(Reader(roberta, 8, 0.25).encode(TEXTS[2:], TEXTS[2:]).pieces) == 8


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
    encoder = Reader(tokenizer, 8, 0.25)
    encoded = encoder.encode([" ".join("a" * first)], [" ".join("b" * second)])
    found = words(tokenizer, encoded.pieces)
    if (first, second) == (9, 9):  # the odd one may go to either
        assert sorted(found) in (sorted(kept), sorted(kept.replace("b", "a", 1)))
    else:
        assert found == kept
    assert encoded.second[0] == found.split().index("[SEP]") + 1


def test_batch_pads_at_the_right_and_masks_padding(tokenizer: Any) -> None:
    encoded = Reader(tokenizer, 64, 0.25).encode(TEXTS, None)
    batch = encoded.batch(np.array([1, 0]))
    assert batch["attention_mask"].tolist() == [[1] * 5 + [0] * 3, [1] * 6 + [0] * 2]
    assert batch["input_ids"][0, 5:].tolist() == [tokenizer.pad_token_id] * 3
    assert batch["input_ids"][1, :6].tolist() == tokenizer(TEXTS[0])["input_ids"]
    assert batch["token_type_ids"].sum() == 0
    assert {tensor.dtype.itemsize for tensor in batch.values()} == {8}


def test_batch_is_no_longer_than_the_longest_text_of_all(tokenizer: Any) -> None:
    """A model may have no more positions than that."""
    encoded = Reader(tokenizer, 13, 0.25).encode(TEXTS, None)
    assert encoded.batch(np.array([2]))["input_ids"].shape == (1, 13)
    assert encoded.batch(np.array([0]))["input_ids"].shape == (1, 8)


def test_take_and_joined_keep_the_order_asked_for(tokenizer: Any) -> None:
    encoded = Reader(tokenizer, 64, 0.25).encode(TEXTS, TEXTS[::-1])
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


def test_chunks_change_nothing(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Reader(tokenizer, 8, 0.25)
    whole = encoder.encode(TEXTS, TEXTS)
    monkeypatch.setattr(encode, "CHUNK", 2)
    assert np.array_equal(whole.pieces, encoder.encode(TEXTS, TEXTS).pieces)


def test_key_names_all_that_changes_the_pieces(tokenizer: Any, tiny_folder: Path) -> None:
    other = encode.load_tokenizer(tiny_folder)
    assert Reader(other, 8, 0.25).key() == Reader(tokenizer, 8, 0.25).key()
    other.add_tokens(["unheard-of"])
    encoders = [
        Reader(tokenizer, 8, 0.25),
        Reader(tokenizer, 9, 0.25),
        Reader(tokenizer, 8, 0.5),
        Reader(other, 8, 0.25),
    ]
    assert len({encoder.key() for encoder in encoders}) == 4


def test_split_is_tokenized_once(
    home: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Reader(tokenizer, 16, 0.25)
    first = encoder.encode_split("films", split(TEXTS))

    def never(*_: object) -> Encoded:
        raise AssertionError("tokenized again")

    monkeypatch.setattr(Reader, "encode", never)
    second = encoder.encode_split("films", split(TEXTS))
    assert isinstance(second.pieces.base, np.memmap)
    assert np.array_equal(first.pieces, second.pieces)
    with pytest.raises(AssertionError, match="again"):
        encoder.encode_split("films", replace(split(TEXTS), sha256="1" * 64))


@pytest.mark.parametrize("how", ["flip", "truncate", "delete", "manifest"])
def test_damaged_pieces_are_made_again(home: Path, tokenizer: Any, how: str) -> None:
    encoder = Reader(tokenizer, 16, 0.25)
    expected = np.array(encoder.encode_split("films", split(TEXTS)).pieces)
    (folder,) = paths.encoded("films", encoder.key()).iterdir()
    path = folder / ("manifest.json" if how == "manifest" else "pieces.int32")
    content = path.read_bytes()
    path.unlink()
    if how != "delete":
        path.write_bytes(content[:-1] + b"\x7f" if how == "flip" else content[:-1])
    assert np.array_equal(encoder.encode_split("films", split(TEXTS)).pieces, expected)


def test_a_split_that_changes_while_it_is_read_is_refused(home: Path, tokenizer: Any) -> None:
    """Else other texts would stand under its checksum for ever."""
    encoder = Reader(tokenizer, 16, 0.25)
    other = replace(split(TEXTS), sha256="2" * 64)
    with pytest.raises(UserError, match="changed while it was tokenized"):
        encoder.encode_split("films", other)
    assert len(encoder.encode_split("films", split(TEXTS))) == 3


def test_split_without_rows_is_kept(home: Path, tokenizer: Any) -> None:
    encoder = Reader(tokenizer, 16, 0.25)
    for _ in range(2):
        assert len(encoder.encode_split("films", split([], "unlabeled"))) == 0


def test_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no tokenizer"):
        encode.load_tokenizer(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_truncated_tokenizer_is_refused(tmp_path: Path, tiny_folder: Path, share: float) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match="tokenizer"):
        encode.load_tokenizer(tmp_path)


def test_tokenizer_with_other_special_tokens_is_refused(tiny_folder: Path) -> None:
    tokenizer = encode.load_tokenizer(tiny_folder)
    tokenizer.backend_tokenizer.post_processor = None
    with pytest.raises(UserError, match="one token before and one after"):
        Reader(tokenizer, 16, 0.25)
