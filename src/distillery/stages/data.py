"""Stage 1: the splits of a task."""

import contextlib
import csv
import logging
import shutil
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from distillery import files, paths, progress, tasks
from distillery.data import downloads, sources, splits, spool, store, user_files
from distillery.data.task import Task
from distillery.errors import UserError, one_line
from distillery.experiments import ending
from distillery.recipes import DataRecipe

MOST_LABELS = 1000  # of a user's data: more are most likely the wrong column


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


def run_command(name: str, recipe: DataRecipe, arguments: Namespace) -> None:
    """Makes the splits of a task: one of the project's, or one of the user's own files."""
    options = {"train": "data", "test": "test_data", "unlabeled": "unlabeled_data"}
    given = {role: getattr(arguments, option) for role, option in options.items()}
    given = {role: path for role, path in given.items() if path}
    columns = user_files.Columns(
        arguments.text_column, arguments.text_pair_column, arguments.label_column
    )
    if not given.keys() - {"unlabeled"} and (tasks.declared(name) or not given):
        named = any(vars(columns).values()) and not given
        if named or columns.label or arguments.labels:
            raise UserError("columns and labels are options of your own data: name --data FILE")
        source = Source(arguments.source, arguments.subset, given.get("unlabeled"), columns)
        run(tasks.get(name), recipe, source, arguments.force)
        return
    if "train" not in given or arguments.source or arguments.subset:
        raise UserError("your own data needs --data FILE, and neither --source nor --subset")
    try:
        labels = next(csv.reader([arguments.labels]), []) if arguments.labels is not None else None
    except csv.Error:
        raise UserError("--labels: put a label with a line break in double quotes") from None
    run_user_files(name, recipe, given, columns, labels, arguments.force)


def run(task: Task, recipe: DataRecipe, given: Source, force: bool) -> None:
    """Makes the splits of one of the project's tasks."""
    with contextlib.ExitStack() as stack:
        if given.unlabeled:
            file = stack.enter_context(user_files.spooled(given.unlabeled, "unlabeled"))
            given = replace(given, unlabeled=file)
        _make(task, recipe, given, force)


def _make(task: Task, recipe: DataRecipe, given: Source, force: bool) -> None:
    source = given.path or downloads.own(task)
    more = _described(given.unlabeled, given.columns) if given.unlabeled else None
    own = tasks.declared(task.name) is None
    kept = (store.read_source(task.name).get("unlabeled") or {}).get("name")
    if own and (force or not store.is_current(task.name, recipe, {})):
        raise UserError(f"task {task.name} is made from your own files: name them with --data FILE")
    if not force and store.is_current(task.name, recipe, _wanted(task, source, more)):
        rows = f", with the unlabeled rows of {kept}" if kept else ""
        ending.up_to_date(f"data of {task.name}{rows}", ending.next_command(task, "data"))
        return
    if kept and not more and not force:
        raise UserError(
            f"the splits of {task.name} hold the unlabeled rows of {kept}: give --unlabeled-data"
            " as well, or leave them out with --force"
        )
    with _spooling(task.name) as folder:
        raw, facts = sources.read(task, source)
        partial = sources.check(task, raw, given.subset)
        writers = {role: _writer(role, folder, recipe) for role in (*raw, "unlabeled")}
        for role, examples in raw.items():
            for example in progress.bar(examples, desc=f"cleaning {role}", unit=" rows"):
                writers[role].add(example)
        if given.unlabeled:
            facts["unlabeled"] = more
            _add_texts(task, given, raw["train"][0].text_pair is not None, writers["unlabeled"])
        spools = {role: writer.finish() for role, writer in writers.items()}
        _write(task, spools, {"source": facts, "subset": partial}, recipe)


def _wanted(task: Task, source: Path | None, more: dict[str, Any] | None) -> dict[str, Any]:
    """What the manifest of up-to-date splits says of its source, as far as it is given."""
    wanted: dict[str, Any] = {"unlabeled": more} if more else {}
    if source:
        known = "sha256" in store.read_source(task.name)  # else there is nothing to compare with
        wanted["sha256"] = files.checksum(source) if known and source.exists() else ""
    return wanted


