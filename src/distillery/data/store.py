"""Splits on disk: one Parquet file each, and the manifest that is written last."""

import logging
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distillery import files, paths
from distillery.data import keys
from distillery.data.splits import Rows
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.recipes import DataRecipe

if TYPE_CHECKING:
    import pyarrow as pa

_AGAIN = "run stage 1 again with --force"
VERSION = 3  # of the splits: raise it when the same source would give other rows


@dataclass(frozen=True)
class Split:
    """The rows of a split, in order; their texts are read from its file.

    ids: (N,) uint64, the hash of the exact text. labels: (N,) of the kind's type, its `missing`
    where there is none.
    """

    name: str
    path: Path
    ids: np.ndarray
    labels: np.ndarray
    paired: bool
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)

    def chunks(self, size: int) -> Iterator[tuple[list[str], list[str] | None]]:
        """The texts and, of pairs, the second texts, at most `size` rows at a time."""
        import pyarrow.parquet as pq

        columns = ["text", "text_pair"] if self.paired else ["text"]
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            for part in file.iter_batches(size, columns=columns):
                pairs = part["text_pair"].to_pylist() if self.paired else None
                yield part["text"].to_pylist(), pairs

    def keys(self, same_text: str) -> np.ndarray:
        """(N,) uint64, equal where two rows count as the same text by the rule `same_text`."""
        if same_text == "exact":
            return self.ids
        key_of = keys.SAME_TEXT[same_text]
        found = array("Q")
        for texts, pairs in self.chunks(4096):
            for row in zip(texts, *([pairs] if pairs else []), strict=True):
                found.append(keys.digest(key_of(*row)))
        return np.array(found, np.uint64)


class Row(NamedTuple):
    """A row of a split as it is written. `label`: the kind's `missing` where there is none."""

    row: int
    id: str
    text: str
    text_pair: str | None
    label: float


def _schema(task: Task, paired: bool) -> "pa.Schema":
    import pyarrow as pa

    types = {"row": pa.int64(), "label": pa.from_numpy_dtype(task.kind.dtype)}
    names = [name for name in Row._fields if name != "text_pair" or paired]
    return pa.schema([(name, types.get(name, pa.string())) for name in names])


def _write_rows(
    path: Path, manifest: Path, schema: "pa.Schema", tables: Iterable["pa.Table"]
) -> tuple[int, str]:
    """Writes a split, some rows at a time, and deletes the manifest of the old one; gives the
    number of rows and the checksum."""
    import pyarrow.parquet as pq

    count = 0
    with files.replacing(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table.select(schema.names))
                count += len(table)
        manifest.unlink(missing_ok=True)
    return count, files.sha256(path)


def write(
    task: Task, splits: dict[str, Rows], facts: dict[str, Any], recipe: DataRecipe
) -> dict[str, Any]:
    """Writes the splits of a task and, last, their manifest; returns the manifest."""
    path, rows, sums = paths.manifest(task.name), {}, {}
    for name, split in splits.items():
        tables, schema = split.source.take(split.places), _schema(task, split.source.paired)
        rows[name], sums[name] = _write_rows(paths.split(task.name, name), path, schema, tables)
    manifest = {
        "version": VERSION,
        "task": task.name,
        "kind": task.kind.name,
        "labels": list(task.labels),
        "metric": task.metric,
        "local": task.local,
        "synthetic": task.synthetic,
        **facts,
        "recipe": recipe.as_dict(),
        "recipe_hash": recipe.hash(),
        "rows": rows,
        "label_summary": {
            name: task.kind.summary(split.labels, task.labels)
            for name, split in splits.items()
            if name != "unlabeled"
        },
        "sha256": sums,
    }
    files.write_json(path, manifest)
    return manifest


def read_manifest(task_name: str) -> dict[str, Any]:
    """The manifest of a task's splits; UserError where stage 1 has not made them."""
    path = paths.manifest(task_name)
    if not path.is_file():
        script, command = f"scripts/run_all.sh {task_name} --to 1", f"data --task {task_name}"
        raise UserError(
            f"task {task_name} has no splits in {path.parent}:"
            f" run {paths.script_or(script, command)}"
        )
    manifest = files.read_json(path, "checksum", "version", remedy=_AGAIN)
    if manifest["version"] != VERSION:
        raise UserError(f"{path} is of another version: {_AGAIN}")
    return manifest


def read_source(task_name: str) -> dict[str, Any]:
    """What a manifest of any version says about the source; empty if there is none, or a damaged
    one."""
    try:
        manifest = files.read_json(paths.manifest(task_name), "checksum")
        result: dict[str, Any] = manifest.get("source", {})
        return result
    except UserError:
        return {}


