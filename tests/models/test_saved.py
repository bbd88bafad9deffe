"""Only whole models in safetensors are loaded."""

from pathlib import Path

import pytest

from distillery.errors import UserError
from distillery.models.saved import load_network
from tests.models import saving


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    saving.save(tmp_path, tiny_folder, "teacher")
    return tmp_path


def test_half_a_model_is_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="holds no whole model"):
        load_network(folder)


def test_pickled_weights_are_not_loaded(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="holds no whole model"):
        load_network(folder)
