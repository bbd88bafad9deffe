"""Stage 6: the page of a task's results, and what to try next."""

import logging
import shlex
from collections.abc import Mapping
from typing import Any

from distillery import encoders, files, paths, recipes, results, tasks
from distillery.data import store
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.experiments import ending
from distillery.report import page, table

_EXAMPLES = 100  # rows of dev to pick the shortest example from


def run(task: Task) -> None:
    """Writes the page of the folder that holds the task's results; prints the task's table, where
    page and picture are, and two commands that use the smallest model."""
    folder = paths.results(task.local)
    synthetic = [name for name in tasks.names() if tasks.get(name).synthetic]
    found = results.read_all(folder)
    if task.name not in {result["task"] for result in found.values()}:
        command = f"scripts/run_all.sh {task.name}"
        raise UserError(f"no results of {task.name} in {folder} yet: run {command}")
    timed = paths.benchmarks(task.local)
    with files.locked(paths.lock("report"), "a report", wait=True):  # tasks share the page
        written = page.write(folder, synthetic=synthetic, benchmarks=timed)
        readme = paths.ROOT / "README.md"
        if not task.local and readme.is_file() and written.is_relative_to(paths.ROOT):
            page.update(readme, written.parent, task.name, timed)
    print(table.plain(found, task.name, recipes.plan(task.name).students), end="\n\n", flush=True)
    logging.info("table: %s", written)
    picture = written.with_name(f"{task.name}.png")
    if picture.is_file():
        logging.info("picture: %s", picture)
    if commands := _try_next(task, found):
        logging.info("try next:\n  %s", "\n  ".join(commands))


def _try_next(task: Task, found: Mapping[str, dict[str, Any]]) -> list[str]:
    """Commands that label a text of dev, and texts typed by the user, with the smallest distilled
    model: an exported one if there is any, which needs no torch. None without model and dev."""
    stages = ("distillation", "compression")
    models = [
        (not (folder / encoders.ONNX).is_file(), result["bytes"], folder)
        for name, result in found.items()
        if result["task"] == task.name and result["stage"] in stages and result["student"]
        if (folder := paths.model(task.name, name)).is_dir()
    ]
    if not models or not paths.manifest(task.name).is_file():
        return []
    smallest = shlex.quote(str(ending.shown(min(models)[-1])))
    command = f"{paths.command('predict', {})} {smallest}"
    return [f"{command} {_example(task)}", f"{command}  # then type texts of your own"]


def _example(task: Task) -> str:
    """A short text of dev, or pair of texts, as a shell takes it."""
    columns = next(store.read_split(task.name, "dev").chunks(_EXAMPLES))
    rows = zip(*filter(None, columns), strict=True)
    shortest = min(rows, key=lambda row: (row[0].startswith("-"), sum(map(len, row))))
    return " ".join(map(shlex.quote, shortest))
