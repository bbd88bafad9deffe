"""Results: one .json with all facts and one .txt with the score per experiment.

The .json is what the report and later stages read; it is written before the .txt, both whole.
Predictions lie beside them, packed as bits, and once per task the true labels of its test rows. A
.json holds a checksum of its values and that of its predictions.
"""

import base64
import binascii
import logging
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery import files, paths
from distillery.errors import UserError

FIELDS = (
    *("name", "stage", "task", "student", "layers", "teacher", "baseline", "variant"),
    *("split", "n", "metrics", "runs", "recipe", "stage_version", "inputs", "outputs"),
    *("commit", "environment", "parameters", "bytes", "command", "subset"),
    "unlabeled_data",
)
MISSING_ALLOWED = ("baseline", "variant", "subset", "unlabeled_data")
SOURCE = "source"  # of a compressed model alone: name, metrics and bytes of what it was made of


CODE = ("src", "scripts", "benchmarks/*.py", "requirements.txt")  # what makes figures


def commit() -> dict[str, Any]:
    """HEAD of the project's repository, and whether the code in the working tree differs from it.

    `DISTILLERY_COMMIT` says both where there is no repository: `HEAD` or `HEAD-dirty`.
    """
    head, _, dirty = os.environ.get("DISTILLERY_COMMIT", "").partition("-")
    if head:
        return {"head": head, "dirty": dirty == "dirty"}

    if not paths.in_clone():  # an environment may lie in a repository of something else
        return {"head": None, "dirty": None}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(paths.ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        dirty = git("status", "--porcelain", "--untracked-files=normal", "--", *CODE)
        return {"head": git("rev-parse", "HEAD"), "dirty": bool(dirty)}
    except (OSError, subprocess.CalledProcessError):
        return {"head": None, "dirty": None}


def json_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def predictions_path(folder: Path, name: str) -> Path:
    return folder / "predictions" / f"{name}.bits"


def labels_path(folder: Path, task: str) -> Path:
    return folder / "predictions" / f"{task}.labels.json"


def pack(predictions: np.ndarray, labels: int) -> bytes:
    """(runs, N) label numbers -> as many bits each as the number of labels needs, in order."""
    width = max(1, (labels - 1).bit_length())
    bits = (predictions[..., None] >> np.arange(width)) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def unpack(packed: bytes, runs: int, n: int, labels: int) -> np.ndarray:
    """What `pack` packed: (runs, N) int64. ValueError if it is of another length."""
    width = max(1, (labels - 1).bit_length())
    if len(packed) != -(-runs * n * width // 8):
        raise ValueError(f"{len(packed)} bytes cannot be {runs} x {n} predictions")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=runs * n * width)
    found: np.ndarray = (bits.reshape(runs, n, width).astype(np.int64) << np.arange(width)).sum(-1)
    return found


@dataclass(frozen=True)
class Labels:
    """The true labels of a task's test rows, in the order of the predictions.

    names: of the labels, in order. values: (N,) label numbers. sha256: of the test split's file.
    """

    names: tuple[str, ...]
    values: np.ndarray
    sha256: str


def write_labels(folder: Path, task: str, labels: Labels) -> None:
    """Writes the true labels of a task."""
    packed = pack(labels.values[None, :], len(labels.names))
    facts = {
        "task": task,
        "split": "test",
        "n": len(labels.values),
        "labels": [*labels.names],
        "sha256": labels.sha256,
        "bits": base64.b64encode(packed).decode(),
    }
    files.write_json(labels_path(folder, task), facts)


def read_labels(folder: Path, task: str) -> Labels | None:
    """What `write_labels` wrote, None where it wrote nothing; UserError where it is damaged."""
    path = labels_path(folder, task)
    if not path.is_file():
        return None
    found = files.read_json(path, "n", "labels", "sha256", "bits")
    try:
        names, n = tuple(map(str, found["labels"])), int(found["n"])
        values = unpack(base64.b64decode(found["bits"], validate=True), 1, n, len(names))[0]
        if n < 1 or values.max() >= len(names):
            raise ValueError
    except (TypeError, ValueError, OverflowError, binascii.Error):
        raise UserError(f"{path} is damaged: delete it and run a stage of {task} again") from None
    return Labels(names, values, str(found["sha256"]))


def mean_metrics(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The mean of each metric over the runs."""
    return {
        name: sum(run["metrics"][name] for run in runs) / len(runs) for name in runs[0]["metrics"]
    }


def write(folder: Path, result: dict[str, Any], predictions: np.ndarray, labels: int) -> None:
    """Writes the predictions (runs, N), the .json and, last, the .txt of a result."""
    assert set(result) - {SOURCE} == set(FIELDS), set(result) ^ set(FIELDS)
    name = result["name"]
    bits = predictions_path(folder, name)
    with files.replacing(bits) as temporary:
        temporary.write_bytes(pack(predictions, labels))
    files.write_json(json_path(folder, name), {**result, "predictions": files.sha256(bits)})
    score, value = next(iter(result["metrics"].items()))
    spread = [run["metrics"][score] for run in result["runs"]]
    lines = [
        f"{score} {value:.4f}",
        f"split {result['split']}, {result['n']} rows, {len(spread)} run(s): "
        + ", ".join(f"seed {run['seed']} {run['metrics'][score]:.4f}" for run in result["runs"]),
        f"parameters {result['parameters']}, bytes {result['bytes']}",
        f"made by {result['command']}",
    ]
    if start := result["runs"][0].get("start"):
        lines.insert(3, f"started from {start}")
    if source := result.get(SOURCE):
        was = f"{score} {source['metrics'][score]:.4f}, bytes {source['bytes']}"
        lines.insert(3, f"made of {source['name']}: {was}")
    files.write_text(folder / f"{name}.txt", "\n".join(lines) + "\n")


def _is_number(value: object) -> bool:
    """Whether a value is a finite number of a size that can be shown."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def _are_scores(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_is_number, value.values()))


def _are_runs(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(run, dict) for run in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_number(value) and value >= 0


def _is_commit(value: object) -> bool:
    return (
        isinstance(value, dict) and isinstance(value.get("head"), str | None) and "dirty" in value
    )


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_subset(value: object) -> bool:
    """None, or split -> rows used and all rows."""
    return value is None or (
        isinstance(value, dict)
        and all(isinstance(rows, list) and len(rows) == 2 for rows in value.values())
        and all(_is_count(count) for rows in value.values() for count in rows)
    )


_HOLDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "stage", "task", "split"), lambda value: isinstance(value, str)),
    **dict.fromkeys(
        ("student", "teacher", "baseline", "variant", "command", "unlabeled_data", "predictions"),
        lambda value: isinstance(value, str | None),
    ),
    **dict.fromkeys(("recipe", "inputs", "outputs", "environment"), _is_object),
    **dict.fromkeys(("parameters", "bytes"), lambda value: value is None or _is_count(value)),
    "n": _is_count,
    "metrics": _are_scores,
    "runs": _are_runs,
    "commit": _is_commit,
    "subset": _is_subset,
}
_RUN_HOLDS: dict[str, Callable[[Any], bool]] = {
    "seed": _is_count,
    "metrics": _are_scores,
    "seconds": _is_number,
    "rows": _is_count,
}
_RUN_MAY_HOLD: dict[str, Callable[[Any], bool]] = {
    "epochs": _is_count,
    "commit": _is_commit,
    "environment": _is_object,
}
_SOURCE_HOLDS: dict[str, Callable[[Any], bool]] = {
    "name": lambda value: isinstance(value, str),
    "metrics": _are_scores,
    "bytes": lambda value: value is None or _is_count(value),
}


