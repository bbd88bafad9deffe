"""Benchmarks that compare side by side in one run."""

from pathlib import Path

from distillery import paths
from distillery.errors import UserError


def folder(given: Path | None, whole: bool) -> Path:
    """Where a benchmark's files go: the folder given, else that of the benchmarks, where a part of
    a benchmark does not take the place of the whole."""
    if given is not None:
        if not given.is_dir():
            raise UserError(f"folder {given} does not exist")
        return given
    if not whole:
        raise UserError("this is a part of the benchmark: name a folder for its files with --out")
    found = paths.benchmarks(local=False)
    found.mkdir(parents=True, exist_ok=True)
    return found
