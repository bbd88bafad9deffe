"""SST-2: 51,000 phrases of some 11 word pieces, none of over 64."""

from distillery.recipes import default
from distillery.recipes.base import TRANSFER_SPLITS, AugmentationRecipe, Plan
from distillery.recipes.models import (
    BertStudentRecipe,
    SequenceRecipe,
    StudentRecipe,
    TeacherRecipe,
)

_STUDENTS = ("bilstm", "bigru", "attention", "transformer2", "bert_tiny")
PLAN = Plan(("minilm",), _STUDENTS, seeds=dict.fromkeys(("minilm", *_STUDENTS), 3))
# Dev is whole sentences, as many as test has; a dev of phrases scored five points above test.
DATA = default.PUBLIC_DATA.changed(dev_rows=872, dev_from="sentences", unlabeled_as="sentences")
AUGMENTATION = AugmentationRecipe(copies=5)
HEAD = 0.25  # the end of a text says more than its middle


def teacher(name: str) -> TeacherRecipe:
    """A step over short rows is mostly the optimizer's: large batches. On an earlier dev split a
    rate of 1e-4 was best of three, and dropout gained nothing."""
    recipe = default.teacher(name).changed(max_length=64, batch_size=128, min_dev_score=0.88)
    return recipe.changed(learning_rate=1e-4) if name == "minilm" else recipe


def student(name: str) -> StudentRecipe:
    recipe = default.student(name).changed(max_length=64)
    if isinstance(recipe, SequenceRecipe):
        recipe = recipe.changed(dropout=0.5)
    return recipe.changed(epochs=4, batch_size=128, learning_rate=2e-3)


def distillation(name: str, teacher: str) -> StudentRecipe:
    """One epoch over that many rows is as good as two (`results/search`, on an earlier dev)."""
    recipe = default.distillation(name, teacher).changed(max_length=64, splits=TRANSFER_SPLITS)
    return recipe.changed(epochs=1, batch_size=128, learning_rate=3e-3)


def bert_student(name: str) -> BertStudentRecipe:
    return default.bert_student(name).changed(epochs=4, batch_size=128)


def bert_distillation(name: str, teacher: str) -> BertStudentRecipe:
    """The teacher runs live over train alone; its logits of all other rows are recorded."""
    recipe = default.bert_distillation(name, teacher)
    layers, logits = recipe.phases
    layers = layers.changed(splits=("train",), batch_size=128)
    logits = logits.changed(splits=TRANSFER_SPLITS, epochs=2, batch_size=128)
    return recipe.changed(phases=(layers, logits.changed(learning_rate=2 * logits.learning_rate)))