def _described(path: Path, columns: user_files.Columns) -> dict[str, Any]:
    return {"name": path.name, "sha256": files.sha256(path), "columns": vars(columns)}


def _add_texts(task: Task, given: Source, paired: bool, writer: spool.Writer) -> None:
    """Adds the texts of a file to the unlabeled rows. UserError where they are no pairs and the
    task's are, or the reverse."""
    assert given.unlabeled
    columns = replace(given.columns, label=None)
    reading = user_files.read_examples(given.unlabeled, columns, labelled=False)
    if (reading.columns.text_pair is not None) is not paired:
        kinds = ("single texts", "pairs of texts")
        raise UserError(
            f"{given.unlabeled.name} has {kinds[not paired]}, and {task.name} has {kinds[paired]}"
        )
    for example, _ in reading:
        writer.add(example)
    _log_reading(given.unlabeled, reading, Counter())


def run_user_files(
    name: str,
    recipe: DataRecipe,
    given: dict[str, Path],
    columns: user_files.Columns,
    labels: list[str] | None,
    force: bool,
) -> None:
    """Makes a task from a user's files or pipes: `train`, and where given `test`, `unlabeled`."""
    if tasks.declared(name):
        raise UserError(f"task {name} comes with the project: give your own data another name")
    if paths.checked_name("task", name) in paths.RESERVED:
        raise UserError(f"task '{name}' would take a folder of the project: choose another name")
    with contextlib.ExitStack() as stack:
        given = {
            role: stack.enter_context(user_files.spooled(path, role))
            for role, path in given.items()
        }
        _make_own(name, recipe, given, columns, labels, force)


def _make_own(
    name: str,
    recipe: DataRecipe,
    given: dict[str, Path],
    columns: user_files.Columns,
    labels: list[str] | None,
    force: bool,
) -> None:
    """Makes a task from files that can be read again and again."""
    facts = {
        "kind": "own files",
        "files": {role: path.name for role, path in given.items()},
        "sha256": {role: files.sha256(path) for role, path in given.items()},
        "columns": vars(columns),
        "declared": labels,
    }
    if not force and store.is_current(name, recipe, facts):
        task = tasks.get(name)
        ending.up_to_date(f"data of {name}", ending.next_command(task, "data"))
        return
    readings = {
        role: user_files.read_examples(
            path,
            replace(columns, label=None) if role == "unlabeled" else columns,
            labelled=role != "unlabeled",
        )
        for role, path in given.items()
    }
    if len({reading.columns.text_pair is None for reading in readings.values()}) > 1:
        raise UserError("some of the files have pairs of texts and some have single ones")
    with _spooling(name) as folder:
        spools, order = _spool_user_files(readings, given, labels, recipe, folder)
        _write(Task(name=name, labels=order, local=True), spools, {"source": facts}, recipe)


def _spool_user_files(
    readings: dict[str, user_files.Reading],
    given: dict[str, Path],
    declared: list[str] | None,
    recipe: DataRecipe,
    folder: Path,
) -> tuple[dict[str, spool.Spool], tuple[str, ...]]:
    """The rows of a user's files on disk, and the labels in order. Rows of train without a label
    join the unlabeled ones."""
    writers = {role: _writer(role, folder, recipe) for role in (*readings, "unlabeled")}
    number: dict[str, int] = {}  # labels in the order in which they come
    counts: dict[str, Counter[str]] = {}
    without_label = 0
    where = ", ".join(path.name for role, path in given.items() if role != "unlabeled")
    for role, reading in readings.items():
        counts[role] = Counter()
        for example, label in reading:
            if label is None:
                if role == "test":
                    raise UserError(f"{given[role].name}, row {example.row + 1} has no label")
                writers["unlabeled"].add(example)
                without_label += role == "train"
                continue
            counts[role][label] += 1
            if label not in number:
                number[label] = len(number)
                if len(number) > MOST_LABELS:
                    user_files.label_order(number, declared, where)  # refuses that many
            writers[role].add(example._replace(label=number[label]))
        _log_reading(given[role], reading, counts[role])
    if without_label:
        logging.info("  %d rows without a label join the unlabeled ones", without_label)
    order = _labels_of(counts, declared, given)
    spools = {role: writer.finish() for role, writer in writers.items()}
    places = np.array([order.index(label) for label in number], np.int64)
    for role in counts.keys() - {"unlabeled"}:
        spools[role] = replace(spools[role], labels=places[spools[role].labels])
    return spools, order


