"""What is no stage of its own: the report, the doctor, and what the shell asks: the plans of
`run_all.sh` and `ablation.sh`."""

import argparse

from distillery import kinds, recipes, tasks
from distillery.commands.base import Command, short
from distillery.errors import UserError
from distillery.recipes import ablation
from distillery.students import STUDENTS


class Report(Command):
    """Stage 6: the table and the picture, from the results alone."""

    computes = False

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import report

        report.run(tasks.get(arguments.task))


class Plan(Command):
    """Prints what `run_all.sh` runs for a task: teachers, which of them are pretrained further,
    students, which of them are compressed, and the students and baselines there are; `augmented`
    where distillation trains on such rows."""

    computes = False
    writes = False

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        parser.add_argument("--teachers", metavar="A,B,...", help="in place of the plan's own")

    def run(self, arguments: argparse.Namespace) -> None:
        plan = recipes.plan(arguments.task)
        teachers = arguments.teachers.split(",") if arguments.teachers else plan.teachers
        recipe_of = {name: recipes.teacher(arguments.task, short(name)) for name in teachers}
        print("teachers", *teachers)
        print("pretrained", *(name for name in teachers if recipe_of[name].pretraining == "task"))
        print("students", *plan.students)
        print("compressed", *plan.compressed)
        print("known", *STUDENTS)
        print("baselines", *_baselines(arguments.task))
        if recipes.needs_augmentation(arguments.task):
            print("augmented")


def _baselines(task: str) -> tuple[str, ...]:
    """Those of the task's kind; classification's for a user's data that stage 1 has not read."""
    try:
        return tasks.get(task).kind.baselines
    except UserError:
        return kinds.CLASSIFICATION.baselines


class Ablation(Command):
    """Prints what `ablation.sh` runs for a student: of each variant its name and the options of
    `distil`."""

    names = ("student",)
    computes = False
    writes = False

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        parser.add_argument("--only", metavar="A,B,...", help="some of the variants")

    def run(self, arguments: argparse.Namespace) -> None:
        only = () if arguments.only is None else tuple(arguments.only.split(","))
        for name, values in ablation.variants(arguments.student, only).items():
            print(name, *(f"--{field} {value}" for field, value in values.items()))


class Scripts(Command):
    """Writes the script of every experiment into `scripts`, as after adding a task or a student."""

    names = ()
    computes = False
    writes = False

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import scripts

        scripts.run()


class Doctor(Command):
    """Says what is there and what is missing, each with the command that mends it."""

    names = ()
    computes = False
    writes = False

    def run(self, arguments: argparse.Namespace) -> int:
        from distillery import doctor

        return doctor.run()
