"""Command-line options made from a recipe's fields."""

import argparse
from dataclasses import fields, replace
from typing import Any

import pytest

from distillery.errors import UserError
from distillery.recipes import (
    AugmentationRecipe,
    BaselineRecipe,
    DataRecipe,
    Phase,
    SequenceRecipe,
    TeacherRecipe,
)
from distillery.recipes import options as made

PHASE = Phase(splits=("train",), losses=(("kl", 1.0, {"temperature": 3.0}),))
ONE = SequenceRecipe(phases=(PHASE,))
TWO = SequenceRecipe(phases=(PHASE, replace(PHASE, epochs=9)))


def parser(recipe: Any) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(allow_abbrev=False)
    made.add(found, recipe)
    return found


def given(recipe: Any, *arguments: str) -> Any:
    return made.apply(recipe, parser(recipe).parse_args(arguments))


@pytest.mark.parametrize("recipe", [DataRecipe(), TeacherRecipe(), BaselineRecipe(), ONE, TWO])
def test_no_option_changes_nothing(recipe: Any) -> None:
    assert given(recipe) == recipe


@pytest.mark.parametrize(
    "recipe", [DataRecipe(), AugmentationRecipe(), TeacherRecipe(), BaselineRecipe(), ONE]
)
def test_every_field_has_an_option_with_its_default_in_the_help(recipe: Any) -> None:
    text = " ".join(parser(recipe).format_help().split())
    for part in (recipe, *getattr(recipe, "phases", ())):
        for field in fields(part):
            if field.name != "phases":
                assert f"--{field.name.replace('_', '-')} VALUE" in text
                assert made.shown(getattr(part, field.name)) in text


def test_options_take_the_fields_types() -> None:
    found = given(
        ONE, "--hidden-size", "64", "--dropout", "0.2", "--embeddings", "teacher", "--epochs", "4"
    )
    assert (found.hidden_size, found.dropout, found.embeddings) == (64, 0.2, "teacher")
    assert found.phases == (replace(PHASE, epochs=4),)
    assert given(ONE, "--splits", "train,unlabeled").phases[0].splits == ("train", "unlabeled")
    found = given(BaselineRecipe(), "--inverse-regularization", "0.5,2")
    assert found.inverse_regularization == (0.5, 2.0)


def test_options_of_several_phases_are_numbered() -> None:
    found = given(TWO, "--phase2-learning-rate", "0.5", "--phase1-epochs", "2")
    assert found.phases[0] == replace(PHASE, epochs=2)
    assert found.phases[1] == replace(PHASE, epochs=9, learning_rate=0.5)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--epoch", "4"),
        ("--temparature", "2"),
        ("--epochs", "2.5"),
        ("--epochs", "many"),
        ("--phase1-epochs", "4"),
        ("--phases", "1"),
        ("--epochs",),
    ],
)
def test_unknown_or_unreadable_option_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        given(ONE, *arguments)
    assert caught.value.code == 2


def test_unnumbered_option_is_refused_where_there_are_several_phases() -> None:
    with pytest.raises(SystemExit):
        given(TWO, "--epochs", "4")


def test_impossible_value_is_refused() -> None:
    with pytest.raises(UserError, match="epochs 0 is impossible"):
        given(ONE, "--epochs", "0")


def test_losses_are_read_with_weights_and_options() -> None:
    assert made.parse_losses("mse:1,kl:0.5:temperature=2") == (
        ("mse", 1.0, {}),
        ("kl", 0.5, {"temperature": 2.0}),
    )
    assert made.parse_losses("mse") == (("mse", 1.0, {}),)


def test_losses_are_shown_as_they_are_typed() -> None:
    for text in ("mse:1", "mse:1,kl:0.5:temperature=2"):
        assert made.shown(made.parse_losses(text)) == text


def test_an_option_of_a_loss_may_be_a_word() -> None:
    text = "hidden:1:layers=last:scale=2"
    read = made.parse_losses(text)
    assert read == (("hidden", 1.0, {"layers": "last", "scale": 2.0}),)
    assert made.shown(read) == text


@pytest.mark.parametrize(
    "text", ["mse:", "mse:one", "kl:1:temperature", "kl:1:temperature=", "kl:1:a=1=2"]
)
def test_unreadable_loss_is_named(text: str) -> None:
    with pytest.raises(UserError, match="is not of the form name:weight"):
        made.parse_losses(text)
