"""Stages 3 and 4: students, and the rows beside them."""

import argparse

from distillery import recipes, tasks
from distillery.commands.base import (
    Command,
    add_teacher_variant,
    experiment_options,
    force_option,
    run_experiment,
    short,
)
from distillery.errors import choose
from distillery.recipes import options
from distillery.students import BASELINES, STUDENTS


class Student(Command):
    """Stage 3: trains a student on labels alone."""

    names = ("task", "student")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        experiment_options(parser, known)
        options.add(parser, recipes.student(known.task or "", known.student or ""))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import student

        name = choose("student", arguments.student, STUDENTS)
        recipe, task = recipes.student(arguments.task, name), tasks.get(arguments.task)
        run_experiment(
            lambda recipe, variant: student.Student(task, recipe, name, variant=variant),
            recipe,
            arguments,
        )


class Distil(Command):
    """Stage 4: distils a teacher's recorded outputs into a student."""

    names = ("task", "teacher", "student")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        experiment_options(parser, known)
        add_teacher_variant(parser)
        names = (known.student or "", short(known.teacher))
        options.add(parser, recipes.distillation(known.task or "", *names))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import student

        name = choose("student", arguments.student, STUDENTS)
        teacher = short(arguments.teacher)
        recipe, task = (
            recipes.distillation(arguments.task, name, teacher),
            tasks.get(arguments.task),
        )
        run_experiment(
            lambda recipe, variant: student.Student(
                task, recipe, name, teacher, arguments.teacher_variant, variant
            ),
            recipe,
            arguments,
        )


class Baseline(Command):
    """Stage 3: a row that keeps the table honest: the majority class, or a linear model."""

    names = ("task", "baseline")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        force_option(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import baseline

        name = choose("baseline", arguments.baseline, BASELINES)
        baseline.run(
            tasks.get(arguments.task),
            recipes.baseline(arguments.task, name),
            name,
            command=arguments.command_line,
            force=arguments.force,
        )
