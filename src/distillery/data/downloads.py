"""Data sets fetched into `data/downloads`, where stage 1 finds them without a network."""

import shutil
from pathlib import Path

from distillery import files, hub, paths
from distillery.data.task import Hub, Task
from distillery.errors import UserError


def own(task: Task) -> Path | None:
    """The archive or folder that a user gave for a task, if there is one; UserError where it is
    not as it was then."""
    folder = paths.own_download(task.name)
    files.check_folder(folder, f"delete {folder} and fetch it again")
    inside = folder.iterdir() if folder.is_dir() else ()
    return next((path for path in inside if path.name != files.SUMS), None)


def of_hub(task: Task) -> Path | None:
    """The hub's files of a task, if they were fetched."""
    folder = paths.hub_download(task.name, task.hub.revision) if task.hub else None
    return folder if folder and folder.is_dir() else None


def fetch(task: Task) -> None:
    """Downloads a task's data set from the hub, at the pinned revision."""
    if task.hub is None:
        raise UserError(f"task {task.name} is not on the hub: name its data with --source PATH")
    folder = paths.hub_download(task.name, task.hub.revision)
    hub.fetch(task.hub.id, task.hub.revision, _patterns(task.hub), folder, kind="dataset")


def _patterns(where: Hub) -> list[str]:
    """The card, which says what belongs to which split, and the rows, of one configuration."""
    return ["README.md", f"{where.config}/*" if where.config else "*.parquet"]


def keep(task: Task, source: Path) -> None:
    """Copies an archive or folder, checked by the caller, in place of the one kept before."""
    with files.replacing_folder(paths.own_download(task.name)) as temporary:
        if source.is_dir():
            shutil.copytree(source, temporary / source.name)
        else:
            shutil.copyfile(source, temporary / source.name)
