"""Readers of outside data: the hub, an official archive or folder, a task's own generator.

Archives are read member by member and never unpacked, so nothing can be written anywhere.
"""

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from distillery import files, hub, paths, progress
from distillery.data.task import Example, Hub, Task
from distillery.errors import UserError, reason

Splits = dict[str, list[Example]]


def read(task: Task, source: Path | None) -> tuple[Splits, dict[str, Any]]:
    """The rows of each official split in their order, and a description of where they are from.

    source: an archive (tar or zip) or a folder in the layout of the official download or of
    the hub; None for the hub (or what was fetched of it) or the task's generator.
    """
    splits, facts = _read(task, source)
    if task.unescape:
        splits = {
            name: [_unescaped(row, task.unescape) for row in rows] for name, rows in splits.items()
        }
    return splits, facts


def _unescaped(row: Example, unescape: Callable[[str], str]) -> Example:
    pair = None if row.text_pair is None else unescape(row.text_pair)
    return row._replace(text=unescape(row.text), text_pair=pair)


def _read(task: Task, source: Path | None) -> tuple[Splits, dict[str, Any]]:
    if source is None and task.generate:
        splits = {name: list(rows) for name, rows in task.generate().items()}
        return splits, {"kind": "generated", "synthetic": task.synthetic}
    if source is None:
        return _read_hub(task, fetched(task)), {"kind": "hub", **_hub_facts(task)}
    if task.parse is None and task.hub is None:
        raise UserError(f"task {task.name} is generated: leave --source out")
    if not source.exists():
        raise UserError(f"source {source} does not exist")
    facts = {"name": source.name, "sha256": files.checksum(source)}
    if source.is_dir() and next(source.rglob("*.parquet"), None):
        return _read_hub(task, source), {"kind": "folder in the hub's layout", **facts}
    if source.is_dir():
        walk, kind = _walk_folder(source, task.top_folder), "official folder"
    else:
        walk, kind = _walk_archive(source, task.top_folder), "official archive"
    return _read_official(task, walk), {"kind": kind, **facts}


def check(task: Task, splits: Splits, subset: bool = False) -> dict[str, list[int]]:
    """UserError unless all rows are there, each with a label of the task.

    subset: accept fewer rows. Returns the splits with fewer rows: [rows, official rows].
    """
    partial = {}
    for name, expected in task.counts.items():
        rows, per_label = splits.get(name, []), len(expected) > 1
        found: tuple[int, ...] = (len(rows),)
        if per_label:
            found = tuple(sum(row.label == label for row in rows) for label in range(len(expected)))
        if found == expected and len(rows) == sum(expected):
            continue
        fewer = all(map(int.__le__, found, expected)) and 0 < len(rows) == sum(found)
        if not (subset and fewer):
            hint = "another data set?" if rows else "a file of the download is missing?"
            if fewer:
                hint = "a truncated or incomplete download? --subset takes a part as it is"
            counts = f"{found[0]} rows where {expected[0]}"
            if per_label:
                counts = f"{found} rows per label where {expected}"
            raise UserError(
                f"{name} of {task.name} is not the official one: {counts} are expected ({hint})"
            )
        partial[name] = [len(rows), sum(expected)]
    for name, rows in splits.items():
        labels = np.array([row.label for row in rows if row.label is not None], np.float64)
        task.kind.check_labels(labels, task.labels, f"{name} of {task.name}")
        if name != "unlabeled" and len(labels) < len(rows):
            missing = len(rows) - len(labels)
            raise UserError(f"{name} of {task.name} has {missing} rows without a label")
    return partial


def _hub_facts(task: Task) -> dict[str, Any]:
    return {"id": task.hub.id, "revision": task.hub.revision} if task.hub else {}


def _read_hub(task: Task, folder: Path | None) -> Splits:
    """The data set from the hub, or from a local folder in the hub's layout."""
    if task.hub is None:
        raise UserError(f"task {task.name} is not on the hub: name its data with --source PATH")
    import datasets

    where = str(folder) if folder else task.hub.id
    revision = None if folder else task.hub.revision
    try:
        loaded = datasets.load_dataset(where, task.hub.config, revision=revision)
    except Exception as error:  # whatever a reader or the network raises, the user sees one line
        raise UserError(
            f"cannot load {where}: {reason(error)}"
            " (without a network, name a download: --source PATH)"
        ) from None
    missing = [name for name in task.hub.splits.values() if name not in loaded]
    if missing:
        raise UserError(f"{where} has no split '{missing[0]}', only {', '.join(loaded)}")
    splits = task.hub.splits.items()
    for _, theirs in splits:
        _refuse_other_order(task, task.hub, loaded[theirs].features)
    return {ours: _hub_rows(task, task.hub, loaded[theirs]) for ours, theirs in splits}


def _refuse_other_order(task: Task, where: Hub, features: Any) -> None:
    """UserError where the hub counts the task's labels in another order."""
    names = getattr(features.get(where.label), "names", list(task.labels))
    if names != list(task.labels) and set(names) == set(task.labels):
        raise UserError(
            f"{where.id} has the labels {', '.join(names)}, in this order, where task {task.name}"
            f" has {', '.join(task.labels)}"
        )


