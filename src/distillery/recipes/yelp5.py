"""Yelp: 650,000 reviews, or a part of them, of some 170 word pieces, a fifth of over 256."""

from distillery.recipes import default
from distillery.recipes.base import AugmentationRecipe, Plan
from distillery.recipes.models import StudentRecipe, TeacherRecipe

DATA = default.PUBLIC_DATA
PLAN = Plan(teachers=("minilm",), students=("bigru", "attention"))
AUGMENTATION = AugmentationRecipe(copies=2, ngram_min=32, ngram_max=128)  # as for IMDB
HEAD = 0.25  # the end of a text says more than its middle


def teacher(name: str) -> TeacherRecipe:
    return default.teacher(name).changed(epochs=2, min_dev_score=0.5)


def student(name: str) -> StudentRecipe:
    return default.student(name).changed(epochs=4)


def distillation(name: str, teacher: str) -> StudentRecipe:
    return default.distillation(name, teacher).changed(epochs=6, learning_rate=2e-3)
