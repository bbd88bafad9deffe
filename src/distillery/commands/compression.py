"""Stage 5."""

import argparse
from typing import Any

from distillery import paths, recipes, results, tasks
from distillery.commands.base import (
    Command,
    add_teacher_variant,
    changed,
    checkpoint_option,
    force_option,
    short,
)
from distillery.errors import UserError, choose
from distillery.recipes import PruningRecipe, options
from distillery.students import STUDENTS


def _variant_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--variant", metavar="NAME", help="name of a changed recipe, part of its result's name"
    )


def _pruning(task: str, model: str) -> PruningRecipe:
    """The recipe for a model, whose result says which student it is."""
    try:
        folder = paths.results(tasks.get(task).local)
        result = results.read(results.json_path(folder, model))
    except UserError:  # the stage says what is wrong with it
        result = {"student": None, "teacher": None}
    plan = recipes.plan(task)
    return recipes.pruning(task, result["student"], result["teacher"] or plan.teachers[0])


class Compress(Command):
    """Stage 5: a distilled student through all of it: export, quantize, prune and distil again."""

    names = ("task", "teacher", "student")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        force_option(parser)
        checkpoint_option(parser)
        add_teacher_variant(parser)
        parser.add_argument(
            "--student-variant", metavar="NAME", help="the student was made with --variant NAME"
        )

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import compress

        name, teacher = choose("student", arguments.student, STUDENTS), short(arguments.teacher)
        variants = arguments.teacher_variant, arguments.student_variant
        compress.chain(
            tasks.get(arguments.task),
            name,
            teacher,
            paths.distillation_result(arguments.task, name, teacher, *variants),
            checkpoint_seconds=arguments.checkpoint_seconds,
            force=arguments.force,
        )


class Prune(Command):
    """Stage 5: takes units and word pieces out of a model, then distils it again."""

    names = ("task", "model")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        force_option(parser)
        checkpoint_option(parser)
        _variant_option(parser)
        options.add(parser, _pruning(known.task or "", known.model or ""))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import compress

        recipe = changed(_pruning(arguments.task, arguments.model), arguments)
        task = tasks.get(arguments.task)
        _run(compress.Pruned(task, recipe, arguments.model, arguments.variant), arguments)


class Quantize(Command):
    """Stage 5: writes a model as ONNX with weights of 8 bits, embeddings of 8 or 4."""

    names = ("task", "model")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        force_option(parser)
        _variant_option(parser)
        options.add(parser, recipes.quantization(known.task or ""))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import compress

        recipe = changed(recipes.quantization(arguments.task), arguments)
        task = tasks.get(arguments.task)
        _run(compress.quantized(task, recipe, arguments.model, arguments.variant), arguments)


class Export(Command):
    """Stage 5: writes a model as ONNX, checked to give what PyTorch gives."""

    names = ("task", "model")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        force_option(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import compress

        _run(compress.exported(tasks.get(arguments.task), arguments.model), arguments)


def _run(stage: Any, arguments: argparse.Namespace) -> None:
    from distillery.stages import compress

    compress.run(
        stage,
        command=arguments.command_line,
        checkpoint_seconds=getattr(arguments, "checkpoint_seconds", 120.0),
        force=arguments.force,
    )
