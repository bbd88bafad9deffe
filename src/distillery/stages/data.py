"""Stage 1: the splits of a task."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distillery import files, paths, tasks
from distillery.errors import UserError, choose
from distillery.evaluation import metrics
from distillery.preprocessing import downloads, sources, splits, store, user_files
from distillery.preprocessing.task import Example, Task
from distillery.recipes import DataRecipe

Labelled = list[tuple[Example, str | None]]


@dataclass(frozen=True)
class Source:
    """Where the rows of one of the project's tasks come from.

    path: archive or folder of the official download; None: what was fetched, else the hub.
    subset: a part of the official rows is let through. unlabeled: a file of more texts for the
    teacher to label, in its `columns`.
    """

    path: Path | None = None
    subset: bool = False
    unlabeled: Path | None = None
    columns: user_files.Columns = user_files.USUAL


def run(task: Task, recipe: DataRecipe, given: Source, force: bool) -> None:
    """Makes the splits of one of the project's tasks."""
    choose(f"metric of task {task.name}", task.metric, metrics.METRICS)
    source = given.path or downloads.own(task)
    more = _described(given.unlabeled, given.columns) if given.unlabeled else None
    own = tasks.declared(task.name) is None
    kept = (store.read_source(task.name).get("unlabeled") or {}).get("name")
    if own and (force or not store.is_current(task.name, recipe, {})):
        raise UserError(f"task {task.name} is made from your own files: name them with --data FILE")
    if not force and store.is_current(task.name, recipe, _wanted(task, source, more)):
        rows = f", with the unlabeled rows of {kept}" if kept else ""
        logging.info("splits of %s%s are up to date (--force makes them anyway)", task.name, rows)
        return
    if kept and not more and not force:
        raise UserError(
            f"the splits of {task.name} hold the unlabeled rows of {kept}: give --unlabeled-data"
            " as well, or leave them out with --force"
        )
    with files.locked(paths.lock(f"data_{task.name}"), f"stage 1 of {task.name}"):
        # a fault of the file is told before the source is read
        texts = _texts(given.unlabeled, given.columns) if given.unlabeled else []
        raw, facts = sources.read(task, source)
        partial = sources.check(task, raw, given.subset)
        _check_kind(task, raw, texts, given.unlabeled)
        raw["unlabeled"] = [*raw.get("unlabeled", []), *texts]
        if more:
            facts["unlabeled"] = more
        _write(task, raw, {"source": facts, "subset": partial}, recipe)


def _wanted(task: Task, source: Path | None, more: dict[str, Any] | None) -> dict[str, Any]:
    """What the manifest of up-to-date splits says of its source, as far as it is given."""
    wanted: dict[str, Any] = {"unlabeled": more} if more else {}
    if source:
        known = "sha256" in store.read_source(task.name)  # else there is nothing to compare with
        wanted["sha256"] = files.checksum(source) if known and source.exists() else ""
    return wanted


def _described(path: Path, columns: user_files.Columns) -> dict[str, Any]:
    user_files.check_file(path)
    return {"name": path.name, "sha256": files.sha256(path), "columns": vars(columns)}


def _texts(path: Path, columns: user_files.Columns) -> list[Example]:
    return [row for row, _ in user_files.read_examples(path, columns, labelled=False)]


def _check_kind(task: Task, raw: sources.Splits, texts: list[Example], path: Path | None) -> None:
    """UserError where the texts of a file are no pairs and the task's are, or the reverse."""
    paired = raw["train"][0].text_pair is not None
    if path and any((row.text_pair is not None) is not paired for row in texts):
        kind = "pairs of texts" if paired else "single texts"
        raise UserError(f"{path.name} has rows that are no {kind}, as those of {task.name} are")


