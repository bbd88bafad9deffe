"""Benchmarks that compare side by side in one run."""

import argparse
from pathlib import Path

from distillery import paths
from distillery.errors import UserError


def folder(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Path:
    """Where a benchmark's files go: the folder of `--out`, else that of the benchmarks, where one
    with options of its own does not take the place of the one that is quoted."""
    if options.out is not None:
        if not options.out.is_dir():
            raise UserError(f"folder {options.out} does not exist")
        return Path(options.out)
    usual = vars(parser.parse_args([]))
    if changed := [name for name, value in vars(options).items() if value != usual[name]]:
        raise UserError(f"with --{changed[0]} it is another benchmark: name a folder with --out")
    found = paths.benchmarks(local=False)
    found.mkdir(parents=True, exist_ok=True)
    return found
