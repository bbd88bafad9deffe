"""The data sets, one small file each. A user's own data is a task too: its manifest declares it."""

import importlib
import pkgutil

from distillery import kinds, paths
from distillery.data import store
from distillery.data.task import Task
from distillery.errors import UserError


def names() -> list[str]:
    """The tasks that come with the project."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def declared(name: str) -> Task | None:
    """The task in the file `tasks/<name>.py`, if there is one."""
    if name not in names():
        return None
    result: Task | None = importlib.import_module(f"{__name__}.{name}").TASK
    return result


def get(name: str) -> Task:
    """A task by its name: one of the project's, or one made from a user's file by stage 1."""
    task = declared(name)
    if task:
        return task
    if not paths.manifest(paths.checked_name("task", name)).is_file():
        raise UserError(
            f"unknown task '{name}': choose from {', '.join(names())}, or make it from your own"
            f" file with: {paths.program()} data --task {name} --data FILE"
        )
    manifest = store.read_manifest(name)
    kind = kinds.get(str(manifest["kind"]))
    return Task(name=name, labels=tuple(manifest["labels"]), kind=kind, local=True)
