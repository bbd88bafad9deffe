"""MRPC: 3,300 pairs of some 53 word pieces, none of over 128: small, so more epochs."""

from distillery.recipes import default
from distillery.recipes.models import StudentRecipe, TeacherRecipe

DATA = default.PUBLIC_DATA
HEAD = 0.25  # the end of a text says more than its middle


def teacher(name: str) -> TeacherRecipe:
    return default.teacher(name).changed(epochs=6, max_length=128)


def student(name: str) -> StudentRecipe:
    return default.student(name).changed(epochs=10, max_length=128)


def distillation(name: str, teacher: str) -> StudentRecipe:
    return default.distillation(name, teacher).changed(epochs=20, max_length=128)
