"""Whether results are what today's recipes and today's teacher would make: what a reader must know
where they are not. Reads no file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from distillery import recipes
from distillery.report.cells import Result


def notes(found: Sequence[Result]) -> list[str]:
    """Plain lines that name the results of an earlier recipe or of other weights of a teacher."""
    told = {
        "Of an earlier recipe than today's": [r for r in found if _is_earlier(r)],
        "Distilled from other weights than those of the teacher in this table": [
            r for r in found if _has_other_teacher(r, found)
        ],
    }
    named = {title: [f"`{r['name']}`" for r in results] for title, results in told.items()}
    return [f"{title}: {', '.join(names)}." for title, names in named.items() if names]


def _is_earlier(result: Result) -> bool:
    """Whether a value of its recipe is another one today. Fields that came since, or went, do not
    count; a variant has values of its own."""
    if result.get("variant"):
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
    return recipes.baseline(task, str(baseline)) if stage == "baseline" else None


def _differ(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return any(_differ(one[key], other[key]) for key in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(map(_differ, one, other))
    return bool(one != other)


def _has_other_teacher(result: Result, found: Sequence[Result]) -> bool:
    """Whether a distilled student read a file of its teacher that has another content since."""
    if result["stage"] != "distillation":
        return False
    inputs = result.get("inputs") or {}
    return any(
        inputs.get(file, checksum) != checksum
        for other in found
        if other["stage"] == "teacher" and other.get("teacher") == result.get("teacher")
        for file, checksum in (other.get("outputs") or {}).items()
    )
