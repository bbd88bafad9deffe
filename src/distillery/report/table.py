"""Tables of scores, sizes and times: results in, Markdown out. Reads no file."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from distillery.report import cells
from distillery.report.ablation import is_ablation
from distillery.report.cells import NO_VALUE, NOT_RUN, code, score
from distillery.report.rows import Row, find, main_metric, rows
from distillery.results import Result

SHORT = ("model", "labels only", "distilled", "gain", "parameters", "size on disk")
COLUMNS = (*SHORT, "training time", "made by")
VARIANT_COLUMNS = ("result", "variant", "score", "change", *COLUMNS[4:])
COMPRESSED_COLUMNS = (
    *("result", "variant", "made of", "its score", "score", "change"),
    *("parameters", "size on disk", "times smaller", "made by"),
)
BESIDE = ("accuracy", "pearson")  # shown beside another main metric: readers know them
LEGEND = """\
- Recipes and epochs were selected on dev; test was read once for each final model.
- labels only: trained on the labels; distilled: the same student trained with the teacher's \
outputs; gain: distilled minus labels only, in points, before rounding.
- size on disk: the weights file. training time: of one seed, labels only / distilled, without \
training the teacher and recording its outputs."""


def shown_metrics(found: Sequence[Result]) -> list[str]:
    """The main metric, and what readers know beside another one."""
    metric, _ = main_metric(found)
    more = (name for name in BESIDE if all(name in result.metrics for result in found))
    return [*dict.fromkeys([metric, *more])]


def unit(metrics: Sequence[str]) -> str:
    """What a heading or an axis says of the scores' scale."""
    if any(cells.scaled(1, metric) == 1 for metric in metrics):
        return ""
    return " (%)" if "accuracy" in metrics else " (x 100)"


def markdown(found: Sequence[Result]) -> str:
    """The tables of a task's results, a heading above each, and below them what a reader must know.

    UserError if the results have no metric in common.
    """
    _, n = main_metric(found)
    metrics = shown_metrics(found)
    lines, blocks = rows(found), []
    for teacher in dict.fromkeys(row.teacher for row in lines):
        who = f"Teacher `{teacher}`" if teacher else "No teacher yet"
        blocks.append(f"### {who}: {' / '.join(metrics)}{unit(metrics)} on {n:,} test rows")
        own = [_cells(row, metrics) for row in lines if row.teacher == teacher]
        blocks.append(cells.table(COLUMNS, own))
    if compressed := _compressed(found):
        blocks += ["### Compressed", cells.table(COMPRESSED_COLUMNS, compressed)]
    others = (r for r in found if r.stage != "compression" and not is_ablation(r))
    if variants := [_variant_cells(r, found, metrics) for r in others if r.variant]:
        blocks += ["### Variants", cells.table(VARIANT_COLUMNS, variants)]
    below = [f"- {note}" for note in notes(found)]
    if len(metrics) > 1:
        below.append(f"- The picture and every difference are of {metrics[0]}.")
    return "\n\n".join([*blocks, "\n".join([*below, LEGEND])]) + "\n"


def summary(found: Sequence[Result]) -> str:
    """The table for a README: no commands, no times."""
    metrics = shown_metrics(found)
    return cells.table(SHORT, [_cells(row, metrics)[: len(SHORT)] for row in rows(found)])


