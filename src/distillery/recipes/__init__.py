"""Every hyperparameter, a file per task; nothing else sets one.

`recipes/<task>.py` says what differs from `recipes/default.py`: it may define `DATA`, `PLAN`,
`AUGMENTATION`, `QUANTIZATION`, `INFERENCE`, `HEAD` (the field `head` of every recipe that reads
texts) and the functions `baseline(name)`, `pretraining(name)`,
`teacher(name)`, `student(name)`, `distillation(name, teacher)` and `pruning(phases)`; for students
of BERT's shape, which read texts as the teacher does, `bert_student(name)` and
`bert_distillation(name, teacher)`.
A user's own task has no file and takes the defaults.
"""

import importlib
import importlib.util
from dataclasses import replace
from types import ModuleType
from typing import Any

from distillery.recipes import base, default
from distillery.recipes.base import AugmentationRecipe, DataRecipe, Phase, Plan, Recipe, TextRecipe
from distillery.recipes.compression import InferenceRecipe, PruningRecipe, QuantizationRecipe
from distillery.recipes.models import (
    BagRecipe,
    BaselineRecipe,
    BertStudentRecipe,
    NbsvmRecipe,
    PretrainingRecipe,
    SequenceRecipe,
    StudentRecipe,
    TeacherRecipe,
)
from distillery.students import PRETRAINED

__all__ = [
    "AugmentationRecipe",
    "BagRecipe",
    "BaselineRecipe",
    "BertStudentRecipe",
    "DataRecipe",
    "InferenceRecipe",
    "NbsvmRecipe",
    "Phase",
    "Plan",
    "PretrainingRecipe",
    "PruningRecipe",
    "QuantizationRecipe",
    "Recipe",
    "SequenceRecipe",
    "StudentRecipe",
    "TeacherRecipe",
    "TextRecipe",
    "augmentation",
    "baseline",
    "data",
    "distillation",
    "inference",
    "needs_augmentation",
    "plan",
    "pretraining",
    "pruning",
    "quantization",
    "student",
    "teacher",
]


def _of(task: str, what: str) -> Any:
    """The attribute `what` of the task's file, or of the default file."""
    module: ModuleType = default
    if task.isidentifier() and importlib.util.find_spec(f"{__name__}.{task}"):
        module = importlib.import_module(f"{__name__}.{task}")
    return getattr(module, what, getattr(default, what))


def _reading(task: str, recipe: Any) -> Any:
    """A recipe that reads texts, with the task's own way to cut long ones."""
    return replace(recipe, head=_of(task, "HEAD"))


def data(task: str) -> DataRecipe:
    recipe: DataRecipe = _of(task, "DATA")
    return recipe


def augmentation(task: str) -> AugmentationRecipe:
    recipe: AugmentationRecipe = _of(task, "AUGMENTATION")
    return recipe


def plan(task: str) -> Plan:
    found: Plan = _of(task, "PLAN")
    return found


def baseline(task: str, name: str) -> Recipe:
    recipe: Recipe = _of(task, "baseline")(name)
    return recipe


def inference(task: str) -> InferenceRecipe:
    recipe: InferenceRecipe = _reading(task, _of(task, "INFERENCE"))
    return recipe


def pretraining(task: str, name: str) -> PretrainingRecipe:
    recipe: PretrainingRecipe = _reading(task, _of(task, "pretraining")(name))
    return recipe


def teacher(task: str, name: str) -> TeacherRecipe:
    recipe: TeacherRecipe = _reading(task, _of(task, "teacher")(name))
    return recipe


def student(task: str, name: str) -> StudentRecipe:
    if name in PRETRAINED:
        return _as_teacher_reads(task, plan(task).teachers[0], _of(task, "bert_student")(name))
    recipe: StudentRecipe = _reading(task, _of(task, "student")(name))
    return recipe


def distillation(task: str, name: str, teacher_name: str) -> StudentRecipe:
    if name in PRETRAINED:
        bert: BertStudentRecipe = _of(task, "bert_distillation")(name, teacher_name)
        return _as_teacher_reads(task, teacher_name, bert)
    recipe: StudentRecipe = _reading(task, _of(task, "distillation")(name, teacher_name))
    return recipe


def _as_teacher_reads(task: str, teacher_name: str, recipe: BertStudentRecipe) -> BertStudentRecipe:
    text = teacher(task, teacher_name)
    return replace(recipe, max_length=text.max_length, head=text.head)


def needs_augmentation(task: str) -> bool:
    """Whether any planned distillation trains on augmented rows."""
    found = plan(task)
    return any(
        "augmented" in phase.splits
        for name in found.students
        for teacher_name in found.teachers
        for phase in distillation(task, name, teacher_name).phases
    )


def pruning(task: str, name: str | None, teacher_name: str) -> PruningRecipe:
    """name: the student that is pruned, None for the teacher itself. It is distilled again by the
    last phase of the task's recipe for it, also where a variant of it is pruned; a teacher as it
    was fine-tuned, from its own outputs."""
    if name:
        phases = distillation(task, name, teacher_name).phases[-1:]
    else:
        phase = teacher(task, teacher_name).phase()
        splits = base.SOURCE_SPLITS
        phases = (replace(phase, splits=splits, losses=default.LOGITS),)
    recipe: PruningRecipe = _of(task, "pruning")(phases)
    return recipe


def quantization(task: str) -> QuantizationRecipe:
    recipe: QuantizationRecipe = _of(task, "QUANTIZATION")
    return recipe
