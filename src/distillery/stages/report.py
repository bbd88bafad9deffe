"""Stage 6: the page of a task's results."""

import logging

from distillery import files, paths, results, tasks
from distillery.errors import UserError
from distillery.preprocessing.task import Task
from distillery.report import page


def run(task: Task) -> None:
    """Writes the page of the folder that holds the task's results, and says where it is."""
    folder = paths.results(task.local)
    synthetic = [name for name in tasks.names() if tasks.get(name).synthetic]
    if task.name not in {result["task"] for result in results.read_all(folder).values()}:
        command = f"scripts/run_all.sh {task.name}"
        raise UserError(f"no results of {task.name} in {folder} yet: run {command}")
    timed = paths.benchmarks(task.local)
    with files.locked(paths.lock("report"), "a report", wait=True):  # tasks share the page
        written = page.write(folder, synthetic=synthetic, benchmarks=timed)
        readme = paths.ROOT / "README.md"
        if not task.local and readme.is_file() and written.is_relative_to(paths.ROOT):
            page.update(readme, written.parent, task.name, timed)
    logging.info("table: %s", written)
    picture = written.with_name(f"{task.name}.png")
    if picture.is_file():
        logging.info("picture: %s", picture)
