"""The page: a folder of results in, its README.md and a picture per task out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from distillery.errors import UserError
from distillery.recipes.names import STUDENTS
from distillery.report.plot import plot
from distillery.report.table import markdown, of_task
from distillery.results import read_all

NOTE = "_Made by `distillery report` from the JSON files in this folder: do not edit by hand._"
SYNTHETIC = (
    "**The data of this task are synthetic: the figures show that the stages work and say nothing "
    "about real text.**"
)


def write(
    folder: Path, tasks: Sequence[str] | None = None, synthetic: Collection[str] = ()
) -> Path:
    """Write `folder/README.md` and `folder/<task>.png`, and give back the README's path.

    `tasks`: those to report, all that have results if None; `synthetic`: those whose data are made
    up, which the page says. UserError if there is nothing to report or a task has no results.
    """
    results = read_all(folder)
    known = sorted({result["task"] for result in results.values()})
    have = [task for task in known if of_task(results, task)]
    wanted = have if tasks is None else sorted(set(tasks))
    for task in wanted or ["imdb"]:
        if task not in have:
            which = f"of task {task} " if wanted else ""
            raise UserError(
                f"{folder}: no results {which}yet; make some: scripts/run_all.sh {task}"
            )

    sections = [NOTE, "# Results"]
    for task in wanted:
        warning = [SYNTHETIC] if task in synthetic else []
        picture = f"![{task}: score against size on disk]({task}.png)"
        text = markdown(results, task, tuple(STUDENTS)).strip()
        sections += [f"## {task}", *warning, picture, text]
    # The page is written last: it never shows a picture that is not there.
    for task in wanted:
        _replace(folder / f"{task}.png", partial(plot, results, task))
    page = "\n\n".join(sections) + "\n"
    readme = folder / "README.md"
    _replace(readme, lambda path: path.write_text(page, encoding="utf-8"))
    return readme


def _replace(path: Path, write_to: Callable[[Path], object]) -> None:
    """Have `write_to` fill a temporary file beside `path`, then rename it; leaves none behind."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_to(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
