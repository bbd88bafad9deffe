"""Stage 6: the page of a task's results, and what to try next."""

import logging
import shlex
from collections.abc import Sequence

from distillery import encoders, files, paths, results, tasks
from distillery.data import store
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.experiments import ending
from distillery.report import page, table
from distillery.report.rows import of_task

_EXAMPLES = 100  # rows of dev to pick the shortest example from


def run(task: Task) -> None:
    """Writes the page of the folder that holds the task's results; prints the task's table, where
    page and picture are, and two commands that use the smallest model."""
    folder = paths.results(task.local)
    synthetic = [name for name in tasks.names() if tasks.get(name).synthetic]
    found = of_task(results.read_all(folder), task.name)
    if not found:
        command = f"scripts/run_all.sh {task.name}"
        raise UserError(f"no results of {task.name} in {folder} yet: run {command}")
    timed = paths.benchmarks(task.local)
    with files.locked(paths.lock("report"), "a report", wait=True):  # tasks share the page
        written = page.write(folder, synthetic=synthetic, benchmarks=timed)
        readme = paths.ROOT / "README.md"
        if not task.local and readme.is_file() and written.is_relative_to(paths.ROOT):
            page.update(readme, written.parent, task.name, timed)
    print(table.plain(found), end="\n\n", flush=True)
    logging.info("table: %s", written)
    logging.info("picture: %s", written.with_name(f"{task.name}.png"))
    if commands := _try_next(task, found):
        logging.info("try next:\n  %s", "\n  ".join(commands))


def _try_next(task: Task, found: Sequence[results.Result]) -> list[str]:
    """Commands that run the smallest distilled model on a text of dev and on texts the user types;
    an exported one if there is any, which needs no torch. None without a model or dev."""
    models = [
        (not (folder / encoders.ONNX).is_file(), result.bytes or 0, folder)
        for result in found
        if result.stage in ("distillation", "compression") and result.student
        if (folder := paths.model(task.name, result.name)).is_dir()
    ]
    if not models or not paths.manifest(task.name).is_file():
        return []
    smallest = shlex.quote(str(ending.shown(min(models)[-1])))
    command = f"{paths.command('predict', {})} {smallest}"
    return [f"{command} {_example(task)}", f"{command}  # then type texts of your own"]


def _example(task: Task) -> str:
    """A short text of dev, or pair of texts, quoted for a shell."""
    columns = next(store.read_split(task.name, "dev").chunks(_EXAMPLES))
    rows = zip(*filter(None, columns), strict=True)
    shortest = min(rows, key=lambda row: (row[0].startswith("-"), sum(map(len, row))))
    return " ".join(map(shlex.quote, shortest))
