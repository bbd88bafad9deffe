"""Stage 1, and what makes more rows of its splits."""

import argparse
import csv
from pathlib import Path

from distillery import recipes, tasks
from distillery.commands.base import Command, force_option
from distillery.errors import UserError
from distillery.recipes import options


class Data(Command):
    """Stage 1: makes train, dev, test and unlabeled rows of a task."""

    computes = False

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        from distillery.data.user_files import OBVIOUS

        force_option(parser)
        parser.add_argument(
            "--source",
            type=Path,
            metavar="PATH",
            help="archive or folder of the official download, in place of the hub",
        )
        parser.add_argument(
            "--subset",
            action="store_true",
            help="the source holds a part of the official rows: take it, and say so in results",
        )
        own = parser.add_argument_group(
            "your own data (CSV, TSV, JSON, JSON lines or Parquet, optionally gzipped, or a pipe)"
        )
        own.add_argument("--data", type=Path, metavar="FILE", help="labelled rows")
        own.add_argument(
            "--test-data", type=Path, metavar="FILE", help="test rows [a share of --data]"
        )
        own.add_argument(
            "--unlabeled-data",
            type=Path,
            metavar="FILE",
            help="rows for the teacher to label; more of them for a task of the project, too",
        )
        for role, usual in OBVIOUS.items():
            own.add_argument(
                f"--{role.replace('_', '-')}-column",
                metavar="NAME",
                help=f"else found by a usual name: {', '.join(usual)}",
            )
        own.add_argument(
            "--labels",
            metavar="A,B,...",
            help="the labels in order [sorted]; in double quotes where one holds a comma",
        )
        options.add(parser, recipes.data(known.task or ""))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.data.user_files import Columns
        from distillery.stages import data

        recipe = options.apply(recipes.data(arguments.task), arguments)
        roles = {"train": "data", "test": "test_data", "unlabeled": "unlabeled_data"}
        given = {role: getattr(arguments, name) for role, name in roles.items()}
        given = {role: path for role, path in given.items() if path}
        columns = Columns(arguments.text_column, arguments.text_pair_column, arguments.label_column)
        if not given.keys() - {"unlabeled"} and (tasks.declared(arguments.task) or not given):
            named = any(vars(columns).values()) and not given
            if named or columns.label or arguments.labels:
                raise UserError("columns and labels are options of your own data: name --data FILE")
            source = data.Source(
                arguments.source, arguments.subset, given.get("unlabeled"), columns
            )
            data.run(tasks.get(arguments.task), recipe, source, arguments.force)
            return
        if "train" not in given or arguments.source or arguments.subset:
            raise UserError("your own data needs --data FILE, and neither --source nor --subset")
        labels = _labels(arguments.labels)
        data.run_user_files(arguments.task, recipe, given, columns, labels, arguments.force)


def _labels(text: str | None) -> list[str] | None:
    """The labels in `--labels`, a line of CSV."""
    if text is None:
        return None
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        raise UserError("--labels: put a label with a line break in double quotes") from None


class Augment(Command):
    """After stage 1: makes changed copies of a task's texts, for a teacher to label."""

    computes = False

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        force_option(parser)
        options.add(parser, recipes.augmentation(known.task or ""))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import augment

        recipe = options.apply(recipes.augmentation(arguments.task), arguments)
        augment.run(tasks.get(arguments.task), recipe, arguments.force)
