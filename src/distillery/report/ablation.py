"""The table of what gained what: the variants `ablation_*` of a model beside `ablation_base`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from distillery.report import cells
from distillery.report.cells import NO_VALUE, NOT_RUN, Result
from distillery.report.evidence import Evidence

PREFIX = "ablation_"
BASE = f"{PREFIX}base"
COLUMNS = ("variant", "changed", "score", "change", "95 % interval", "training time", "made by")
LEGEND = """\
- All variants are trained on a short schedule, so their scores are below those of the tables above.
- changed: what differs from the recipe of `ablation_base`, whose value is in brackets; change: of \
the score, in percentage points, with its interval by the paired bootstrap as above."""


def is_ablation(result: Result) -> bool:
    """Whether a result is one of an ablation's."""
    return (result.get("variant") or "").startswith(PREFIX)


def markdown(found: Sequence[Result], metric: str, evidence: Evidence) -> str:
    """A table per ablated model, the base first, then from the best to the worst, and the legend;
    empty where there is none. found: the task's results."""
    models: dict[tuple[str, str], list[Result]] = {}
    for result in filter(is_ablation, found):
        models.setdefault((result["student"] or "", result["teacher"] or ""), []).append(result)
    blocks = []
    for (student, teacher), results in models.items():
        taught = f" distilled from `{teacher}`" if teacher else ""
        blocks.append(f"### What gained what: `{student or teacher}`{taught if student else ''}")
        base = next((result for result in results if result["variant"] == BASE), None)
        results.sort(key=lambda result: (result is not base, -result["metrics"][metric]))
        lines = [_cells(result, base, metric, evidence) for result in results]
        blocks.append(cells.table(COLUMNS, lines))
    return "\n\n".join([*blocks, LEGEND]) + "\n" if blocks else ""


def _cells(result: Result, base: Result | None, metric: str, evidence: Evidence) -> list[str]:
    if result is base:
        change = bounds = changed = NO_VALUE
    elif base is None:
        change = bounds = changed = NOT_RUN
    else:
        changed = "; ".join(
            [*differences(base["recipe"], result["recipe"]), *_others(base, result)]
        )
        change = cells.points(base, result, metric)
        bounds = cells.interval(evidence.interval(base, result, metric))
    scores = [cells.score(result, metric), change, bounds, cells.duration(result)]
    return [cells.code(result["variant"]), changed or NO_VALUE, *scores, cells.made_by(result)]


def differences(base: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What differs in two recipes, such as `embeddings random (teacher)`."""
    before, after = dict(_flat(base)), dict(_flat(other))
    return [
        f"{name} {after.get(name, 'none')} ({before.get(name, 'none')})"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _others(base: Result, result: Result) -> list[str]:
    """The inputs that both have, but not the same: such results are no ablation."""
    before, after = base["inputs"], result["inputs"]
    return [f"other {name}" for name in before if after.get(name, before[name]) != before[name]]


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """The values of a recipe by name; those of later phases have the phase in front."""
    for name, value in recipe.items():
        if name == "phases":
            for number, phase in enumerate(value, start=1):
                yield from _flat(phase, "" if number == 1 else f"phase {number} ")
        else:
            yield prefix + name.replace("_", " "), _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, list):
        return str(value)
    return ",".join(_loss(*item) if isinstance(item, list) else _shown(item) for item in value)


def _loss(name: str, weight: float, options: Mapping[str, float]) -> str:
    """A loss as its option is written, the weight 1 left out."""
    weights = [f"{weight:g}"] if weight != 1 or options else []
    return ":".join([name, *weights, *(f"{key}={value:g}" for key, value in options.items())])
