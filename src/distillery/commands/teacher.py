"""Stage 2: what makes teachers and their outputs."""

import argparse

from distillery import recipes, tasks
from distillery.commands.base import (
    Command,
    add_teacher_variant,
    checkpoint_option,
    experiment_options,
    force_option,
    run_experiment,
    short,
)
from distillery.recipes import options


class Pretrain(Command):
    """Before stage 2: trains an encoder further on the task's texts, as a masked language model."""

    names = ("task", "teacher")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        force_option(parser)
        checkpoint_option(parser)
        options.add(parser, recipes.pretraining(known.task or "", short(known.teacher)))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import pretrain

        recipe = recipes.pretraining(arguments.task, short(arguments.teacher))
        stage = pretrain.Pretrained(
            tasks.get(arguments.task), options.apply(recipe, arguments), arguments.teacher
        )
        pretrain.run(
            stage,
            checkpoint_seconds=arguments.checkpoint_seconds,
            force=arguments.force,
        )


class Teacher(Command):
    """Stage 2: fine-tunes an encoder on a task, then records its outputs for every row."""

    names = ("task", "teacher")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        experiment_options(parser, known)
        options.add(parser, recipes.teacher(known.task or "", short(known.teacher)))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import teacher

        name, task = short(arguments.teacher), tasks.get(arguments.task)
        recipe = recipes.teacher(arguments.task, name)
        spec = arguments.teacher
        run_experiment(
            lambda recipe, variant: teacher.FineTuned(task, recipe, spec, variant),
            recipe,
            arguments,
        )
        if not arguments.search:
            # again: rows may have come since the first seed, which is not run anew for another
            teacher.record(task, name, arguments.variant)


class Record(Command):
    """Records a teacher's outputs for the rows that have none yet, such as new unlabeled ones."""

    names = ("task", "teacher")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        add_teacher_variant(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.experiments import ending
        from distillery.stages import teacher

        name, variant = short(arguments.teacher), arguments.teacher_variant
        task = tasks.get(arguments.task)
        outputs = teacher.record(task, name, variant)
        then = ending.next_command(task, "teacher", teacher=name, variant=variant)
        ending.done(f"outputs of {name}", f"{len(outputs)} rows", outputs.folder, then)
