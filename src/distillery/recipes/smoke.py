"""Smoke: the tiny encoder on a few generated rows, in seconds."""

from distillery.recipes import default
from distillery.recipes.base import AugmentationRecipe, DataRecipe, Phase, Plan
from distillery.recipes.models import (
    BagRecipe,
    BertStudentRecipe,
    InferenceRecipe,
    PruningRecipe,
    StudentRecipe,
    TeacherRecipe,
)
from distillery.students import STUDENTS

DATA = DataRecipe(dev_rows=32)
AUGMENTATION = AugmentationRecipe(copies=2)
PLAN = Plan(teachers=("tiny",), students=("bilstm", "attention", "bag"), compressed=("bilstm",))
INFERENCE = InferenceRecipe(
    rounds=1, seconds=0.01, scores=(0.9,), shape="tiny", tokenizer="tiny", max_length=32
)


def teacher(name: str) -> TeacherRecipe:
    recipe = default.teacher(name).changed(epochs=8, learning_rate=5e-3)
    return recipe.changed(max_length=32, precision="fp32")


def student(name: str) -> StudentRecipe:
    return _small(default.student(name))


def distillation(name: str, teacher: str) -> StudentRecipe:
    return _small(default.distillation(name, teacher))


def _small(recipe: StudentRecipe) -> StudentRecipe:
    recipe = recipe.changed(epochs=4, learning_rate=5e-3, max_length=32)
    recipe = recipe.changed(tokenizer="tiny", precision="fp32")
    if isinstance(recipe, BagRecipe):
        return recipe.changed(buckets=2**10)
    return recipe.changed(embedding_size=16, hidden_size=32)


def pruning(phases: tuple[Phase, ...]) -> PruningRecipe:
    return PruningRecipe(phases=phases, pieces=96, rows=16)


def bert_student(name: str) -> BertStudentRecipe:
    return _small_bert(name, default.bert_student(name))


def bert_distillation(name: str, teacher: str) -> BertStudentRecipe:
    return _small_bert(name, default.bert_distillation(name, teacher))


def _small_bert(name: str, recipe: BertStudentRecipe) -> BertStudentRecipe:
    phases = tuple(phase.changed(epochs=4, learning_rate=1e-3) for phase in recipe.phases)
    tokenizer = STUDENTS[name].encoder or "tiny"
    return recipe.changed(phases=phases, tokenizer=tokenizer, precision="fp32")
