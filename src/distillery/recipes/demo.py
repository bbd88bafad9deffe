"""Demo: 1,400 labelled and 3,000 unlabeled generated reviews of some 27 word pieces, none of over
64."""

from distillery.recipes import default
from distillery.recipes.base import AugmentationRecipe, DataRecipe, Plan
from distillery.recipes.models import StudentRecipe, TeacherRecipe

DATA = DataRecipe(dev_rows=200)
AUGMENTATION = AugmentationRecipe(copies=2)
PLAN = Plan(
    teachers=("minilm",), students=("bilstm", "attention"), compressed=("bilstm",), prunes=False
)


def teacher(name: str) -> TeacherRecipe:
    """Most of the demo's time. Embeddings and the lowest of MiniLM's six layers stay frozen."""
    recipe = default.teacher(name).changed(max_length=64, tuned_layers=5, min_dev_score=0.9)
    return recipe.changed(batch_size=16, learning_rate=2e-4)


def student(name: str) -> StudentRecipe:
    return default.student(name).changed(max_length=64, epochs=5, learning_rate=2e-3)


def distillation(name: str, teacher: str) -> StudentRecipe:
    recipe = default.distillation(name, teacher)
    return recipe.changed(max_length=64, epochs=4, learning_rate=2e-3)
