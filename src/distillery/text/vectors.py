"""Word vectors in GloVe's text format: a word and its numbers per line, plain or as .gz."""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from distillery import paths
from distillery.errors import UserError


def missing(path: Path) -> UserError:
    """The error for a missing file of vectors."""
    script = f"./download_requirements.sh --vectors {path.name}"
    fetch = paths.script_or(script, f"fetch --vectors {path.name}")
    return UserError(
        f"there are no word vectors in {path}: put the file there, or fetch it with {fetch}"
    )


def read(path: Path, vocabulary: Mapping[str, int]) -> dict[int, np.ndarray]:
    """Id -> vector (D,) fp32 of the words of `vocabulary` in the file; a word's first line counts.

    Skips word2vec's header line (count and width). Raises UserError, with the line's number, if
    lines differ in width or hold anything but finite numbers.
    """
    vectors: dict[int, np.ndarray] = {}
    for number, word, numbers in _rows(path):
        index = vocabulary.get(word)
        if index is None or index in vectors:
            continue
        try:
            vectors[index] = np.array(numbers, dtype=np.float32)
        except ValueError:
            what = f"not a word and {len(numbers)} numbers"
            raise UserError(f"{path}, line {number}: {what}") from None
        if not np.isfinite(vectors[index]).all():
            raise UserError(f"{path}, line {number}: a number that is not finite")
    if not vectors:
        raise UserError(f"{path} has no vector for any word of the vocabulary")
    return vectors


def count(path: Path) -> int:
    """The number of vectors in a file. UserError if it is cut off or its lines differ in width."""
    return sum(1 for _ in _rows(path))


def _rows(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, word and numbers as text, equally many in all lines."""
    width = 0
    for number, line in enumerate(_lines(path), start=1):
        word, *numbers = line.rstrip().split(" ")
        if number == 1 and len(numbers) == 1:
            continue
        width = width or len(numbers)
        if len(numbers) != width or not width:
            raise UserError(f"{path}, line {number}: {len(numbers)} numbers, {width} before")
        yield number, word, numbers


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                yield line.decode("utf-8")
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, EOFError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise UserError(f"{path} cannot be read ({error}): is it whole?") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8") from None
