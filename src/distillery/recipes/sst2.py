"""SST-2: 56,000 phrases of some 13 word pieces, none of over 64."""

from dataclasses import replace

from distillery.recipes import default
from distillery.recipes.base import Plan, StudentRecipe, TeacherRecipe

PLAN = Plan(
    teachers=("minilm",), students=("bilstm", "bigru", "attention", "transformer2", "bert_tiny")
)


def teacher(name: str) -> TeacherRecipe:
    """A step over short rows is mostly the optimizer's: large batches (`results/search`)."""
    recipe = replace(default.teacher(name), max_length=64, batch_size=128, floor=0.88)
    return replace(recipe, learning_rate=2e-4) if name == "minilm" else recipe


def student(name: str) -> StudentRecipe:
    return replace(default.student(name).trained(epochs=4, batch_size=64), max_length=64)


def distillation(name: str, teacher: str) -> StudentRecipe:
    recipe = default.distillation(name, teacher)
    trained = recipe.trained(epochs=8, batch_size=64, learning_rate=2e-3)
    return replace(trained, max_length=64)
