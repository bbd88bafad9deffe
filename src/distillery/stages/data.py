"""Stage 1: the splits of a task."""

import contextlib
import csv
import logging
import shutil
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distillery import files, kinds, paths, progress, tasks
from distillery.data import inputs, sources, splits, spool, store, user_files
from distillery.data.inputs import OBVIOUS, USUAL, Columns
from distillery.data.task import Task
from distillery.errors import UserError, one_line
from distillery.experiments import ending
from distillery.kinds import CLASSIFICATION, Kind
from distillery.kinds.base import LabelReader
from distillery.recipes import DataRecipe


@dataclass(frozen=True)
class Given:
    """What a user gives for a task: the source of a public data set, or files of their own.

    source: archive or folder of the official download; None: what was fetched, else the hub.
    subset: whether the source may hold a part of the official rows. files: "train", "test" or
    "unlabeled" -> a file or pipe; a task of the project takes more unlabeled rows only. columns:
    those read from the files. kind: of the user's own task, classification if None. labels: of
    that task, in order.
    """

    source: Path | None = None
    subset: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)
    columns: Columns = USUAL
    kind: Kind | None = None
    labels: Sequence[str] | None = None


def run_command(name: str, recipe: DataRecipe, arguments: Namespace) -> None:
    """Runs stage 1 with the options of the command line."""
    roles = {"train": "data", "test": "test_data", "unlabeled": "unlabeled_data"}
    given = {role: getattr(arguments, option) for role, option in roles.items()}
    columns = (getattr(arguments, f"{role}_column") for role in OBVIOUS)
    try:
        labels = next(csv.reader([arguments.labels]), []) if arguments.labels is not None else None
    except csv.Error:
        raise UserError("--labels: put a label with a line break in double quotes") from None
    own = Given(
        source=arguments.source,
        subset=arguments.subset,
        files={role: path for role, path in given.items() if path},
        columns=Columns(*columns),
        kind=kinds.get(arguments.kind) if arguments.kind else None,
        labels=labels,
    )
    run(name, recipe, own, arguments.force)


def run(name: str, recipe: DataRecipe, given: Given, force: bool) -> None:
    """Makes the splits of a task: one of the project's, or one made from a user's files."""
    public = tasks.declared(name)
    own = bool(given.files.keys() - {"unlabeled"} or (given.files and not public))
    if own and ("train" not in given.files or given.source or given.subset):
        raise UserError("your own data needs --data FILE, and neither --source nor --subset")
    if own and public:
        raise UserError(f"task {name} comes with the project: give your own data another name")
    if own and paths.checked_name("task", name) in paths.RESERVED:
        raise UserError(f"task '{name}' would take a folder of the project: choose another name")
    columns = any(vars(given.columns).values()) and not given.files
    if not own and (columns or given.columns.label or given.labels or given.kind):
        raise UserError(
            "columns, labels and kind are options of your own data: name it with --data FILE"
        )
    with inputs.spooled(given.files) as readable:
        given = replace(given, files=readable)
        if own:
            _make_own(name, recipe, given, force)
        else:
            _make_public(tasks.get(name), recipe, given, force)


def _make_public(task: Task, recipe: DataRecipe, given: Given, force: bool) -> None:
    """Makes the splits of one of the project's tasks."""
    source, file = given.source or sources.kept(task), given.files.get("unlabeled")
    wanted: dict[str, Any] = {}
    if source:  # splits are up to date if their manifest says the same of it, where it says it
        known = source.exists() and "sha256" in store.read_source(task.name)
        wanted["sha256"] = files.checksum(source) if known else ""
    more = None
    if file:
        columns = vars(given.columns)
        more = wanted["unlabeled"] = {
            "name": file.name,
            "sha256": files.sha256(file),
            "columns": columns,
        }
    if not tasks.declared(task.name) and (force or not store.is_current(task.name, recipe, {})):
        raise UserError(f"task {task.name} is made from your own files: name them with --data FILE")
    kept = (store.read_source(task.name).get("unlabeled") or {}).get("name")
    if not force and store.is_current(task.name, recipe, wanted):
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
        writers = {r: spool.Writer(folder, r, recipe, task.kind) for r in (*raw, "unlabeled")}
        for role, examples in raw.items():
            for example in progress.bar(examples, desc=f"cleaning {role}", unit=" rows"):
                writers[role].add(example)
        if file:
            facts["unlabeled"] = more
            reading = user_files.read_examples(file, given.columns, labelled=False)
            pairs = raw["train"][0].text_pair is not None
            if (reading.columns.text_pair is not None) is not pairs:
                texts = ("single texts", "pairs of texts")
                raise UserError(
                    f"{file.name} has {texts[not pairs]}, and {task.name} has {texts[pairs]}"
                )
            for example, _ in reading:
                writers["unlabeled"].add(example)
            _log_reading("unlabeled", file, reading)
        spools = {role: writer.finish() for role, writer in writers.items()}
        _write(task, spools, {"source": facts, "subset": partial}, recipe)


