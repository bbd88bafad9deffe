"""The recipes of a task as they are in effect, each value with where it comes from."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

from distillery import encoders, recipes
from distillery.data.task import Task
from distillery.errors import choose
from distillery.recipes import Phase, Recipe, options
from distillery.students import STUDENTS


def run(task: Task, arguments: Namespace) -> None:
    """Prints a line per value: its option, the value, and the file or class that sets it."""
    student = arguments.student and choose("student", arguments.student, STUDENTS)
    teacher = arguments.teacher and encoders.short_name(arguments.teacher.split(",")[0])
    for title, recipe_of in _wanted(student, teacher).items():
        print(f"{title} on {task.name}")
        for option, value, source in described(task.name, recipe_of):
            print(f"  {option:24} {value or '-':32} {source}".rstrip())


def _wanted(student: str | None, teacher: str | None) -> dict[str, Callable[[str], Recipe]]:
    """Title -> a function from a task's name to its recipe."""
    if student and teacher:
        distilled = f"distil {teacher} into {student}"
        return {distilled: lambda task: recipes.distillation(task, student, teacher)}
    if student:
        return {f"student {student}": lambda task: recipes.student(task, student)}
    if teacher:
        return {
            f"pretrain {teacher}": lambda task: recipes.pretraining(task, teacher),
            f"teacher {teacher}": lambda task: recipes.teacher(task, teacher),
        }
    return {
        "plan": recipes.plan,
        "data": recipes.data,
        "augment": recipes.augmentation,
        "quantize": recipes.quantization,
        "bench inference": recipes.inference,
    }


def described(task: str, recipe_of: Callable[[str], Recipe]) -> list[tuple[str, str, str]]:
    """(option, value, source) of each field. source: the task's file where the value differs from
    that of `default.py`, which is the source where the value differs from that of the class."""
    recipe = recipe_of(task)
    values, usual = (options.values(recipe.as_dict()) for recipe in (recipe, recipe_of("")))
    phases = [_defaults(Phase) for _ in getattr(recipe, "phases", ())]
    of_class = options.values({**_defaults(type(recipe)), "phases": phases})
    own = {field.name.replace("_", "-") for field in fields(recipe)}
    rows = []
    for option, value in values.items():
        source = type(recipe).__name__ if option in own else Phase.__name__
        if value != of_class.get(option):
            source = "default.py"
        if value != usual.get(option):
            source = f"{task}.py"
        rows.append((option, value, source))
    return rows


def _defaults(kind: type[Recipe]) -> dict[str, Any]:
    given = {field.name: field.default for field in fields(kind) if field.default is not MISSING}
    given.pop("phases", None)
    return given
