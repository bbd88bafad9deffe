"""Students as models of transformers: resizing, types, shards, and the inputs they refuse."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import pad
from transformers import AutoModelForSequenceClassification

import distillery  # noqa: F401  registers the students
from distillery.models import registry

IDS = torch.randint(5, 50, (3, 20), generator=torch.Generator().manual_seed(0))
SIZES = {"vocab_size": 50, "embedding_size": 8, "hidden_size": 16, "max_length": 12}
SEQUENCES = [architecture for architecture in registry.CLASSES if architecture != "bag"]
every_architecture = pytest.mark.parametrize("architecture", registry.CLASSES)


def make(architecture: str, **sizes: Any) -> Any:
    torch.manual_seed(0)
    buckets = {"buckets": 97} if architecture == "bag" else {}
    return registry.create(architecture, **(SIZES | buckets | {"num_labels": 3} | sizes)).eval()


def reloaded(model: Any, folder: Path, **options: Any) -> Any:
    model.save_pretrained(folder, **options)
    return AutoModelForSequenceClassification.from_pretrained(folder)


@every_architecture
@torch.no_grad()
def test_resized_embeddings_leave_known_pieces_as_they_were(
    architecture: str, tmp_path: Path
) -> None:
    model = make(architecture, pairs=True)
    types = (torch.arange(20) >= 9).long().expand(3, 20)
    expected = model(IDS, token_type_ids=types).logits
    model.resize_token_embeddings(60, mean_resizing=False)
    assert torch.equal(model(IDS, token_type_ids=types).logits, expected)
    assert model(torch.full((1, 5), 59)).logits.isfinite().all()
    assert torch.equal(reloaded(model, tmp_path)(IDS, token_type_ids=types).logits, expected)


@pytest.mark.parametrize("architecture", SEQUENCES)
def test_resized_embeddings_have_a_row_per_piece(architecture: str) -> None:
    model = make(architecture)
    assert model.resize_token_embeddings(60) is model.get_input_embeddings()
    assert (model.config.vocab_size, model.get_input_embeddings().weight.shape) == (60, (60, 8))
    assert model.get_input_embeddings().padding_idx == 0


def test_bag_has_no_row_per_piece_to_resize() -> None:
    model = make("bag")
    assert model.resize_token_embeddings(60) is model.get_input_embeddings()
    assert model.get_input_embeddings().weight.shape == (98, 8)


@every_architecture
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_answers_trains_and_is_saved(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    expected = make(architecture)(IDS).logits
    model = make(architecture).to(dtype)
    logits = model(IDS).logits
    assert logits.dtype == dtype
    torch.testing.assert_close(logits.float(), expected, atol=0.02, rtol=0)
    model(IDS, labels=torch.tensor([0, 1, 2])).loss.backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())
    loaded = reloaded(model, tmp_path)
    assert loaded.dtype == dtype
    with torch.no_grad():
        assert torch.equal(loaded(IDS).logits, model(IDS).logits)


@every_architecture
@torch.no_grad()
def test_shards_are_loaded(architecture: str, tmp_path: Path) -> None:
    model = make(architecture)
    loaded = reloaded(model, tmp_path, max_shard_size="2KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


@every_architecture
def test_another_number_of_labels_gets_a_new_classifier(architecture: str, tmp_path: Path) -> None:
    make(architecture).save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, num_labels=1, ignore_mismatched_sizes=True
    )
    assert loaded(IDS, labels=torch.tensor([0.3, 0.9, 0.1])).loss.isfinite()


@every_architecture
@torch.no_grad()
def test_no_rows_give_no_answers(architecture: str) -> None:
    assert make(architecture)(IDS[:0]).logits.shape == (0, 3)


@every_architecture
@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.float32])
@torch.no_grad()
def test_a_mask_of_any_type_is_read(architecture: str, dtype: torch.dtype) -> None:
    model, mask = make(architecture), pad(torch.ones_like(IDS), (0, 4))
    assert torch.equal(model(pad(IDS, (0, 4)), mask.to(dtype)).logits, model(IDS).logits)


@every_architecture
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_ids": IDS, "position_ids": IDS}, "has no input position_ids"),
        ({"inputs_embeds": torch.zeros(3, 20, 8)}, "has no input inputs_embeds"),
        ({}, "needs input_ids"),
        ({"input_ids": IDS[0]}, r"of shape \(batch, length\).* not \(20,\)"),
        ({"input_ids": IDS[:, :0]}, r"length 1 or more, not \(3, 0\)"),
    ],
)
def test_inputs_that_mean_nothing_to_a_student_are_refused(
    architecture: str, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(architecture)(**inputs)


@every_architecture
@torch.no_grad()
def test_options_that_are_off_are_no_input(architecture: str) -> None:
    model = make(architecture)
    off = {"inputs_embeds": None, "use_cache": False}
    assert torch.equal(model(IDS, **off).logits, model(IDS).logits)


@every_architecture
def test_gradient_checkpointing_is_refused(architecture: str) -> None:
    with pytest.raises(ValueError, match="does not support activation checkpointing"):
        make(architecture).activation_checkpointing_enable()


@pytest.mark.parametrize("architecture", SEQUENCES)
@torch.no_grad()
def test_the_configuration_can_ask_for_states_and_tuples(architecture: str) -> None:
    assert len(make(architecture, output_hidden_states=True)(IDS).hidden_states) == 2
    logits, states = make(architecture, output_hidden_states=True, return_dict=False)(IDS)
    assert (logits.shape, len(states)) == ((3, 3), 2)


@torch.no_grad()
def test_the_configuration_cannot_ask_a_bag_for_states() -> None:
    with pytest.raises(ValueError, match="has no hidden states"):
        make("bag", output_hidden_states=True)(IDS)
