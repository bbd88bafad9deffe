"""Before stage 1: what comes from outside."""

import argparse
from pathlib import Path

from distillery import encoders
from distillery.commands.base import Command


class Fetch(Command):
    """Fetches encoders, data sets, word vectors and nltk's data into `data`; without options bert,
    minilm and every data set."""

    names = ()
    computes = False

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        for role, what in (
            ("teacher", f"an encoder: {', '.join(encoders.NAMED)} or a hub id (owner/name)"),
            ("task", "a data set, such as imdb"),
            ("vectors", "GloVe's word vectors, such as glove.6B.100d.txt, for embeddings=vectors"),
        ):
            parser.add_argument(
                f"--{role}",
                action="append",
                default=[],
                metavar="NAME",
                help=f"{what}; may be given several times",
            )
        parser.add_argument(
            "--nltk",
            action="store_true",
            help="nltk's tagger of parts of speech, for augmentation with p_pos",
        )
        parser.add_argument(
            "--source",
            type=Path,
            metavar="PATH",
            help="archive, wheel or folder to take the one thing named from, without a network",
        )
        parser.add_argument(
            "--subset",
            action="store_true",
            help="the source holds a part of the data set's official rows: keep it all the same",
        )

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import fetch

        named = (arguments.teacher, arguments.task, arguments.vectors)
        given = {"source": arguments.source, "subset": arguments.subset}
        fetch.run(*named, nltk=arguments.nltk, **given)
