"""What distillery writes beside a model: its task, its outputs, and how it reads texts."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery import files, kinds, paths
from distillery.errors import UserError

FACTS = "distillery.json"
ONNX = "model.onnx"  # an exported model
AGAIN = "run its stage again with --force"


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FACTS: dict[str, Callable[[Any], bool]] = {
    "kind": lambda v: isinstance(v, str) and v in kinds.KINDS,
    "labels": lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v),
    "max_length": lambda v: isinstance(v, int) and 8 <= v <= 65_536,
    "head": lambda v: is_number(v) and 0 <= v <= 1,
    "precision": lambda v: v in ("fp32", "bf16", "int8"),
    "pairs": lambda v: isinstance(v, bool),
}


def read_facts(folder: Path) -> dict[str, Any]:
    """What a stage wrote beside a model. UserError if that is missing or damaged.

    Inside the data folder a model must be what its stage made, since results and later stages
    build on it: UserError if one of its files is missing or changed. Anywhere else it belongs to
    the user, who may have fine-tuned a copy: changed files are named in a warning and used.

    A student's own configuration says how it reads texts, so that `distillery.json` may be missing
    beside it, as when `Trainer` saved it. Models without a kind are classifiers, except students
    with a single output; so are students that were given another number of outputs since.
    """
    own = _of_student(folder)
    stored: dict[str, Any] = {}
    if (folder / FACTS).is_file():
        check_saved(folder)
        stored = files.read_json(folder / FACTS, remedy=AGAIN)
    elif own:
        stored["precision"] = "fp32"
    else:
        raise UserError(
            f"{folder} holds no model that distillery saved (no {FACTS}; a fine-tuned copy needs"
            " that of its original)"
        )
    facts = {"kind": kinds.CLASSIFICATION.name} | stored | own
    labels = stored.get("labels")
    if isinstance(labels, list) and len(labels) == len(facts["labels"]):
        facts["kind"] = stored.get("kind", facts["kind"])
    for name, is_valid in _FACTS.items():
        if name not in facts or not is_valid(facts[name]):
            raise UserError(f"{folder / FACTS} is damaged (no right '{name}'): {AGAIN}")
    return facts


def check_saved(folder: Path) -> None:
    """Refuses changed files of a model inside the data folder, warns of them elsewhere."""
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
        own = {"labels": names, **{key: config[key] for key in ("max_length", "head", "pairs")}}
        numbers = len(names) == 1 or config.get("problem_type") == "regression"
        kind = kinds.REGRESSION if numbers else kinds.CLASSIFICATION
        return {**own, "kind": kind.name}
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {}