def _labels_of(
    counts: dict[str, Counter[str]], declared: list[str] | None, given: dict[str, Path]
) -> tuple[str, ...]:
    """The labels in order. UserError where a file has one only, or where test has some that no row
    of train has and nobody has declared: most often other names for the same."""
    found = {role: set(some) for role, some in counts.items() if role != "unlabeled"}
    where = ", ".join(given[role].name for role in found)
    labels_found = [label for some in counts.values() for label in some]
    order = user_files.label_order(labels_found, declared, where)
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


@contextlib.contextmanager
def _spooling(name: str) -> Iterator[Path]:
    """Holds the lock of stage 1 and gives an empty folder for raw rows, removed at the end."""
    folder = paths.task(name) / "raw.partial"
    with files.locked(paths.lock(f"data_{name}"), f"stage 1 of {name}"):
        shutil.rmtree(folder, ignore_errors=True)  # left by a kill
        folder.mkdir(parents=True)
        try:
            with files.naming(folder):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # empty where nothing was made


def _writer(role: str, folder: Path, recipe: DataRecipe) -> spool.Writer:
    cut = role == "unlabeled" and recipe.unlabeled_as == "sentences"
    return spool.Writer(folder / f"{role}.parquet", recipe, cut)


def _log_reading(path: Path, reading: user_files.Reading, labels: Counter[str]) -> None:
    """Says which columns of a file were read, which labels they hold, and what was dropped."""
    roles = {"text": "texts", "text_pair": "second texts", "label": "labels"}
    columns = [
        f"{what} from column '{one_line(column)}'"
        for role, what in roles.items()
        if (column := getattr(reading.columns, role)) is not None and (labels or role != "label")
    ]
    logging.info("%s: %s", path.name, ", ".join(columns))
    if labels:
        logging.info("  labels: %s", _listed(labels))
    alike = Counter(label.casefold() for label in labels)
    several = [one_line(label) for label in sorted(labels) if alike[label.casefold()] > 1]
    if several:
        logging.warning("  labels that differ in case alone are kept apart: %s", ", ".join(several))
    for reason, count in reading.dropped.items():
        logging.info("  dropped %d %s", count, reason)


def _listed(labels: Mapping[str, int], most: int = 20) -> str:
    """The labels with their counts, of many the commonest."""
    ordered = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{one_line(label)} ({count})" for label, count in ordered[:most]]
    more = [f"and {len(ordered) - most} more"] if len(ordered) > most else []
    return ", ".join([*shown, *more])


def _write(
    task: Task, sources_: dict[str, spool.Spool], about: dict[str, Any], recipe: DataRecipe
) -> None:
    """Makes the splits of the rows read, writes them and says what they hold."""
    rows, dropped = splits.make(sources_, recipe, task.labels)
    manifest = store.write(task, rows, {**about, "dropped": dropped}, recipe)
    for reason, count in dropped.items():
        if count:
            logging.info("  dropped %d %s", count, reason)
    for name, (here, official) in manifest.get("subset", {}).items():
        logging.info("  a subset: %s has %d of the official %d rows", name, here, official)
    logging.info("  labels of train: %s", _listed(manifest["label_counts"]["train"]))
    fault = store.augmented_fault(task.name)
    if fault:
        logging.warning("%s", fault)
    counts = ", ".join(f"{name} {count}" for name, count in manifest["rows"].items())
    then = ending.next_command(task, "data")
    ending.done(f"splits of {task.name}", f"{counts} rows", paths.task(task.name), then)
