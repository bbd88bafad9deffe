"""STS-B: 5,100 pairs of about 29 word pieces, none longer than 128: small, so more epochs."""

from distillery.recipes import default
from distillery.recipes.base import Plan
from distillery.recipes.models import StudentRecipe, TeacherRecipe

PLAN = Plan(teachers=("minilm",), students=("bigru", "bert_tiny"), compressed=("bigru",))
DATA = default.PUBLIC_DATA


def teacher(name: str) -> TeacherRecipe:
    return default.teacher(name).changed(epochs=6, max_length=128)


def student(name: str) -> StudentRecipe:
    return default.student(name).changed(epochs=10, max_length=128)


def distillation(name: str, teacher: str) -> StudentRecipe:
    return default.distillation(name, teacher).changed(epochs=20, max_length=128)