def read(path: Path) -> dict[str, Any]:
    """A result, checked: UserError names the file and what is wrong with it.

    The predictions beside it are checked too, where they are there.
    """
    result = files.read_json(path)
    missing = [name for name in FIELDS if name not in result and name not in MISSING_ALLOWED]
    if missing:
        raise UserError(f"{path} is no result: it has no field '{missing[0]}'")
    for name, holds in _HOLDS.items():
        if not holds(result.get(name)):
            raise UserError(f"{path} is no result: its field '{name}' is of the wrong kind")
    for role, stages in {"student": ("student",), "teacher": ("teacher",)}.items():
        if result["stage"] in (*stages, "distillation") and result[role] is None:
            raise UserError(f"{path} is no result: its field '{role}' is empty")
    for run in result["runs"]:
        for name, holds in _RUN_HOLDS.items():
            if not holds(run.get(name)):
                raise UserError(f"{path} is no result: a run lacks {name}, or a right one")
        if not result["metrics"].keys() <= run["metrics"].keys():
            raise UserError(f"{path} is no result: a run lacks a metric")
        for name, holds in _RUN_MAY_HOLD.items():
            if name in run and not holds(run[name]):
                raise UserError(f"{path} is no result: a run has the {name} {run[name]!r}")
    source = result.get(SOURCE, {"name": "", "metrics": {"accuracy": 0}, "bytes": 0})
    for name, holds in _SOURCE_HOLDS.items():
        if not isinstance(source, dict) or not holds(source.get(name)):
            raise UserError(f"{path} is no result: its source lacks {name}, or a right one")
    if result["name"] != path.name.removesuffix(".json"):
        raise UserError(f"{path} holds the result of another name: '{result['name']}'")
    bits, checksum = predictions_path(path.parent, result["name"]), result.get("predictions")
    if checksum and bits.is_file() and files.sha256(bits) != checksum:
        raise UserError(f"{bits} is damaged: delete {path} and run its stage again")
    return result


def read_all(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> result, of every result in a folder."""
    return {path.name.removesuffix(".json"): read(path) for path in sorted(folder.glob("*.json"))}


def check_saved(result: dict[str, Any]) -> None:
    """UserError where a file that a result lists as its output is not the one it was made of."""
    for file, checksum in result["outputs"].items():
        saved = paths.data() / file
        if not saved.is_file() or files.sha256(saved) != checksum:
            raise UserError(f"{saved} is missing or not the one of the result: run its stage again")


def is_current(folder: Path, name: str, wanted: dict[str, Any], seeds: list[int]) -> bool:
    """Whether a result was made as `wanted` says (recipe, version, inputs, of which a result may
    name more) with these seeds first, and the files it lists as outputs are there unchanged."""
    if not json_path(folder, name).is_file():
        return False
    try:
        result = read(json_path(folder, name))
    except UserError as error:
        logging.warning("%s", error)
        return False
    return (
        all(result[key] == value for key, value in wanted.items() if key != "inputs")
        and wanted.get("inputs", {}).items() <= result["inputs"].items()
        and [run["seed"] for run in result["runs"]][: len(seeds)] == seeds
        and predictions_path(folder, name).is_file()
        and (folder / f"{name}.txt").is_file()
        and all(
            (paths.data() / file).is_file() and files.sha256(paths.data() / file) == checksum
            for file, checksum in result["outputs"].items()
        )
    )
