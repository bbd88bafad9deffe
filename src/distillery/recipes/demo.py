"""Demo: 1,400 labelled and 3,000 unlabeled generated reviews of some 27 word pieces."""

from dataclasses import replace

from distillery.recipes import default
from distillery.recipes.base import AugmentationRecipe, DataRecipe, Plan
from distillery.recipes.models import StudentRecipe, TeacherRecipe

MAX_LENGTH = 64  # no review is longer
DATA = DataRecipe(dev_rows=200)
AUGMENTATION = AugmentationRecipe(copies=2)
PLAN = Plan(
    teachers=("minilm",), students=("bilstm", "attention"), compressed=("bilstm",), prunes=False
)


def teacher(name: str) -> TeacherRecipe:
    """Most of the demo's time. Embeddings and the lowest of MiniLM's six layers stay frozen."""
    return TeacherRecipe(
        tuned_layers=5,
        epochs=3,
        batch_size=16,
        learning_rate=2e-4,
        max_length=MAX_LENGTH,
        floor=0.9,
    )


def student(name: str) -> StudentRecipe:
    recipe = replace(default.student(name), max_length=MAX_LENGTH)
    return recipe.trained(epochs=5, learning_rate=2e-3)


def distillation(name: str, teacher: str) -> StudentRecipe:
    recipe = replace(default.distillation(name, teacher), max_length=MAX_LENGTH)
    return recipe.trained(epochs=4, learning_rate=2e-3)
