"""Whether results are what today's recipes and today's teacher would make: what a reader must know
where they are not. Reads no file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from distillery import recipes
from distillery.report.cells import Result

PRUNED = ("compression", "pruned")  # stage and variant


def notes(found: Sequence[Result]) -> list[str]:
    """Plain lines that name the results of an earlier recipe, or of other weights than those that
    the model they come from has here."""
    told = {
        "Of an earlier recipe than today's": [r for r in found if _is_earlier(r)],
        "Distilled from other weights than those of the teacher in this table": [
            r for r in found if r["stage"] == "distillation" and _has_other_source(r, found)
        ],
        "Made of other weights than those of the model in this table": [
            r for r in found if r["stage"] == "compression" and _has_other_source(r, found)
        ],
    }
    named = {title: [f"`{r['name']}`" for r in results] for title, results in told.items()}
    return [f"{title}: {', '.join(names)}." for title, names in named.items() if names]


def _is_earlier(result: Result) -> bool:
    """Whether a value of its recipe is another one today. Fields that came since, or went, do not
    count; a variant has values of its own, but for a student that is pruned as planned."""
    if result.get("variant") and (result["stage"], result["variant"]) != PRUNED:
        return False
    today = _today(result)
    return today is not None and _differ(result["recipe"], json.loads(json.dumps(today.as_dict())))


def _today(result: Result) -> recipes.Recipe | None:
    task, stage, student = result["task"], result["stage"], result.get("student")
    teacher, baseline = result.get("teacher"), result.get("baseline")
    if stage == "teacher":
        return recipes.teacher(task, str(teacher))
    if stage == "student":
        return recipes.student(task, str(student))
    if stage == "distillation":
        return recipes.distillation(task, str(student), str(teacher))
    if stage == "compression":
        return recipes.pruning(task, student, str(teacher))
    return recipes.baseline(task, str(baseline)) if stage == "baseline" else None


def _differ(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return any(_differ(one[key], other[key]) for key in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(map(_differ, one, other))
    return bool(one != other)


def _has_other_source(result: Result, found: Sequence[Result]) -> bool:
    """Whether a distilled student, or a compressed model, read a file of the teacher, or of the
    model, that it was made of, and that file has another content since."""
    inputs = result.get("inputs") or {}
    return any(
        inputs.get(file, checksum) != checksum
        for other in found
        if _is_source(other, result)
        for file, checksum in (other.get("outputs") or {}).items()
    )


def _is_source(other: Result, result: Result) -> bool:
    if result["stage"] == "compression":
        return bool(other["name"] == result["source"]["name"])
    return bool(other["stage"] == "teacher" and other.get("teacher") == result.get("teacher"))
