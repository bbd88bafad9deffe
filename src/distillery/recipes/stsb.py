"""STS-B: 5,100 pairs of about 29 word pieces, none longer than 128: small, so more epochs."""

from dataclasses import replace

from distillery.recipes import default
from distillery.recipes.base import Plan
from distillery.recipes.models import StudentRecipe, TeacherRecipe

PLAN = Plan(teachers=("minilm",), students=("bigru", "bert_tiny"), compressed=("bigru",))
DATA = default.PUBLIC_DATA


def teacher(name: str) -> TeacherRecipe:
    return replace(default.teacher(name), epochs=6, max_length=128)


def student(name: str) -> StudentRecipe:
    return replace(default.student(name).trained(epochs=10), max_length=128)


def distillation(name: str, teacher: str) -> StudentRecipe:
    return replace(default.distillation(name, teacher).trained(epochs=20), max_length=128)
