"""The command that answers texts with a saved model."""

import argparse
from pathlib import Path

from distillery.commands.base import Command
from distillery.runtime.lines import FORMATS


class Predict(Command):
    """Labels texts: arguments, lines of a file, or lines of standard input as they come."""

    names = ()
    writes = False
    computes = False  # an exported model needs neither torch nor transformers

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        parser.add_argument("model", type=Path, help="folder of a saved student or teacher")
        parser.add_argument(
            "text",
            nargs="*",
            help="texts; for sentence-pair models, two by two. Without any, lines of --file or of"
            " standard input are read, and each line is answered by one line",
        )
        parser.add_argument(
            "--file",
            type=Path,
            metavar="FILE",
            help="UTF-8, one text per line; for sentence-pair models, two separated by a tab",
        )
        parser.add_argument(
            "--format",
            choices=FORMATS,
            default="text",
            help="text: label, probability and text, separated by tabs, with line breaks and tabs"
            " escaped; jsonl: a JSON object per line with the probabilities of all labels [text]",
        )
        parser.add_argument(
            "--top-k",
            type=int,
            metavar="K",
            help="the K most probable labels [text: 1, jsonl: all]",
        )

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import predict

        predict.run(
            arguments.model, arguments.text, arguments.file, arguments.format, arguments.top_k
        )
