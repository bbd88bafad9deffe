"""The scripts that names promise: one per experiment, of one command each, made from here.

A script says what it runs and can be copied and changed; what scripts share is
`scripts/distillery`.
"""

import itertools
import logging
from argparse import Namespace
from collections.abc import Iterator

from distillery import encoders, files, paths, recipes, tasks
from distillery.errors import UserError, choose
from distillery.students import STUDENTS

MARK = "# Made by `make scripts`."
_TEXT = """\
#!/usr/bin/env bash
# {what}
{mark} Options: --help lists them.
set -euo pipefail
exec "$(dirname "$(readlink -f -- "${{BASH_SOURCE[0]}}")")/../distillery" {command} "$@"
"""
# What `scripts/ablation.sh` compares: a student distilled on a short schedule, each time with one
# thing changed by options of `distil`.
BASE = {"epochs": "1", "splits": "train,unlabeled", "losses": "kl:1:temperature=2"}
VARIANTS: dict[str, dict[str, str]] = {
    "base": {},
    "train": {"splits": "train"},
    "train_longer": {"splits": "train", "epochs": "3"},  # on IMDB about as many steps as base
    "random": {"embeddings": "random"},
    "hard": {"losses": "teacher_labels"},
    "mse": {"losses": "mse"},
    "last": {"pooling": "last"},
    "short": {"max-length": "128"},
    "augmented": {"splits": "train,unlabeled,augmented"},
}


def print_plan(name: str, arguments: Namespace) -> None:
    """What `run_all.sh` runs for a task, a line each: teachers, which of them are pretrained
    further, students, which of them are compressed, the students there are, and
    `augmented` where distillation trains on such rows."""
    plan = recipes.plan(name)
    teachers = arguments.teachers.split(",") if arguments.teachers else plan.teachers
    recipe_of = {spec: recipes.teacher(name, encoders.short_name(spec)) for spec in teachers}
    print("teachers", *teachers)
    print("pretrained", *(spec for spec in teachers if recipe_of[spec].pretraining == "task"))
    print("students", *plan.students)
    print("compressed", *plan.compressed)
    print("known", *STUDENTS)
    if recipes.needs_augmentation(name):
        print("augmented")


def print_ablation(arguments: Namespace) -> None:
    """What `ablation.sh` runs for a student: each variant's name and its options of `distil`.
    UserError where the student has no such thing."""
    student = choose("student", arguments.student, STUDENTS)
    chosen = [*VARIANTS] if arguments.only is None else arguments.only.split(",")
    for name in chosen:
        choose("variant", name, VARIANTS)
    if not STUDENTS[student].own:
        raise UserError(f"{student} is taught in two phases, which these variants do not know")
    if student == "bag" and (lost := {"random", "last"}.intersection(chosen)):
        raise UserError(
            f"a bag has no such embeddings or states: leave out {', '.join(sorted(lost))}"
            " (--only A,B)"
        )
    for name in chosen:
        options = {**BASE, **VARIANTS[name]}
        print(name, *(f"--{field} {value}" for field, value in options.items()))


def run() -> None:
    """Writes the scripts of every task and removes those of experiments there are no more."""
    folder = paths.ROOT / "scripts"
    if not (folder / "distillery").is_file():
        raise UserError("the shell scripts are in a clone of the project, and this is none")
    texts = wanted()
    for name, text in texts.items():
        path = paths.ROOT / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            files.write_text(path, text)
        path.chmod(0o755)
    for path in folder.glob("*/*.sh"):
        name = path.relative_to(paths.ROOT).as_posix()
        if name not in texts and MARK in path.read_text(encoding="utf-8"):
            path.unlink()
            logging.info("removed %s", name)
    logging.info("%d scripts in %s", len(texts), folder)


def wanted() -> dict[str, str]:
    """Script, relative to the project -> its text."""
    return {
        paths.script(command, names): _TEXT.format(
            what=what,
            mark=MARK,
            command=" ".join([command, *(f"--{role} {name}" for role, name in names.items())]),
        )
        for name in tasks.names()
        for command, names, what in _experiments(name)
    }


def _experiments(task: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """(command, role -> name, what it does) of a task: of generated texts what is planned, of
    real ones what there is."""
    plan = recipes.plan(task)
    every = not tasks.get(task).synthetic
    teachers, students = (encoders.ENCODERS, STUDENTS) if every else (plan.teachers, plan.students)
    yield "data", {"task": task}, f"Stage 1: makes the splits of {task}."
    for teacher in teachers:
        if recipes.teacher(task, teacher).pretraining == "task":
            what = f"Before stage 2: trains {teacher} further on the texts of {task}."
            yield "pretrain", {"task": task, "teacher": teacher}, what
        what = f"Stage 2: fine-tunes {teacher} on {task}, then records its outputs for every row."
        yield "teacher", {"task": task, "teacher": teacher}, what
    for name in tasks.get(task).kind.baselines:
        what = f"Stage 3: the baseline {name} on {task}, a row that keeps the table honest."
        yield "baseline", {"task": task, "baseline": name}, what
    for student in students:
        what = f"Stage 3: trains {student} on the labels of {task} alone."
        yield "student", {"task": task, "student": student}, what
    for teacher, student in itertools.product(teachers, students):
        names = {"task": task, "teacher": teacher, "student": student}
        yield "distil", names, f"Stage 4: distils {teacher} into {student} on {task}."
    for teacher in plan.teachers if plan.compressed else ():
        yield from _compression(task, teacher, plan)


def _compression(
    task: str, teacher: str, plan: recipes.Plan
) -> Iterator[tuple[str, dict[str, str], str]]:
    """Stage 5 of a teacher and of students distilled from it."""
    steps = {
        "prune": "Stage 5: takes units and word pieces out of {}, then distils it again.",
        "quantize": "Stage 5: exports {} to ONNX with weights of 8 bits.",
        "export": "Stage 5: exports {} to ONNX, checked against PyTorch.",
    }
    if not plan.prunes:
        del steps["prune"]
    models = {paths.teacher_result(task, teacher): [*steps]}
    for student in plan.compressed:
        names = {"task": task, "teacher": teacher, "student": student}
        yield "compress", names, f"Stage 5: {student}, distilled on {task}, through all of it."
        model = paths.distillation_result(task, student, teacher)
        models[model] = [step for step in steps if step != "prune" or STUDENTS[student].prunes]
    for model, every in models.items():
        for step in every:
            yield step, {"task": task, "model": model}, steps[step].format(model)
