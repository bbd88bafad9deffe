"""Before stage 1: what comes from outside, fetched into `data`, so that stages need no network.
What is there stays; what was stopped goes on."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from distillery import encoders, files, paths, tasks
from distillery.errors import UserError
from distillery.preprocessing import downloads, sources


def run(teachers: Sequence[str], task_names: Sequence[str], source: Path | None) -> None:
    """Fetches encoders and data sets, all that the project names where none is named.

    source: an archive or folder to take the one thing named from, in place of the network.
    One that cannot be had does not keep the others from coming; UserError at the end names them.
    """
    if source and (len(teachers) + len(task_names) != 1 or not source.exists()):
        if not source.exists():
            raise UserError(f"source {source} does not exist")
        raise UserError("--source is for one thing: name one --teacher or one --task")
    if not teachers and not task_names:
        teachers, task_names = list(encoders.ENCODERS), tasks.names()
    work: dict[str, Callable[[], Path | None]] = {
        **{name: partial(_encoder, name, source) for name in teachers},
        **{name: partial(_data_set, name, source) for name in task_names},
    }
    failed = []
    for name, fetch in work.items():
        try:
            folder = fetch()
        except UserError as error:
            if len(work) == 1:
                raise
            logging.error("%s: %s", name, error)
            failed.append(name)
        else:
            if folder:
                logging.info("%s: %s, %s", name, folder, files.megabytes(files.size(folder)))
    if failed:
        raise UserError(f"not fetched: {', '.join(failed)}; the same command tries them again")


def _encoder(spec: str, source: Path | None) -> Path:
    if (encoders.folder_of(spec) / encoders.WEIGHTS).is_file():
        logging.info("%s: skipped, it is there (to fetch it again, delete it)", spec)
    return encoders.locate(spec, source)


def _data_set(name: str, source: Path | None) -> Path | None:
    """Where the data set is; None where there is nothing to fetch."""
    task = tasks.get(name)
    if task.hub is None and task.parse is None:
        logging.info("%s: skipped, its rows do not come from outside", name)
        return None
    if source:
        rows, _ = sources.read(task, source)
        sources.check(task, rows)
        with files.locked(paths.lock(f"download_{name}"), f"fetching {name}", wait=True):
            downloads.keep(task, source)
    elif there := downloads.own(task) or downloads.of_hub(task):
        logging.info("%s: skipped, it is there (to fetch it again, delete it)", name)
        return there
    else:
        with files.locked(paths.lock(f"download_{name}"), f"fetching {name}", wait=True):
            downloads.fetch(task)
    return downloads.own(task) or downloads.of_hub(task)
