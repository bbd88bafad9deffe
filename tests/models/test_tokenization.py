"""Tokenizers in folders."""

from pathlib import Path

import pytest

from distillery.errors import UserError
from distillery.models import tokenization

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
