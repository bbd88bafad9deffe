"""What commands share: their shape, and the options of stages 2 to 4."""

import argparse
from typing import Any

from distillery import recipes
from distillery.errors import UserError
from distillery.recipes import options


class Command:
    """A command: its options, whose recipe may depend on the names given, and what it calls."""

    names: tuple[str, ...] = ("task",)
    computes = True  # whether it needs torch and transformers
    writes = True  # whether it writes to the folders `data` or `results`

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        """Adds the options. known: the names that are given already."""

    def run(self, arguments: argparse.Namespace) -> int | None:
        """Does it; gives the exit status where that is not 0."""
        raise NotImplementedError


def force_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="run even what is up to date")


def checkpoint_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=120.0,
        metavar="S",
        help="time between checkpoints [120]",
    )


def _seeds(text: str) -> list[int]:
    """`3` is the seeds 0, 1, 2; `4,7` is the seeds 4 and 7."""
    try:
        numbers = [int(item) for item in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and 0 < numbers[0] <= 1000:
        return list(range(numbers[0]))
    if len(set(numbers)) < max(2, len(numbers)) or not 0 <= min(numbers) <= max(numbers) < 2**32:
        raise UserError(f"--seeds {text} is impossible: a number, or different seeds 'A,B,...'")
    return numbers


def _planned_seeds(names: argparse.Namespace) -> int:
    """How many seeds the task's table has of a student, or else of a teacher."""
    name = getattr(names, "student", None) or short(getattr(names, "teacher", None))
    return recipes.plan(names.task or "").seeds.get(name, 1)


def experiment_options(parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
    force_option(parser)
    parser.add_argument(
        "--seeds",
        help="how many seeds (N: 0 to N-1), or their list 'A,B,...'; the first one's model is saved"
        f" [{_planned_seeds(known)}; of a variant 1]",
    )
    parser.add_argument(
        "--variant", metavar="NAME", help="name of a changed recipe, part of its result's name"
    )
    parser.add_argument(
        "--search",
        action="append",
        metavar="FIELD=A,B,...",
        help="try recipes on dev, every combination of the values, in place of the experiment;"
        " again for a further field; each with seed 0, or with all of --seeds. Test is not read;"
        " the table goes to results/search",
    )
    checkpoint_option(parser)


def run_experiment(make: Any, recipe: Any, arguments: argparse.Namespace) -> None:
    """Runs a stage, or `--search` with one seed unless more are asked for. make: (recipe, variant)
    -> the stage."""
    from distillery.experiments import search
    from distillery.experiments.experiment import Experiment

    given = experiment(arguments)
    seconds = given["checkpoint_seconds"]
    if arguments.search:
        if arguments.variant or arguments.force:
            raise UserError("a search makes no result: leave out --variant and --force")
        candidates = options.grid(options.apply(recipe, arguments), arguments.search)
        stages = [make(candidate, None) for candidate in candidates]
        seeds = given["seeds"] if arguments.seeds else [0]
        search.run(stages, stages[0].name, recipe, seeds=seeds, checkpoint_seconds=seconds)
    else:
        stage = make(changed(recipe, arguments), arguments.variant)
        Experiment(stage, given["seeds"], given["command"], seconds).run(given["force"])


def changed(recipe: Any, arguments: argparse.Namespace) -> Any:
    """The recipe with the options given; a changed one needs a name of its own."""
    changed = options.apply(recipe, arguments)
    if changed != recipe and not arguments.variant:
        raise UserError("recipe options make another experiment: give it a name with --variant")
    if changed == recipe and arguments.variant:
        raise UserError(f"variant '{arguments.variant}' changes nothing: give a recipe option")
    return changed


def experiment(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that stages 2 to 4 share."""
    planned = 1 if arguments.variant else _planned_seeds(arguments)
    return {
        "seeds": _seeds(arguments.seeds or str(planned)),
        "variant": arguments.variant,
        "command": arguments.command_line,
        "checkpoint_seconds": arguments.checkpoint_seconds,
        "force": arguments.force,
    }


def add_teacher_variant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher-variant", metavar="NAME", help="the teacher was made with --variant NAME"
    )


def short(teacher: str | None) -> str:
    """The name of a teacher in results; empty where none is given yet."""
    from distillery import encoders

    return encoders.short_name(teacher) if teacher else ""