def _hub_rows(task: Task, where: Hub, rows: Any) -> list[Example]:
    for column in filter(None, (where.text, where.text_pair, where.label)):
        if column not in rows.column_names:
            raise UserError(
                f"{where.id} has no column '{column}', only {', '.join(rows.column_names)}"
            )
    pairs = rows[where.text_pair] if where.text_pair else [None] * len(rows)
    columns = zip(rows[where.text], pairs, rows[where.label], strict=True)
    is_single = getattr(rows.features[where.label], "dtype", "") == "float32"
    examples = []
    for row, (text, pair, label) in enumerate(columns):
        if not isinstance(text, str) or (where.text_pair and not isinstance(pair, str)):
            raise UserError(
                f"{where.id}, row {row} has no text in column '{where.text}' or its pair"
            )
        if not isinstance(label, int | float | None):
            raise UserError(
                f"{where.id}, row {row}: label '{label}' in '{where.label}' is no number"
            )
        if label is None or label == task.kind.missing:
            label = None
        elif is_single:  # 4.4 is 4.4 as in the official files, not 4.400000095367432
            label = float(str(np.float32(label)))
        examples.append(Example(row, text, pair, label))
    return examples


def _read_official(task: Task, walk: Iterator[tuple[str, bytes]]) -> Splits:
    """Rows in the order of (split, row), whatever order the files come in."""
    if task.parse is None:
        raise UserError(f"task {task.name} is only read from the hub: leave --source out")
    splits: Splits = {name: [] for name in task.counts}
    expected = sum(sum(counts) for counts in task.counts.values())
    bar = progress.bar(total=expected or None, desc=f"reading {task.name}", unit=" rows")
    with bar:
        for path, content in walk:
            try:
                for split, example in task.parse(path, content):
                    splits.setdefault(split, []).append(example)
                    bar.update()
            except UnicodeDecodeError as error:
                raise UserError(f"{path} is not UTF-8 (byte {error.start})") from None
            except ValueError as error:
                raise UserError(f"{path}: {error}") from None
    if not any(splits.values()):
        raise UserError(f"the source holds no file of task {task.name} in its official layout")
    return {name: sorted(rows) for name, rows in splits.items()}


def kept(task: Task) -> Path | None:
    """The archive or folder that a user gave for a task, if there is one; UserError where it is
    not as it was then."""
    folder = paths.own_download(task.name)
    files.check_folder(folder, f"delete {folder} and fetch it again")
    inside = folder.iterdir() if folder.is_dir() else ()
    return next((path for path in inside if path.name != files.SUMS), None)


def fetched(task: Task) -> Path | None:
    """The hub's files of a task, if they were fetched."""
    folder = paths.hub_download(task.name, task.hub.revision) if task.hub else None
    return folder if folder and folder.is_dir() else None


def fetch(task: Task) -> None:
    """Downloads a task's data set from the hub, at the pinned revision."""
    if task.hub is None:
        raise UserError(f"task {task.name} is not on the hub: name its data with --source PATH")
    folder = paths.hub_download(task.name, task.hub.revision)
    # the card, which says what belongs to which split, and the rows of one configuration
    patterns = ["README.md", f"{task.hub.config}/*" if task.hub.config else "*.parquet"]
    hub.fetch(task.hub.id, task.hub.revision, patterns, folder, kind="dataset")


def keep(task: Task, source: Path) -> None:
    """Copies an archive or folder, checked by the caller, in place of the one kept before."""
    with files.replacing_folder(paths.own_download(task.name)) as temporary:
        if source.is_dir():
            shutil.copytree(source, temporary / source.name)
        else:
            shutil.copyfile(source, temporary / source.name)


def _inner(name: str, top: str) -> str:
    """The path inside the download without its top folder, if it has one."""
    parts = PurePosixPath(name).parts
    return "/".join(parts[1:] if parts and parts[0] == top else parts)


def _walk_folder(folder: Path, top: str) -> Iterator[tuple[str, bytes]]:
    root = folder / top if (folder / top).is_dir() else folder
    for place, _, names in os.walk(root):
        for name in names:
            path = Path(place) / name
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.read_bytes()


def _walk_archive(archive: Path, top: str) -> Iterator[tuple[str, bytes]]:
    """The regular files of an archive; a link or a path that leaves the archive is refused."""
    if archive.suffix in (".tsv", ".csv", ".txt", ".parquet"):
        raise UserError(
            f"source {archive} is one file of a download: name its folder, or the archive"
        )
    walk = _walk_zip if zipfile.is_zipfile(archive) else _walk_tar
    try:
        for name, content in walk(archive):
            yield _inner(name, top), content
    except (*files.DAMAGED, OSError) as error:
        raise UserError(f"{archive} is truncated or no archive ({error})") from None


def _refuse_unsafe(archive: Path, name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{archive} holds the unsafe path '{name}'")


def _walk_tar(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            _refuse_unsafe(archive, member.name)
            if member.issym() or member.islnk():
                raise UserError(f"{archive} holds the link '{member.name}': refused")
            file = tar.extractfile(member) if member.isfile() else None
            if file:
                yield member.name, file.read()
        while tar.fileobj and tar.fileobj.read(1 << 20):  # to the end, where a checksum stands
            pass


def _walk_zip(archive: Path) -> Iterator[tuple[str, bytes]]:
    """A link in a zip reads as a file that holds its target: nothing is followed."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            _refuse_unsafe(archive, member.filename)
            if not member.is_dir():
                yield member.filename, opened.read(member)
