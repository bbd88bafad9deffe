"""Every hyperparameter, a file per task; nothing else sets one.

`recipes/<task>.py` says what differs from `recipes/default.py`, by the names in `NAMES`. A user's
own task has no file and takes the defaults.
"""

import importlib
import importlib.util
import symtable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from distillery.errors import UserError
from distillery.recipes import default
from distillery.recipes.base import SOURCE_SPLITS
from distillery.recipes.base import AugmentationRecipe as AugmentationRecipe
from distillery.recipes.base import DataRecipe as DataRecipe
from distillery.recipes.base import Phase as Phase
from distillery.recipes.base import Plan as Plan
from distillery.recipes.base import Recipe as Recipe
from distillery.recipes.base import TextRecipe as TextRecipe
from distillery.recipes.models import BagRecipe as BagRecipe
from distillery.recipes.models import BaselineRecipe as BaselineRecipe
from distillery.recipes.models import BertStudentRecipe as BertStudentRecipe
from distillery.recipes.models import InferenceRecipe as InferenceRecipe
from distillery.recipes.models import NbsvmRecipe as NbsvmRecipe
from distillery.recipes.models import PretrainingRecipe as PretrainingRecipe
from distillery.recipes.models import PruningRecipe as PruningRecipe
from distillery.recipes.models import QuantizationRecipe as QuantizationRecipe
from distillery.recipes.models import SequenceRecipe as SequenceRecipe
from distillery.recipes.models import StudentRecipe as StudentRecipe
from distillery.recipes.models import TeacherRecipe as TeacherRecipe
from distillery.students import STUDENTS

NAMES = (
    *("DATA", "PLAN", "AUGMENTATION", "QUANTIZATION", "INFERENCE"),
    "HEAD",  # `head` of every recipe that reads texts
    "baseline",  # (name)
    "pretraining",  # (teacher)
    "teacher",  # (name)
    "student",  # (name)
    "distillation",  # (student, teacher)
    "bert_student",  # these two for students of BERT's shape, which read texts as the teacher does
    "bert_distillation",
    "pruning",  # (phases)
)
NO_TASKS = ("base", "default", "models", "options")  # modules here
R = TypeVar("R", bound=Recipe)


def _lookup(task: str, name: str) -> Any:
    """What the task's file, or else the default one, has under a name of `NAMES`."""
    return getattr(_file_of(task), name, getattr(default, name))


def _file_of(task: str) -> ModuleType:
    """The module of a task's recipes, of a user's task the default one. UserError on a public name
    in it that nothing reads, such as a misspelt one."""
    if not task.isidentifier() or task in NO_TASKS:
        return default
    spec = importlib.util.find_spec(f"{__name__}.{task}")
    if not spec or not spec.origin:
        return default
    source = Path(spec.origin).read_text(encoding="utf-8")
    symbols = symtable.symtable(source, spec.origin, "exec").get_symbols()
    defined = [s.get_name() for s in symbols if s.is_assigned() and not s.is_imported()]
    for name in defined:
        if name not in NAMES and not name.startswith("_"):
            raise UserError(
                f"nothing reads {name} in recipes/{task}.py: choose from {', '.join(NAMES)}, or"
                f" write _{name} for a helper"
            )
    return importlib.import_module(f"{__name__}.{task}")


def _recipe(kind: type[R], task: str, name: str, *names: object) -> R:
    """The recipe under a name of `NAMES`; if it reads texts, with the task's `HEAD`."""
    found = _lookup(task, name)
    recipe = found(*names) if callable(found) else found
    if isinstance(recipe, TextRecipe):
        recipe = recipe.changed(head=_lookup(task, "HEAD"))
    if not isinstance(recipe, kind):
        raise UserError(
            f"{name} in recipes/{task}.py is a {type(recipe).__name__}, not a {kind.__name__}"
        )
    return recipe


def data(task: str) -> DataRecipe:
    return _recipe(DataRecipe, task, "DATA")


def augmentation(task: str) -> AugmentationRecipe:
    return _recipe(AugmentationRecipe, task, "AUGMENTATION")


def plan(task: str) -> Plan:
    return _recipe(Plan, task, "PLAN")


def quantization(task: str) -> QuantizationRecipe:
    return _recipe(QuantizationRecipe, task, "QUANTIZATION")


def inference(task: str) -> InferenceRecipe:
    return _recipe(InferenceRecipe, task, "INFERENCE")


def baseline(task: str, name: str) -> Recipe:
    return _recipe(Recipe, task, "baseline", name)


def pretraining(task: str, teacher_name: str) -> PretrainingRecipe:
    return _recipe(PretrainingRecipe, task, "pretraining", teacher_name)


def teacher(task: str, name: str) -> TeacherRecipe:
    return _recipe(TeacherRecipe, task, "teacher", name)


def student(task: str, name: str) -> StudentRecipe:
    if name not in STUDENTS or STUDENTS[name].own:
        return _recipe(StudentRecipe, task, "student", name)
    recipe = _recipe(BertStudentRecipe, task, "bert_student", name)
    return recipe.changed(max_length=teacher(task, plan(task).teachers[0]).max_length)


def distillation(task: str, name: str, teacher_name: str) -> StudentRecipe:
    if name not in STUDENTS or STUDENTS[name].own:
        return _recipe(StudentRecipe, task, "distillation", name, teacher_name)
    recipe = _recipe(BertStudentRecipe, task, "bert_distillation", name, teacher_name)
    return recipe.changed(max_length=teacher(task, teacher_name).max_length)


def pruning(task: str, name: str | None, teacher_name: str) -> PruningRecipe:
    """name: the student that is pruned, None for the teacher itself. A student is distilled again
    by the last phase of the task's recipe for it, also where a variant of it is pruned; a teacher
    as it was fine-tuned, from its own outputs."""
    if name:
        phases = distillation(task, name, teacher_name).phases[-1:]
    else:
        phase = teacher(task, teacher_name).phase()
        phases = (replace(phase, splits=SOURCE_SPLITS, losses=default.LOGITS),)
    return _recipe(PruningRecipe, task, "pruning", phases)


def needs_augmentation(task: str) -> bool:
    """Whether any planned distillation trains on augmented rows."""
    planned = plan(task)
    return any(
        "augmented" in phase.splits
        for name in planned.students
        for teacher_name in planned.teachers
        for phase in distillation(task, name, teacher_name).phases
    )
