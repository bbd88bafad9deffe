"""MNLI: 392,702 pairs, or a part of them, of some 40 word pieces, three in 1,000 of over 128."""

from distillery.recipes import default
from distillery.recipes.base import AugmentationRecipe, Plan
from distillery.recipes.models import StudentRecipe, TeacherRecipe

DATA = default.PUBLIC_DATA
PLAN = Plan(teachers=("minilm",), students=("bigru", "attention"))
AUGMENTATION = AugmentationRecipe(copies=10)  # as Tang et al. 2019, for more rows than SST-2 has
HEAD = 0.25  # the end of a text says more than its middle


def teacher(name: str) -> TeacherRecipe:
    recipe = default.teacher(name).changed(max_length=128, batch_size=64, min_dev_score=0.6)
    return recipe.changed(learning_rate=1.5e-4) if name == "minilm" else recipe


def student(name: str) -> StudentRecipe:
    return default.student(name).changed(epochs=4, batch_size=64, max_length=128)


def distillation(name: str, teacher: str) -> StudentRecipe:
    recipe = default.distillation(name, teacher).changed(max_length=128)
    return recipe.changed(epochs=8, batch_size=64, learning_rate=2e-3)
