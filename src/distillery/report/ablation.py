"""The ablation: the variants `ablation_*` of a model beside `ablation_base`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from distillery.evaluation import LOWER_IS_BETTER
from distillery.report import cells
from distillery.report.cells import NO_VALUE, NOT_RUN, code
from distillery.report.rows import main_metric
from distillery.report.statistics import Evidence, difference
from distillery.results import Result

PREFIX = "ablation_"
BASE = f"{PREFIX}base"
COLUMNS = ("variant", "changed", "score", "change", "95 % interval", "training time", "made by")
LEGEND = """\
- All variants are trained on a short schedule, so their scores are below those of the tables above.
- changed: what differs from the recipe of `ablation_base`, whose value is in brackets; change: of \
the score, with its interval by the paired bootstrap as above."""


def is_ablation(result: Result) -> bool:
    return (result.variant or "").startswith(PREFIX)


def markdown(found: Sequence[Result], evidence: Evidence) -> str:
    """A table per ablated model, the base first, then from the best to the worst, and the legend;
    empty where there is none. found: the task's results."""
    metric, _ = main_metric(found)
    sign = 1 if metric in LOWER_IS_BETTER else -1
    models: dict[tuple[str | None, str | None], list[Result]] = {}
    for result in filter(is_ablation, found):
        models.setdefault((result.student, result.teacher), []).append(result)
    blocks = []
    for (student, teacher), variants in models.items():
        suffix = f" distilled from `{teacher}`" if student and teacher else ""
        base = next((result for result in variants if result.variant == BASE), None)
        variants.sort(key=lambda result: (result is not base, sign * result.metrics[metric]))
        lines = [_cells(result, base, metric, evidence) for result in variants]
        blocks += [f"### Ablation: `{student or teacher}`{suffix}", cells.table(COLUMNS, lines)]
    return "\n\n".join([*blocks, LEGEND]) + "\n" if blocks else ""


def _cells(result: Result, base: Result | None, metric: str, evidence: Evidence) -> list[str]:
    changed = change = interval = NO_VALUE if result is base else NOT_RUN
    if base and result is not base:
        changed = "; ".join(differences(base, result)) or NO_VALUE
        change, interval, _ = difference(base, result, metric, evidence)
    scores = [cells.score(result, metric), change, interval, cells.duration(result)]
    return [code(str(result.variant)), changed, *scores, cells.made_by(result)]


def differences(base: Result, other: Result) -> list[str]:
    """What differs in two recipes, such as `embeddings random (teacher)`, and the inputs that both
    have in different versions: such results are no ablation."""
    before, after = dict(_flat(base.recipe)), dict(_flat(other.recipe))
    changed = [
        f"{name} {after.get(name, 'none')} ({before.get(name, 'none')})"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    inputs = base.inputs.keys() & other.inputs.keys()
    return changed + [f"other {n}" for n in sorted(inputs) if base.inputs[n] != other.inputs[n]]


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


def _loss(name: str, weight: float, options: Mapping[str, Any]) -> str:
    """A loss as the command line's option is written, without the weight 1."""
    weights = [f"{weight:g}"] if weight != 1 or options else []
    return ":".join([name, *weights, *(f"{key}={_shown(value)}" for key, value in options.items())])
