"""Splits as word pieces: tokenized once, kept on disk, made again where damaged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery import files, paths
from distillery.data.store import Split
from distillery.errors import UserError
from distillery.models import tokenization
from distillery.text import splits
from distillery.text.encode import Encoded, Reader, Stored

TEXTS = ["the film was great", "it was bad", "a good story with a weak plot and a fine cast"]


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Any:
    return tokenization.load(tiny_folder)


def words(tokenizer: Any, pieces: np.ndarray) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(pieces.tolist()))


def split(texts: list[str], name: str = "train") -> Split:
    count = len(texts)
    path = paths.split("task", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts}), path)
    ids, labels = np.arange(count, dtype=np.uint64), np.zeros(count, np.int64)
    return Split(name, path, ids, labels, False, files.sha256(path))


@pytest.mark.parametrize("mask", ["great", None])
def test_augmented_rows_are_read_with_the_tokenizers_own_mask(
    home: Path, tiny_folder: Path, mask: str | None
) -> None:
    other = tokenization.load(tiny_folder)
    other.mask_token = mask
    encoder = tokenization.reader(other, 16, 0.25)
    for name, shown in ((paths.AUGMENTED, mask or "[UNK]"), ("train", "[MASK]")):
        encoded = encoder.encode_split("films", split(["the [MASK] film"], name))
        assert words(other, encoded.pieces[:]) == f"[CLS] the {shown} film [SEP]"


def test_key_names_all_that_changes_the_pieces(tokenizer: Any, tiny_folder: Path) -> None:
    other = tokenization.load(tiny_folder)
    assert (
        tokenization.reader(other, 8, 0.25).key() == tokenization.reader(tokenizer, 8, 0.25).key()
    )
    other.add_tokens(["unheard-of"])
    encoders = [
        tokenization.reader(tokenizer, 8, 0.25),
        tokenization.reader(tokenizer, 9, 0.25),
        tokenization.reader(tokenizer, 8, 0.5),
        tokenization.reader(other, 8, 0.25),
    ]
    assert len({encoder.key() for encoder in encoders}) == 4


def test_split_is_tokenized_once(
    home: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tokenization.reader(tokenizer, 16, 0.25)
    first = encoder.encode_split("films", split(TEXTS))

    def never(*_: object) -> Encoded:
        raise AssertionError("tokenized again")

    monkeypatch.setattr(Reader, "encode", never)
    second = encoder.encode_split("films", split(TEXTS))
    assert isinstance(second.pieces, Stored)
    assert np.array_equal(first.pieces[:], second.pieces[:])
    with pytest.raises(AssertionError, match="again"):
        encoder.encode_split("films", replace(split(TEXTS), sha256="1" * 64))


@pytest.mark.parametrize("how", ["flip", "truncate", "delete", "manifest"])
def test_damaged_pieces_are_made_again(home: Path, tokenizer: Any, how: str) -> None:
    encoder = tokenization.reader(tokenizer, 16, 0.25)
    expected = encoder.encode_split("films", split(TEXTS)).pieces[:]
    (folder,) = paths.encoded("films", encoder.key()).iterdir()
    path = folder / ("manifest.json" if how == "manifest" else "pieces.int32")
    content = path.read_bytes()
    path.unlink()
    if how != "delete":
        path.write_bytes(content[:-1] + b"\x7f" if how == "flip" else content[:-1])
    assert np.array_equal(encoder.encode_split("films", split(TEXTS)).pieces[:], expected)


def test_a_split_that_changes_while_it_is_read_is_refused(home: Path, tokenizer: Any) -> None:
    """Else other texts would stand under its checksum for ever."""
    encoder = tokenization.reader(tokenizer, 16, 0.25)
    other = replace(split(TEXTS), sha256="2" * 64)
    with pytest.raises(UserError, match="changed while it was tokenized"):
        encoder.encode_split("films", other)
    assert len(encoder.encode_split("films", split(TEXTS))) == 3


def test_split_without_rows_is_kept(home: Path, tokenizer: Any) -> None:
    encoder = tokenization.reader(tokenizer, 16, 0.25)
    for _ in range(2):
        assert len(encoder.encode_split("films", split([], "unlabeled"))) == 0


def test_chunks_change_nothing(home: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tokenization.reader(tokenizer, 8, 0.25)
    whole = encoder.encode(TEXTS, None)
    monkeypatch.setattr(splits, "CHUNK", 2)
    assert np.array_equal(whole.pieces, encoder.encode_split("films", split(TEXTS)).pieces[:])