def plain(found: Sequence[Result]) -> str:
    """Models and compressed models in columns for a terminal."""
    metrics = shown_metrics(found)
    blocks = [[SHORT, *(_cells(row, metrics)[: len(SHORT)] for row in rows(found))]]
    if compressed := _compressed(found):
        kept = (0, *range(4, len(COMPRESSED_COLUMNS) - 1))  # no command, no name of its source
        lines = [COMPRESSED_COLUMNS, *compressed]
        blocks.append([[line[column] for column in kept] for line in lines])
    return "\n\n".join(map(_aligned, blocks))


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell: the first one flush left, the others flush right."""
    shown = [[cell.replace("`", "") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in shown
    )


def _cells(row: Row, metrics: Sequence[str]) -> list[str]:
    first, second = row.single, row.distilled
    distilled = gain = NO_VALUE
    time = cells.duration(first)
    if row.stage == "student":
        distilled, gain = score(second, *metrics), NOT_RUN
        time = f"{time} / {cells.duration(second)}"
        if first and second:
            metric = metrics[0]
            gain = cells.gain(first.metrics[metric], second.metrics[metric], metric)
    sizes = [
        " / ".join(dict.fromkeys(map(show, row.results))) for show in (cells.parameters, cells.size)
    ]
    made_by = cells.made_by(*row.results)
    return [row.title, score(first, *metrics), distilled, gain, *sizes, time, made_by]


def _variant_cells(result: Result, found: Sequence[Result], metrics: Sequence[str]) -> list[str]:
    keys = ("stage", "student", "teacher", "baseline")
    plain, metric = find(found, **{key: getattr(result, key) for key in keys}), metrics[0]
    change = NOT_RUN
    if plain:
        change = cells.gain(plain.metrics[metric], result.metrics[metric], metric)
    sizes = [cells.parameters(result), cells.size(result), cells.duration(result)]
    scores = [score(result, *metrics), change]
    return [code(result.name), str(result.variant), *scores, *sizes, cells.made_by(result)]


def _compressed(found: Sequence[Result]) -> list[list[str]]:
    """Every compressed model beside the model it was made of."""
    metric, _ = main_metric(found)
    lines = []
    for result in found:
        if result.source and result.bytes:
            source = result.source
            before = source["metrics"][metric]
            change = cells.gain(before, result.metrics[metric], metric)
            scores = [cells.figure(before, metric), score(result, metric), change]
            smaller = f"{source['bytes'] / result.bytes:.1f}"
            sizes = [cells.parameters(result), cells.size(result), smaller, cells.made_by(result)]
            names = [code(result.name), str(result.variant), code(source["name"])]
            lines.append([*names, *scores, *sizes])
    return lines


def notes(found: Sequence[Result]) -> list[str]:
    """Plain lines on hardware, seeds, rows and commits, and on results that don't fit together."""
    trained = [r for r in found if r.stage != "compression"]
    saved = {file: checksum for r in found for file, checksum in r.outputs.items()}
    neural = [r for r in found if r.stage != "baseline" and any(run["rows"] for run in r.runs)]
    lines = [
        *_groups("Hardware", found, lambda r: _of_seeds(r, "environment", _hardware)),
        *_groups("Seeds", found, _seeds),
        *_groups("Training rows per epoch", neural, _train_rows),
        *_groups("Code", found, lambda r: _of_seeds(r, "commit", cells.commit)),
    ]
    if any(result.subset for result in found):
        lines += _groups("Official rows used", found, _subset)
    named = {
        f"With the unlabeled rows of {file}": [r for r in found if r.unlabeled_data == file]
        for file in dict.fromkeys(r.unlabeled_data for r in found)
        if file
    }
    named |= {
        "Not comparable, measured on another test split": _other_split(found, "test"),
        "Not comparable, trained with another train split": _other_split(trained, "train"),
        "Not comparable, trained with another dev split": _other_split(trained, "dev"),
        "Made from weights that have changed since": [
            r for r in found if any(saved.get(file, c) != c for file, c in r.inputs.items())
        ],
    }
    return lines + [f"{title}: {_names(results)}." for title, results in named.items() if results]


def _names(found: Sequence[Result]) -> str:
    return ", ".join(code(result.name) for result in found)


def _other_split(found: Sequence[Result], split: str) -> list[Result]:
    """The results that read another file of this split than the teacher, or else the first, did."""
    ordered = sorted(found, key=lambda r: r.stage != "teacher")
    sums = [r.inputs.get(f"{r.task}/{split}.parquet") for r in ordered]
    first = next(filter(None, sums), None)
    return [r for r, checksum in zip(ordered, sums, strict=True) if checksum not in (first, None)]


def _groups(title: str, found: Sequence[Result], describe: Callable[[Result], str]) -> list[str]:
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in found:
        groups[describe(result)].append(result)
    largest = sorted(groups, key=lambda text: (-len(groups[text]), text))
    if len(largest) == 1:
        return [f"{title}: {largest[0]}."]
    rest = [f"{title}: {text}: {_names(groups[text])}." for text in largest[1:]]
    return [f"{title}: {largest[0]}: all other results.", *rest] if largest else []


def _of_seeds(result: Result, key: str, describe: Callable[..., str]) -> str:
    """What describes a result; if its seeds differ, each description with its seeds."""
    seeds: dict[str, list[str]] = defaultdict(list)
    for run in result.runs:
        seeds[describe(run.get(key) or getattr(result, key))].append(str(run["seed"]))
    if len(seeds) == 1:
        return next(iter(seeds))
    return "; ".join(f"{text} (seed {', '.join(own)})" for text, own in seeds.items())


def _hardware(environment: dict[str, object]) -> str:
    labels = {"device": "{}", "cpu": "{}", "threads": "{} threads", "precision": "{}"}
    labels |= {key: f"{key} {{}}" for key in ("python", "torch", "transformers")}
    values = [labels[key].format(environment[key]) for key in labels if environment.get(key)]
    return ", ".join(dict.fromkeys(values))


def _seeds(result: Result) -> str:
    seeds = [str(run["seed"]) for run in result.runs]
    several = f" ({len(seeds)} runs, mean ± sample standard deviation)" if len(seeds) > 1 else ""
    return ", ".join(seeds) + several


def _train_rows(result: Result) -> str:
    return " or ".join(dict.fromkeys(f"{run['rows']:,}" for run in result.runs))


def _subset(result: Result) -> str:
    parts = (result.subset or {}).items()
    return ", ".join(f"{split} {' of '.join(f'{n:,}' for n in ns)}" for split, ns in parts) or "all"
