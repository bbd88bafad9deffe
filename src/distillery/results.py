"""Results: what an experiment measured, and everything needed to make it again.

Each is a .json, a .txt for people, and the predictions on test; the true labels of test are stored
once per task. Everything is written whole, the .txt last, and checked when read.
"""

import base64
import json
import logging
import os
import subprocess
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, NotRequired, TypedDict, get_args, get_origin, get_type_hints, is_typeddict

from distillery import files, paths
from distillery.errors import UserError, one_line

CODE = ("src", "scripts", "benchmarks/*.py", "requirements.txt")  # what can change a result


class Commit(TypedDict):  # HEAD, and whether the code in the working tree differed from it
    head: str | None
    dirty: bool | None


class Run(TypedDict):
    """One seed: metrics on test, training time, training rows per epoch.

    ece: expected calibration error. dev: metrics of the selected epoch. start: what the weights
    were initialized from. commit, environment: where they differ from the result's.
    """

    seed: int
    metrics: dict[str, float]
    seconds: float
    rows: int
    ece: NotRequired[float]
    dev: NotRequired[dict[str, float]]
    start: NotRequired[str]
    commit: NotRequired[Commit]
    environment: NotRequired[dict[str, Any]]


class Source(TypedDict):  # the model that a compressed one was made from
    name: str
    metrics: dict[str, float]
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """All facts of one experiment.

    metrics: means over the runs, the task's main one first. recipe, stage_version, inputs (file or
    fact -> checksum): what it depends on. outputs: the saved model's files -> sha256. bytes: size
    of its weights. subset: split -> rows used and rows there are, where a part was used.
    unlabeled_data: the user's file of more unlabeled rows, where it was read. predictions: sha256
    of the file of predictions.
    """

    name: str
    stage: str
    task: str
    kind: str = "classification"
    student: str | None = None
    layers: int | None = None
    teacher: str | None = None
    baseline: str | None = None
    variant: str | None = None
    split: str = "test"
    n: int
    metrics: dict[str, float]
    runs: list[Run]
    recipe: dict[str, Any]
    stage_version: int
    inputs: dict[str, str]
    outputs: dict[str, str]
    commit: Commit
    environment: dict[str, Any]
    parameters: int | None = None
    bytes: int | None = None
    command: str | None = None
    subset: dict[str, list[int]] | None = None
    unlabeled_data: str | None = None
    source: Source | None = None
    predictions: str | None = None

    @property
    def metric(self) -> str:
        """The main metric."""
        return next(iter(self.metrics))


NEEDED = {  # stage -> fields that may be empty in other stages
    "teacher": ("teacher",),
    "student": ("student",),
    "distillation": ("student", "teacher"),
    "baseline": ("baseline",),
    "compression": ("source", "bytes"),
}
FORMS = {str: "text", int: "a count", float: "a number", dict: "an object", list: "a list"}
REQUIRED = {field.name for field in fields(Result) if field.default is MISSING}


