"""Where every file is. File names are composed here only, and never parsed.

`data` and `results` are in the clone, or in the current folder for an installed package;
`DISTILLERY_DATA` and `DISTILLERY_RESULTS` move them.
"""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from distillery.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
RESERVED = ("downloads", "encoders", "locks", "nltk", "vectors")  # folders beside tasks
SPLITS = ("train", "dev", "test", "unlabeled")  # of stage 1
AUGMENTED = "augmented"  # a split made from these, with a manifest of its own


def in_clone() -> bool:
    """Whether this code runs from a clone of the project, not from an installed package."""
    return (ROOT / "scripts" / "distillery").is_file()


def program() -> str:
    """What a user types to run the command line."""
    return "scripts/distillery" if in_clone() else "distillery"


def script_or(script: str, command: str) -> str:
    """What a user types: a script of the clone or, for an installed package, a command."""
    return script if in_clone() else f"distillery {command}"


def _home() -> Path:
    return ROOT if in_clone() else Path.cwd()


def data() -> Path:
    """Everything that is not committed: splits, models, teacher outputs, checkpoints."""
    return Path(os.environ.get("DISTILLERY_DATA") or _home() / "data").resolve()


def results(local: bool) -> Path:
    """The folder of results: the committed one, or `local/` in it for demo, smoke and own data."""
    folder = Path(os.environ.get("DISTILLERY_RESULTS") or _home() / "results").resolve()
    return folder / "local" if local else folder


def benchmarks(local: bool) -> Path:
    """The folder of benchmarks; beside the results if these are local or elsewhere."""
    elsewhere = local or os.environ.get("DISTILLERY_RESULTS")
    return results(local) / "benchmarks" if elsewhere else _home() / "benchmarks"


def inference_benchmark(local: bool, task_name: str) -> Path:
    """The facts of `bench inference`; those of imdb, which the README quotes, have no suffix."""
    suffix = "" if task_name == "imdb" else f"_{task_name}"
    return benchmarks(local) / f"inference{suffix}.json"


def checked_name(what: str, name: str) -> str:
    """Returns `name` if it can stand in a file's name, else raises UserError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        raise UserError(
            f"{what} '{name}' cannot be a file's name: use small letters, digits, '_' and '-'"
        )
    return name


def encoder(name: str) -> Path:
    return data() / "encoders" / name


def vectors(name: str) -> Path:
    """A file of word vectors."""
    return data() / "vectors" / name


def nltk() -> Path:
    """The data of nltk, in its own layout."""
    return data() / "nltk"


def hub_download(task_name: str, revision: str) -> Path:
    """A data set's files from the hub, at a revision."""
    return data() / "downloads" / task_name / f"hub-{revision}"


def own_download(task_name: str) -> Path:
    """The folder of the one archive or folder that a user gave for a task."""
    return data() / "downloads" / task_name / "own"


def task(name: str) -> Path:
    return data() / name


def manifest(task_name: str) -> Path:
    return task(task_name) / "manifest.json"


def split(task_name: str, split_name: str) -> Path:
    return task(task_name) / f"{split_name}.parquet"


def augmented_manifest(task_name: str) -> Path:
    return task(task_name) / f"{AUGMENTED}.json"


def tags(task_name: str, key: str) -> Path:
    """The parts of speech of a split's words."""
    return task(task_name) / "tags" / key


def encoded(task_name: str, key: str) -> Path:
    return task(task_name) / "encoded" / key


def outputs(task_name: str, fingerprint: str) -> Path:
    return task(task_name) / "outputs" / fingerprint


def run(task_name: str, result: str, recipe_hash: str, seed: int) -> Path:
    return task(task_name) / "runs" / result / f"{recipe_hash}-{seed}"


def model(task_name: str, result: str) -> Path:
    return task(task_name) / "models" / result


def pretrained(task_name: str, encoder_name: str) -> Path:
    """An encoder pretrained further on the task's texts."""
    return task(task_name) / "encoders" / encoder_name


def pretraining_facts(task_name: str, encoder_name: str) -> Path:
    """How that was done."""
    return pretrained(task_name, encoder_name) / "pretraining.json"


def lock(name: str) -> Path:
    return data() / "locks" / f"{name}.lock"


STEPS = ("onnx", "int8", "pruned")  # of stage 5, in the names of its results


def _variant(name: str, variant: str | None) -> str:
    if variant in (*STEPS, "partial"):
        taken = "files that are being written" if variant == "partial" else "a step of stage 5"
        raise UserError(f"variant '{variant}' would take the name of {taken}")
    return f"{name}.{checked_name('variant', variant)}" if variant else name


def teacher_result(task_name: str, teacher: str, variant: str | None = None) -> str:
    return _variant(f"{teacher}_{task_name}", variant)


def student_result(task_name: str, student: str, variant: str | None = None) -> str:
    return _variant(f"{student}_{task_name}", variant)


def distillation_result(
    task_name: str,
    student: str,
    teacher: str,
    teacher_variant: str | None = None,
    variant: str | None = None,
) -> str:
    """The teacher's variant comes after the teacher, the student's at the end."""
    return _variant(f"distil_{student}_{_variant(teacher, teacher_variant)}_{task_name}", variant)


def compressed(source: str, step: str, variant: str | None = None) -> str:
    """What stage 5 makes of the result `source`. step: one of `STEPS`."""
    for part in source.split("."):
        checked_name("model", part)
    return _variant(f"{source}.{step}", variant)


_FOLDERS = {
    **{"distil": "distillation", "baseline": "student", "pretrain": "teacher"},
    **dict.fromkeys(("compress", "prune", "quantize", "export"), "compression"),
}


def script(name: str, names: Mapping[str, str]) -> str:
    """The script of an experiment, relative to the project.

    names: role (student, baseline, teacher, task, or model and task) -> name.
    """
    folder = _FOLDERS.get(name, name)
    roles = ("student", "baseline", "teacher", "task")
    stem = names.get("model") or "_".join(names[role] for role in roles if role in names)
    if folder == "compression" or name == "pretrain":
        stem = f"{name}_{stem}"
    return f"scripts/{folder}/{stem}.sh"


def command(name: str, names: Mapping[str, str]) -> str:
    """What a user types for an experiment: its script, or else the command line.

    names: as in `script`.
    """
    if (ROOT / script(name, names)).is_file():
        return script(name, names)
    options = [word for role, value in names.items() for word in (f"--{role}", value)]
    return shlex.join([program(), name, *options])
