"""Measurements of speed."""

import argparse
import logging

from distillery import recipes, tasks
from distillery.commands.base import Command
from distillery.recipes import options


class Bench(Command):
    """Times answering: a task's models beside a BERT of known shape, in one interleaved run."""

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        parser.add_argument("what", choices=("inference",), help="what is measured")
        options.add(parser, recipes.inference(known.task or ""))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.bench import inference
        from distillery.report import speed

        task = tasks.get(arguments.task)
        recipe = options.apply(recipes.inference(task.name), arguments)
        found = inference.run(task, recipe, arguments.command_line)
        written = speed.write(inference.write(task, found))
        logging.info("table: %s", written)
