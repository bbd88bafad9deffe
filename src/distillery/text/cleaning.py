"""A task's cleaning of texts as the first steps of a tokenizer, so that it travels with the model.

Whoever asks the model then gives it the text as it is: `predict`, a pipeline, ONNX Runtime.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers

from distillery.preprocessing.keys import TAG

_STEPS = {"none": (), "spaces": ((r"\s+", " "),), "markup": ((TAG, " "), (r"\s+", " "))}


def put_in(backend: Tokenizer, clean: str) -> bool:
    """Makes a tokenizer clean texts as the data recipe's `clean` says; whether that changed it.

    BERT's tokenizers cut at any white space: for them only markup makes a difference.
    """
    state = json.loads(backend.to_str())
    by_word = (state["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
    steps = [step for step in _STEPS[clean] if step[0] == TAG or not by_word]
    own = backend.normalizer
    if not steps or leading(state["normalizer"])[0]:
        return False
    parts = [normalizers.Replace(Regex(pattern), by) for pattern, by in steps]
    backend.normalizer = normalizers.Sequence([*parts, *([own] if own else [])])
    return True


def leading(state: dict[str, Any] | None) -> tuple[list[Callable[[str], str]], dict[str, Any]]:
    """The cleaning steps at the beginning of a normalizer (as its JSON has it), as functions, and
    the normalizer that follows them."""
    if not state or state["type"] != "Sequence":
        return [], state or {}
    steps: list[Callable[[str], str]] = []
    parts = state["normalizers"]
    known = {pattern for some in _STEPS.values() for pattern, _ in some}
    while parts and parts[0]["type"] == "Replace" and parts[0]["pattern"].get("Regex") in known:
        pattern, by = re.compile(parts[0]["pattern"]["Regex"]), parts[0]["content"]
        steps.append(lambda text, pattern=pattern, by=by: pattern.sub(by, text))  # type: ignore[misc]
        parts = parts[1:]
    rest = parts[0] if len(parts) == 1 else {"type": "Sequence", "normalizers": parts}
    return steps, rest
