"""What distillery writes beside a model: its task and labels, and how it reads texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery import files
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

    UserError where they or another file of the folder are missing or damaged.
    """
    if not (folder / FACTS).is_file():
        raise UserError(f"{folder} holds no model that distillery saved (no {FACTS})")
    files.check_folder(folder, AGAIN)
    facts = files.read_json(folder / FACTS, remedy=AGAIN)
    for name, holds in _FACTS.items():
        if name not in facts or not holds(facts[name]):
            raise UserError(f"{folder / FACTS} is damaged (no right '{name}'): {AGAIN}")
    return facts