def commit() -> Commit:
    """The commit of the code that runs.

    `DISTILLERY_COMMIT` says it where there is no repository: `HEAD` or `HEAD-dirty`.
    """
    head, _, dirty = os.environ.get("DISTILLERY_COMMIT", "").partition("-")
    if head:
        return {"head": head, "dirty": dirty == "dirty"}
    if not paths.in_clone():  # the current repository may be of something else
        return {"head": None, "dirty": None}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(paths.ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=normal", "--", *CODE)
        return {"head": git("rev-parse", "HEAD"), "dirty": bool(changes)}
    except (OSError, subprocess.CalledProcessError):
        return {"head": None, "dirty": None}


def json_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def predictions_path(folder: Path, name: str) -> Path:
    return folder / "predictions" / f"{name}.bits"


def labels_path(folder: Path, task: str) -> Path:
    return folder / "predictions" / f"{task}.labels.json"


@dataclass(frozen=True)
class Labels:
    """The true labels of a task's `n` test rows, in the order of the predictions.

    kind: of the task, which packed them. names: of a model's outputs. sha256: of the test split.
    """

    kind: str
    names: tuple[str, ...]
    n: int
    packed: bytes
    sha256: str


def write_labels(folder: Path, task: str, labels: Labels) -> None:
    facts = {"task": task, "kind": labels.kind, "split": "test", "n": labels.n}
    facts |= {"labels": labels.names, "sha256": labels.sha256}
    facts |= {"bits": base64.b64encode(labels.packed).decode()}
    files.write_json(labels_path(folder, task), facts)


def read_labels(folder: Path, task: str) -> Labels | None:
    """What `write_labels` wrote, None where it wrote nothing; UserError where it is damaged."""
    path = labels_path(folder, task)
    if not path.is_file():
        return None
    found = files.read_json(path, "n", "labels", "sha256", "bits")
    try:
        n, kind, names = int(found["n"]), found.get("kind", "classification"), found["labels"]
        packed = base64.b64decode(found["bits"], validate=True)
        if n < 1:
            raise ValueError
        return Labels(str(kind), tuple(map(str, names)), n, packed, str(found["sha256"]))
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{path} is damaged: delete it and run a stage of {task} again") from None


def mean_metrics(runs: list[Any]) -> dict[str, float]:
    """The mean of each metric over the runs."""
    return {
        name: sum(run["metrics"][name] for run in runs) / len(runs) for name in runs[0]["metrics"]
    }


def write(folder: Path, result: Result, predictions: bytes) -> None:
    """Writes the predictions, as the task's kind packed them, the .json and, last, the .txt."""
    bits = predictions_path(folder, result.name)
    with files.replacing(bits) as temporary:
        temporary.write_bytes(predictions)
    facts = {**vars(result), "predictions": files.sha256(bits)}
    if result.source is None:
        del facts["source"]
    files.write_json(json_path(folder, result.name), facts)
    files.write_text(folder / f"{result.name}.txt", _text(result))


def _text(result: Result) -> str:
    metric = result.metric
    seeds = [f"seed {run['seed']} {run['metrics'][metric]:.4f}" for run in result.runs]
    lines = [
        f"{metric} {result.metrics[metric]:.4f}",
        f"split {result.split}, {result.n} rows, {len(seeds)} run(s): {', '.join(seeds)}",
        f"parameters {result.parameters}, bytes {result.bytes}",
    ]
    if source := result.source:
        was = f"{metric} {source['metrics'][metric]:.4f}, bytes {source['bytes']}"
        lines.append(f"made of {source['name']}: {was}")
    if start := result.runs[0].get("start"):
        lines.append(f"started from {start}")
    return "\n".join([*lines, f"made by {result.command}"]) + "\n"


def read(path: Path) -> Result:
    """A result, checked: UserError names the file and what is wrong with it.

    The predictions beside it are checked too, if they are there.
    """
    found = files.read_json(path)
    known = {field.name for field in fields(Result)}
    try:
        _check(found, Result, "")
        result = Result(**{name: value for name, value in found.items() if name in known})
        if result.name != path.name.removesuffix(".json"):
            raise ValueError(f"it has another name, '{result.name}'")
        if not result.metrics or not result.runs:
            raise ValueError("it has no metrics" if result.runs else "it has no runs")
        for part in (*result.runs, *filter(None, [result.source])):
            if not result.metrics.keys() <= part["metrics"].keys():
                raise ValueError("a run, or the source, lacks a metric")
        for name in NEEDED.get(result.stage, ()):
            if not getattr(result, name):
                raise ValueError(f"stage {result.stage} needs a {name}")
    except ValueError as error:
        raise UserError(f"{path} is not a result: {one_line(str(error))}") from None
    bits = predictions_path(path.parent, result.name)
    if result.predictions and bits.is_file() and files.sha256(bits) != result.predictions:
        raise UserError(f"{bits} is damaged: delete {path} and run its stage again")
    return result


def _check(value: Any, form: Any, where: str) -> None:
    """ValueError unless a value read from JSON has the form of a type annotation. Integers are
    counts; numbers are finite and small enough to print."""
    if form is Any or (isinstance(form, UnionType) and value is None):
        return
    if isinstance(form, UnionType):  # of a form and None
        form = get_args(form)[0]
    has_fields = is_typeddict(form) or form is Result
    required = form.__required_keys__ if is_typeddict(form) else REQUIRED
    base = dict if has_fields else get_origin(form) or form
    fits = isinstance(value, int | float if base is float else base)
    if base in (int, float):
        least = 0 if base is int else -1e18
        fits = fits and not isinstance(value, bool) and least <= value < 1e18
    if not fits:
        raise ValueError(f"{where[1:]} is {json.dumps(value)[:60]}, not {FORMS[base]}")
    if has_fields:
        for name, inner in get_type_hints(form).items():
            if name in value:
                _check(value[name], inner, f"{where}.{name}")
            elif name in required:
                raise ValueError(f"it has no {where[1:]}{'.' if where else ''}{name}")
    elif base in (dict, list):
        for key, item in value.items() if base is dict else enumerate(value):
            _check(item, get_args(form)[-1], f"{where}.{key}")


def read_all(folder: Path) -> dict[str, Result]:
    """Name -> result, of every result in a folder."""
    return {path.name.removesuffix(".json"): read(path) for path in sorted(folder.glob("*.json"))}


def check_saved(result: Result) -> None:
    """UserError where the saved model is not the one of this result."""
    for name in files.changed(paths.data(), result.outputs):
        file = paths.data() / name
        raise UserError(f"{file} is missing or not the one of the result: run its stage again")


def is_current(folder: Path, name: str, wanted: dict[str, Any], seeds: list[int]) -> bool:
    """Whether a result was made as `wanted` says (recipe, stage_version, inputs, of which a result
    may name more) with these seeds first, and everything it wrote is there unchanged."""
    if not json_path(folder, name).is_file():
        return False
    try:
        result = read(json_path(folder, name))
    except UserError as error:
        logging.warning("%s", error)
        return False
    return (
        all(getattr(result, key) == value for key, value in wanted.items() if key != "inputs")
        and wanted.get("inputs", {}).items() <= result.inputs.items()
        and [run["seed"] for run in result.runs][: len(seeds)] == seeds
        and predictions_path(folder, name).is_file()
        and (folder / f"{name}.txt").is_file()
        and not any(files.changed(paths.data(), result.outputs))
    )