def run_user_files(
    name: str,
    recipe: DataRecipe,
    given: dict[str, Path],
    columns: user_files.Columns,
    labels: list[str] | None,
    force: bool,
) -> None:
    """Makes a task from a user's files: `train`, and where given `test` and `unlabeled`."""
    if tasks.declared(name):
        raise UserError(f"task {name} comes with the project: give your own data another name")
    if paths.checked_name("task", name) in paths.RESERVED:
        raise UserError(f"task '{name}' would take a folder of the project: choose another name")
    for path in given.values():
        user_files.check_file(path)
    facts = {
        "kind": "own files",
        "files": {role: path.name for role, path in given.items()},
        "sha256": {role: files.sha256(path) for role, path in given.items()},
        "columns": vars(columns),
        "declared": labels,
    }
    if not force and store.is_current(name, recipe, facts):
        logging.info("splits of %s are up to date (--force makes them anyway)", name)
        return
    no_label = replace(columns, label=None)
    readings = {
        role: user_files.read_examples(
            path, no_label if role == "unlabeled" else columns, role != "unlabeled"
        )
        for role, path in given.items()
    }
    rows = {role: list(reading) for role, reading in readings.items()}
    for role, reading in readings.items():
        for reason, count in reading.dropped.items():
            logging.info("%s: dropped %d %s", given[role].name, count, reason)
    if len({example.text_pair is None for found in rows.values() for example, _ in found}) > 1:
        raise UserError("some of the files have pairs of texts and some have single ones")
    order = _labels_of(rows, labels, given)
    raw = _as_splits(rows, order, given)
    with files.locked(paths.lock(f"data_{name}"), f"stage 1 of {name}"):
        _write(Task(name=name, labels=order, local=True), raw, {"source": facts}, recipe)


def _labels_of(
    rows: dict[str, Labelled], declared: list[str] | None, given: dict[str, Path]
) -> tuple[str, ...]:
    """The labels in order. UserError where a file has one only, or test has some that no row of
    train teaches and nobody has declared: other names for the same, most often."""
    found = {
        role: {label for _, label in rows[role] if label is not None}
        for role in ("train", "test")
        if role in rows
    }
    where = ", ".join(given[role].name for role in found)
    order = user_files.label_order(set().union(*found.values()), declared, where)
    for role, labels in found.items():
        if len(labels) < 2:
            raise UserError(
                f"{given[role].name} has one class only: {', '.join(labels) or 'no label at all'}"
            )
    unknown = sorted(found.get("test", set()) - found["train"])
    if unknown and not declared:
        raise UserError(
            f"{given['test'].name} has the label '{unknown[0]}', which no row of"
            f" {given['train'].name} has (--labels A,B,... names those that are meant)"
        )
    return order


def _as_splits(
    rows: dict[str, Labelled], order: tuple[str, ...], given: dict[str, Path]
) -> sources.Splits:
    """Label texts become numbers; rows of train without a label join the unlabeled ones."""
    number = {label: index for index, label in enumerate(order)}
    raw: sources.Splits = {role: [] for role in (*rows, "unlabeled")}
    for role, examples in rows.items():
        for example, label in examples:
            if role == "test" and label is None:
                raise UserError(f"{given[role].name}, row {example.row + 1} has no label")
            known = role != "unlabeled" and label is not None
            target: list[Example] = raw[role if known else "unlabeled"]
            target.append(example._replace(label=number[str(label)] if known else None))
    return raw


def _write(task: Task, raw: sources.Splits, about: dict[str, Any], recipe: DataRecipe) -> None:
    rows, dropped = splits.make(raw, recipe)
    for name in ("train", "dev", "test"):
        present = {row.label for row in rows[name]}
        if len(present) < 2:
            raise UserError(f"{name} of {task.name} would have one class only: too few rows")
    manifest = store.write(task, rows, {**about, "dropped": dropped}, recipe)
    counts = ", ".join(f"{name} {count}" for name, count in manifest["rows"].items())
    logging.info("%s: %s rows", task.name, counts)
    for name, (here, official) in manifest.get("subset", {}).items():
        logging.info("  a subset: %s has %d of the official %d rows", name, here, official)
    for reason, count in dropped.items():
        if count:
            logging.info("  dropped %d %s", count, reason)
    fault = store.augmented_fault(task.name)
    if fault:
        logging.warning("%s", fault)
