"""Demo: 2,000 labelled and 3,000 unlabeled generated reviews of some 60 word pieces."""

from dataclasses import replace

from distillery.recipes import default
from distillery.recipes.base import AugmentationRecipe, DataRecipe, Plan
from distillery.recipes.models import StudentRecipe, TeacherRecipe

DATA = DataRecipe(dev_rows=400)
AUGMENTATION = AugmentationRecipe(copies=2)
PLAN = Plan(teachers=("minilm",), students=("bilstm", "attention"), compressed=("bilstm",))


def teacher(name: str) -> TeacherRecipe:
    return TeacherRecipe(epochs=4, learning_rate=1e-4, max_length=128, floor=0.9)


def student(name: str) -> StudentRecipe:
    recipe = default.student(name)
    phase = replace(recipe.phases[0], epochs=8, learning_rate=2e-3)
    return replace(recipe, phases=(phase,), max_length=128)


def distillation(name: str, teacher: str) -> StudentRecipe:
    recipe = default.distillation(name, teacher)
    phase = replace(recipe.phases[0], epochs=5, learning_rate=2e-3)
    return replace(recipe, phases=(phase,), max_length=128, dropout=0.3)
