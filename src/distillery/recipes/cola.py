"""CoLA: 7,600 sentences of some 12 word pieces, none of over 64: small, so more epochs."""

from distillery.recipes import default
from distillery.recipes.models import StudentRecipe, TeacherRecipe

DATA = default.PUBLIC_DATA
HEAD = 0.25  # the end of a text says more than its middle


def teacher(name: str) -> TeacherRecipe:
    return default.teacher(name).changed(epochs=5, max_length=64)


def student(name: str) -> StudentRecipe:
    return default.student(name).changed(epochs=8, max_length=64)


def distillation(name: str, teacher: str) -> StudentRecipe:
    return default.distillation(name, teacher).changed(epochs=15, max_length=64)
