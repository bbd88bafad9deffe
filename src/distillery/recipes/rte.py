"""RTE: 2,200 pairs of some 70 word pieces, an eighth of over 128: small, so more epochs."""

from dataclasses import replace

from distillery.recipes import default
from distillery.recipes.models import StudentRecipe, TeacherRecipe

DATA = default.PUBLIC_DATA
HEAD = 0.25  # the end of a text says more than its middle


def teacher(name: str) -> TeacherRecipe:
    return replace(default.teacher(name), epochs=6)


def student(name: str) -> StudentRecipe:
    return default.student(name).trained(epochs=10)


def distillation(name: str, teacher: str) -> StudentRecipe:
    return default.distillation(name, teacher).trained(epochs=20)