def _make_own(name: str, recipe: DataRecipe, given: Given, force: bool) -> None:
    """Makes a task from a user's files; rows of train without a label join the unlabeled ones."""
    kind = given.kind or CLASSIFICATION
    facts = {
        "kind": "own files",
        "files": {role: path.name for role, path in given.files.items()},
        "sha256": {role: files.sha256(path) for role, path in given.files.items()},
        "columns": vars(given.columns),
        "declared": given.labels,
    }
    labelled = {role: path.name for role, path in given.files.items() if role != "unlabeled"}
    labels = kind.label_reader(labelled, given.labels)
    if not force and store.is_current(name, recipe, facts):
        task = tasks.get(name)
        if task.kind is kind:
            ending.up_to_date(f"data of {name}", ending.next_command(task, "data"))
            return
    readings = {
        role: user_files.read_examples(path, given.columns, labelled=role in labelled)
        for role, path in given.files.items()
    }
    if len({reading.columns.text_pair is None for reading in readings.values()}) > 1:
        raise UserError("some of the files have pairs of texts and some have single ones")
    without_label = 0
    with _spooling(name) as folder:
        writers = {r: spool.Writer(folder, r, recipe, kind) for r in (*readings, "unlabeled")}
        for role, reading in readings.items():
            for example, text in reading:
                if text is not None:
                    label = labels.read(role, example.row, text)
                    writers[role].add(example._replace(label=label))
                    continue
                if role == "test":
                    raise UserError(f"{labelled[role]}, row {example.row + 1} has no label")
                writers["unlabeled"].add(example)
                without_label += role == "train"
            _log_reading(role, given.files[role], reading, labels)
        if without_label:
            logging.info("  %d rows without a label join the unlabeled ones", without_label)
        task = Task(name=name, labels=labels.names(), kind=kind, local=True)
        spools = {role: writer.finish() for role, writer in writers.items()}
        for role in labelled:
            spools[role] = replace(spools[role], labels=labels.final(spools[role].labels))
        _write(task, spools, {"source": facts}, recipe)


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


def _log_reading(
    role: str, path: Path, reading: user_files.Reading, labels: LabelReader | None = None
) -> None:
    """Says which columns of a file were read, which labels they hold, and what was dropped."""
    contents = {"text": "texts", "text_pair": "second texts", "label": "labels"}
    columns = [
        f"{contents[role]} from column '{one_line(column)}'"
        for role, column in vars(reading.columns).items()
        if column is not None
    ]
    logging.info("%s: %s", path.name, ", ".join(columns))
    if labels and reading.columns.label is not None:
        labels.log(role)
    _log_dropped(reading.dropped)


def _log_dropped(dropped: Mapping[str, int]) -> None:
    for reason, count in dropped.items():
        if count:
            logging.info("  dropped %d %s", count, reason)


def _write(
    task: Task, spools: dict[str, spool.Spool], facts: dict[str, Any], recipe: DataRecipe
) -> None:
    """Makes the splits of the rows read, writes them and says what they hold."""
    rows, dropped = splits.make(spools, recipe, task)
    manifest = store.write(task, rows, {**facts, "dropped": dropped}, recipe)
    _log_dropped(dropped)
    for name, (here, official) in manifest.get("subset", {}).items():
        logging.info("  a subset: %s has %d of the official %d rows", name, here, official)
    logging.info("  labels of train: %s", task.kind.describe(manifest["label_summary"]["train"]))
    fault = store.augmented_fault(task.name)
    if fault:
        logging.warning("%s", fault)
    counts = ", ".join(f"{name} {count}" for name, count in manifest["rows"].items())
    then = ending.next_command(task, "data")
    ending.done(f"splits of {task.name}", f"{counts} rows", paths.task(task.name), then)
