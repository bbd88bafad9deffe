"""The line a stage ends with: what it made, its quality, its place, and what to run next."""

import logging
import shlex
from pathlib import Path

from distillery import paths, recipes
from distillery.data import store
from distillery.data.task import Task
from distillery.students import STUDENTS


def done(what: str, facts: str, where: Path, then: str) -> None:
    """Logs the last line of a stage. facts: metrics of a model, rows of data. then: the command
    to type next, of `next_command`."""
    logging.info("%s: %s, in %s; next: %s", what, facts, shown(where), then)


def up_to_date(what: str, then: str) -> None:
    """Logs that a stage has nothing to do."""
    logging.info("%s is up to date (--force runs it anyway); next: %s", what, then)


def next_command(
    task: Task,
    stage: str,
    *,
    teacher: str | None = None,
    student: str | None = None,
    variant: str | None = None,
    model: str | None = None,
) -> str:
    """What a user types after a stage: the next script of the pipeline, and at its end `predict`.

    stage: as in results, or data. teacher, student: default to the first ones of the task's plan.
    variant: of what the stage made. model: its name, where it made one.
    """
    plan = recipes.plan(task.name)
    teacher = teacher or plan.teachers[0]
    student = student or (plan.students or tuple(STUDENTS))[0]
    both = {"task": task.name, "teacher": teacher, "student": student}
    trained = paths.model(task.name, paths.teacher_result(task.name, teacher)).is_dir()
    if stage == "data" or (stage == "student" and not trained):
        return paths.command("teacher", {"task": task.name, "teacher": teacher})
    if stage == "baseline":
        return paths.command("student", {"task": task.name, "student": student})
    if stage in ("teacher", "student"):
        command = paths.command("distil", both)
        made_otherwise = stage == "teacher" and variant
        return f"{command} --teacher-variant {variant}" if made_otherwise else command
    if stage == "distillation" and student in plan.compressed and not variant:
        return paths.command("compress", both)
    assert model, f"{stage} makes a model"
    folder = shlex.quote(str(shown(paths.model(task.name, model))))
    texts = "'a text' 'another text'" if store.read_split(task.name, "dev").paired else "'a text'"
    return f"{paths.command('predict', {})} {folder} {texts}"


def shown(path: Path) -> Path:
    """A path as a user would type it from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
