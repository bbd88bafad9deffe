"""Pruning: exact where nothing of use goes, scored as the formula says, and saved as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from distillery.compression import prune
from distillery.errors import UserError
from tests.compression.conftest import MAX_LENGTH, PRUNABLE, batch, classifier

INPUTS = batch(6, MAX_LENGTH)


def _loss(model: Any) -> Tensor:
    return model(**INPUTS).logits.pow(2).mean()


@pytest.mark.parametrize("kind", PRUNABLE)
@torch.no_grad()
def test_units_that_nothing_reads_go_without_a_trace(kind: str) -> None:
    model = classifier(kind)
    groups = prune.groups_of(model)
    scores = []
    for number, group in enumerate(groups):
        score = torch.rand(group.count, generator=torch.Generator().manual_seed(number))
        scores.append(score)
        lost = score.argsort()[: group.count - max(1, round(group.count * 0.5))]
        for part in group.read:
            weight = model.get_parameter(part.weight)
            weight.index_fill_(part.dim, part.places(lost).flatten(), 0)
    smaller = prune.pruned(model, scores, groups, 0.5).eval()
    assert smaller.num_parameters() < model.num_parameters()
    torch.testing.assert_close(smaller(**INPUTS).logits, model(**INPUTS).logits)


@pytest.mark.parametrize("kind", ["bilstm2", "bigru", "attention", "transformer2", "bert"])
def test_importance_is_the_derivative_of_a_gate(kind: str) -> None:
    """Against a difference: every weight that reads the unit, times 1 + e and 1 - e."""
    model = classifier(kind).double()
    groups = prune.groups_of(model)
    scores = prune.importance(model, [_loss, _loss], groups)
    for group, score in zip(groups, scores, strict=True):
        unit = torch.tensor([int(score.argmax())])
        found = []
        for gate in (1 + 1e-5, 1 - 1e-5):
            state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            for part in group.read:
                places = part.places(unit).flatten()
                state[part.weight].index_copy_(
                    part.dim, places, gate * state[part.weight].index_select(part.dim, places)
                )
            with torch.no_grad():
                output = torch.func.functional_call(model, state, kwargs=INPUTS)
            found.append(float(output.logits.pow(2).mean()))
        expected = 2 * abs(found[0] - found[1]) / 2e-5  # the sum over two rows
        assert float(score[unit]) == pytest.approx(expected, rel=1e-3), group


@pytest.mark.parametrize("kind", ["bilstm2", "bigru", "transformer2", "bert", "pruned bert"])
def test_a_pruned_model_is_saved_and_loaded_as_it_is(kind: str, tmp_path: Path) -> None:
    model = classifier(kind)
    groups = prune.groups_of(model)
    smaller = prune.pruned(model, [torch.rand(g.count) for g in groups], groups, 0.6).eval()
    smaller.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(loaded(**INPUTS).logits, smaller(**INPUTS).logits)
    kept = {group.kind: group.count for group in prune.groups_of(loaded)}
    assert kept == {g.kind: max(1, round(0.4 * g.count)) for g in groups}


def test_recurrent_students_with_another_pooling_are_pruned_too() -> None:
    model = classifier("bigru", pooling="last")
    groups = prune.groups_of(model)
    scores = prune.importance(model, [_loss], groups)
    smaller = prune.pruned(model, scores, groups, 0.5).eval()
    assert smaller(**INPUTS).logits.shape == model(**INPUTS).logits.shape


@pytest.mark.parametrize("kind", ["bilstm", "bigru2", "transformer"])
@torch.no_grad()
def test_students_of_pairs_lose_units_without_a_trace(kind: str) -> None:
    model = classifier(kind, pairs=True)
    mask = INPUTS["attention_mask"]
    inputs = INPUTS | {"token_type_ids": mask * (torch.arange(MAX_LENGTH) >= 2)}
    groups = prune.groups_of(model)
    scores = [torch.arange(group.count, dtype=torch.float) for group in groups]
    for group in groups:
        lost = torch.arange(group.count - max(1, round(group.count * 0.5)))
        for part in group.read:
            weight = model.get_parameter(part.weight)
            weight.index_fill_(part.dim, part.places(lost).flatten(), 0)
    smaller = prune.pruned(model, scores, groups, 0.5).eval()
    torch.testing.assert_close(smaller(**inputs).logits, model(**inputs).logits)


def test_a_bag_has_no_units() -> None:
    with pytest.raises(UserError, match="a model of the type distillery_bag cannot be pruned"):
        prune.groups_of(classifier("bag"))


def test_one_unit_stays() -> None:
    model = classifier("attention")
    groups = prune.groups_of(model)
    smaller = prune.pruned(model, [torch.rand(g.count) for g in groups], groups, 0.99)
    assert [group.count for group in prune.groups_of(smaller)] == [1]


def test_pruning_that_takes_nothing_is_refused() -> None:
    model = classifier("attention")
    groups = prune.groups_of(model)
    with pytest.raises(UserError, match=r"sparsity 0\.1 takes nothing out"):
        prune.pruned(model, [torch.rand(g.count) for g in groups], groups, 0.1)