def read_split(task_name: str, name: str) -> Split:
    """A split whose file is the one its manifest describes, else UserError."""
    import pyarrow.parquet as pq

    path = paths.split(task_name, name)
    if name == paths.AUGMENTED:
        expected, again = read_augmented_manifest(task_name)["sha256"], "augmentation"
    else:
        expected, again = read_manifest(task_name)["sha256"].get(name), "stage 1"
    if not path.is_file():
        raise UserError(f"{path} is missing: run {again} again with --force")
    checksum = files.sha256(path)
    if checksum != expected:
        raise UserError(f"{path} is not the file of its manifest: run {again} again with --force")
    ids = array("Q")
    with pq.ParquetFile(path, pre_buffer=False) as file:
        schema = file.schema_arrow
        labels = [np.zeros(0, schema.field("label").type.to_pandas_dtype())]
        for batch in file.iter_batches(columns=["id", "label"]):
            ids.extend(int(name, 16) for name in batch["id"].to_pylist())
            labels.append(batch["label"].to_numpy())
    return Split(
        name=name,
        path=path,
        ids=np.array(ids, np.uint64),
        labels=np.concatenate(labels),
        paired="text_pair" in schema.names,
        sha256=checksum,
    )


def cleaning(task_name: str) -> str:
    """How the texts of the splits were cleaned: `clean` of the data recipe."""
    return str(read_manifest(task_name)["recipe"]["clean"])


def subset(task_name: str) -> dict[str, list[int]] | None:
    """The splits with only a part of the official rows: [rows, official rows]; None: all rows."""
    return read_manifest(task_name).get("subset") or None


def unlabeled_data(task_name: str) -> str | None:
    """Name and checksum of the file whose rows were added to the source's unlabeled ones."""
    more = read_manifest(task_name)["source"].get("unlabeled")
    return f"{more['name']} (sha256 {more['sha256'][:12]})" if more else None


def is_current(task_name: str, recipe: DataRecipe, wanted: dict[str, Any]) -> bool:
    """Whether the splits on disk are whole and were made by this recipe from `wanted`.

    wanted: facts of the source that the manifest must hold.
    """
    if not paths.manifest(task_name).is_file():
        return False
    try:
        manifest = read_manifest(task_name)
    except UserError as error:
        logging.warning("%s", error)
        return False
    return (
        manifest["recipe_hash"] == recipe.hash()
        and all(manifest["source"].get(name) == fact for name, fact in wanted.items())
        and _are_whole(task_name, manifest["sha256"])
    )


def _are_whole(task_name: str, checksums: Mapping[str, str]) -> bool:
    sums = {paths.split(task_name, name).name: checksum for name, checksum in checksums.items()}
    return not any(files.changed(paths.task(task_name), sums))


def write_augmented(
    task: Task, splits: list[Split], rows: Iterable[list[Row]], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes the augmented split and last its own manifest, returned.

    The manifest of stage 1, on which all results depend, stays as it is. splits: those of stage 1,
    in which none of the rows stands. facts: may be filled while `rows` are made.
    """
    import pyarrow as pa

    path, schema = paths.augmented_manifest(task.name), _schema(task, splits[0].paired)
    tables = (
        pa.table([[getattr(row, name) for row in chunk] for name in schema.names], schema=schema)
        for chunk in rows
    )
    count, checksum = _write_rows(paths.split(task.name, paths.AUGMENTED), path, schema, tables)
    manifest = {
        "task": task.name,
        "sources": {split.name: split.sha256 for split in splits},
        **facts,
        "rows": count,
        "sha256": checksum,
    }
    files.write_json(path, manifest)
    return manifest


def read_augmented_manifest(task_name: str) -> dict[str, Any]:
    """The manifest of the augmented split; UserError if there is none, or if it was made from
    other splits than the current ones."""
    path = paths.augmented_manifest(task_name)
    script, command = f"scripts/data/augment.sh {task_name}", f"augment --task {task_name}"
    again = f"run {paths.script_or(script, command)}"
    if not path.is_file():
        raise UserError(f"task {task_name} has no augmented rows: {again}")
    manifest = files.read_json(path, "checksum")
    if manifest["sources"] != read_manifest(task_name)["sha256"]:
        raise UserError(f"the augmented rows of {task_name} were made from other splits: {again}")
    return manifest


def augmented_fault(task_name: str) -> str | None:
    """Why existing augmented rows cannot be used; None if they can, or if there are none."""
    try:
        if paths.augmented_manifest(task_name).is_file():
            read_augmented_manifest(task_name)
    except UserError as error:
        return str(error)
    return None


def augmented_is_current(task_name: str, wanted: Mapping[str, Any]) -> bool:
    """Whether the augmented split is whole, of these splits and made as `wanted` says."""
    try:
        manifest = read_augmented_manifest(task_name)
    except UserError:
        return False
    return all(manifest[key] == value for key, value in wanted.items()) and _are_whole(
        task_name, {paths.AUGMENTED: manifest["sha256"]}
    )
