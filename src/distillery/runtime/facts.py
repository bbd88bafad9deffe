"""What distillery writes beside a model: its task and labels, and how it reads texts."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery import files, paths
from distillery.errors import UserError

FACTS = "distillery.json"
ONNX = "model.onnx"  # the weights of an exported model, and how it computes
AGAIN = "run its stage again with --force"


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FACTS: dict[str, Callable[[Any], bool]] = {
    "labels": lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v),
    "max_length": lambda v: isinstance(v, int) and 8 <= v <= 65_536,
    "head": lambda v: is_number(v) and 0 <= v <= 1,
    "precision": lambda v: v in ("fp32", "bf16", "int8"),
    "pairs": lambda v: isinstance(v, bool),
}


def read_facts(folder: Path) -> dict[str, Any]:
    """What a stage wrote beside a model: task, labels, how it reads texts, precision, floor.

    Inside the data folder a model is what its stage made: results and later stages build on it,
    so UserError where one of its files is missing or changed. Anywhere else it is the user's, who
    may have fine-tuned a copy and saved it again: files that changed since are named in a warning
    and used, if they are whole. A change in the text of such a file cannot be told from a new
    version of it. To have the files checked again, copy the folder again.

    A student's own configuration says how it reads texts. With that alone, as `Trainer` saves it,
    `distillery.json` may be missing.
    """
    own = _of_student(folder)
    if (folder / FACTS).is_file():
        check_saved(folder)
        facts = {**files.read_json(folder / FACTS, remedy=AGAIN), **own}
    elif own:
        facts = {"precision": "fp32", **own}
    else:
        raise UserError(
            f"{folder} holds no model that distillery saved (no {FACTS}; a fine-tuned copy needs"
            " that of its original)"
        )
    for name, holds in _FACTS.items():
        if name not in facts or not holds(facts[name]):
            raise UserError(f"{folder / FACTS} is damaged (no right '{name}'): {AGAIN}")
    return facts


def check_saved(folder: Path) -> None:
    """Refuses a model's changed files inside the data folder, warns of them elsewhere."""
    if paths.data() in folder.resolve().parents:
        files.check_folder(folder, f"{AGAIN}, or copy the folder elsewhere to use it as it is")
    elif (folder / files.SUMS).is_file():
        remedy = f"delete {files.SUMS} to use the folder as it is"
        sums = files.read_json(folder / files.SUMS, remedy=remedy)
        if "config.json" not in sums:  # no manifest of ours
            return
        if changed := ", ".join(files.changed(folder, sums)):
            logging.warning(
                "%s: used as it is, though changed since distillery saved it: %s", folder, changed
            )


def _of_student(folder: Path) -> dict[str, Any]:
    """What the configuration of one of our own students says; empty for other models."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not config["model_type"].startswith("distillery_"):
            return {}
        labels = {int(number): name for number, name in config["id2label"].items()}
        names = [str(labels[number]) for number in range(len(labels))]
        return {"labels": names, **{key: config[key] for key in ("max_length", "head", "pairs")}}
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {}
