"""A task's text cleaning as the first steps of the tokenizer, so that it travels with the model:
`predict`, `pipeline` and ONNX Runtime then all take raw texts."""

import json
from collections.abc import Callable
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers

from distillery.data import keys

_STEPS = {"none": (), "spaces": (keys.SPACE,), "markup": (keys.TAG, keys.SPACE)}
_FUNCTIONS = {keys.TAG: keys.cut_tags, keys.SPACE: keys.single_spaces}


def put_in(backend: Tokenizer, clean: str) -> bool:
    """Makes a tokenizer clean texts as the data recipe's `clean` says. True if that changed it."""
    if not _STEPS[clean] or leading(json.loads(backend.to_str())["normalizer"])[0]:
        return False
    own = backend.normalizer
    backend.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(Regex(pattern), " ") for pattern in _STEPS[clean]),
            normalizers.Strip(),
            *([own] if own else []),
        ]
    )
    return True


def leading(state: dict[str, Any] | None) -> tuple[list[Callable[[str], str]], dict[str, Any]]:
    """The cleaning steps that a normalizer (as JSON) begins with, as functions, and the rest of the
    normalizer."""
    if not state or state["type"] != "Sequence":
        return [], state or {}
    steps: list[Callable[[str], str]] = []
    parts = state["normalizers"]
    while (
        parts and parts[0]["type"] == "Replace" and parts[0]["pattern"].get("Regex") in _FUNCTIONS
    ):
        steps.append(_FUNCTIONS[parts[0]["pattern"]["Regex"]])
        parts = parts[1:]
    if steps and parts and parts[0]["type"] == "Strip":
        steps.append(str.strip)
        parts = parts[1:]
    rest = parts[0] if len(parts) == 1 else {"type": "Sequence", "normalizers": parts}
    return steps, rest
