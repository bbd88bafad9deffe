"""STS-B: 5,120 pairs of about 29 word pieces, none longer than 128."""

from distillery.recipes import default
from distillery.recipes.base import Plan
from distillery.recipes.models import StudentRecipe, TeacherRecipe

PLAN = Plan(
    teachers=("minilm",),
    students=("bigru", "bert_tiny", "minilm3"),
    compressed=("bigru",),
    seeds={"bigru": 3, "bert_tiny": 3},
)
DATA = default.PUBLIC_DATA


def teacher(name: str) -> TeacherRecipe:
    """Of six epochs the third was best on dev."""
    return default.teacher(name).changed(epochs=4, max_length=128)


def student(name: str) -> StudentRecipe:
    return default.student(name).changed(epochs=10, max_length=128)


def distillation(name: str, teacher: str) -> StudentRecipe:
    """Of rates 1e-3 and 2e-3 and 20 epochs, 2e-3 was better for `bigru` on dev, and best early."""
    recipe = default.distillation(name, teacher)
    return recipe.changed(epochs=10, learning_rate=2e-3, max_length=128)
