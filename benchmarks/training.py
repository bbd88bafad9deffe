"""Training, beside the usual ways to write it: reviews per second, memory, and what was learned.

Every contender trains on the same rows, with the same batch, learning rate and objective. The
usual ways are `transformers.Trainer`: at its defaults, with `bf16=True`, and as an expert would
set it (`bf16=True`, no dropout, batches of like length); for distillation a subclass with the
teacher in `compute_loss`. Contenders of a group work in turns. Writes
`training.json` and `training.md` beside itself, on a GPU `training_gpu.json` and `.md`: there the
teacher is of bert-base's shape, with random weights.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import folder
from benchmarks.training_report import report
from benchmarks.turns import Contender, run
from distillery import encoders, files, paths, recipes, results
from distillery.data import store
from distillery.errors import UserError, choose
from distillery.kernels import hardware
from distillery.students import OWN

STUDENTS = tuple(name for name in OWN if name != "bag")  # of the table that is timed
PEAK_SIZE = 4096  # of the square matmul that stands for the machine's peak
PEAK_TIMES = {"cpu": 1, "cuda": 50}  # matmuls in a step, so that a GPU is awake
TEACHERS = ("teacher", "bert-base")  # kinds: pretrained, and a shape with random weights
USUAL = ("default", "bf16", "expert")  # ways: transformers.Trainer, its teacher live
FIELDS = ("task", "encoder", "rows", "dev_rows", "length")


@dataclass(frozen=True)
class Group:
    """Contenders that take turns on the same work.

    kind: what learns. ways: (way, seed). batch_size in rows; steps of each turn.
    """

    title: str
    kind: str
    ways: tuple[tuple[str, int], ...]
    batch_size: int
    learning_rate: float
    steps: int
    rounds: int
    distils: bool = True
    warm: int = 2
    dev_rows: int = 512

    @property
    def name(self) -> str:
        """What the ratios call it."""
        if self.kind in TEACHERS:
            return self.kind if self.batch_size == 32 else f"{self.kind}_{self.batch_size}"
        return self.kind if self.distils else f"{self.kind} on labels"

    @property
    def turns(self) -> list[int]:
        """The steps of each turn, those to warm up and to end with among them."""
        return [self.warm, *[self.steps] * self.rounds, 1]

    @property
    def all_steps(self) -> int:
        return sum(self.turns)


def groups(rounds: int, scale: float) -> list[Group]:
    """What is run, the teacher first; `scale` shortens every turn."""

    def steps(count: int) -> int:
        return max(1, round(count * scale))

    return (on_gpu if hardware.device().type == "cuda" else on_cpu)(rounds, steps)


def on_gpu(rounds: int, steps: Callable[[int], int]) -> list[Group]:
    """Batches of a shape that comes for the first or second time are slow: 130 steps warm up, and
    the medians leave out what is left of them."""
    usual = tuple((way, 0) for way in USUAL)
    ours = (("ours", 0), ("compiled", 0))
    title = "fine-tuning bert-base's shape"
    return [
        Group(
            title,
            "bert-base",
            (*usual, *ours, ("ours", 1)),
            *(32, 5e-5, steps(20), rounds),
            distils=False,
            warm=steps(130),
        ),
        Group(
            f"{title}, 128 reviews a step",
            "bert-base",
            (("expert", 0), *ours),
            *(128, 5e-5, steps(8), rounds),
            distils=False,
            warm=steps(130),
        ),
        Group(
            "distilling a 2-layer, 128-wide BERT",
            "bert2",
            (("default", 0), ("expert", 0), ("ours", 0), ("recording", 0)),
            *(64, 5e-4, steps(20), rounds),
            warm=steps(130),
        ),
    ]


def on_cpu(rounds: int, steps: Callable[[int], int]) -> list[Group]:
    usual = tuple((way, 0) for way in USUAL)
    seeds = (("expert", 1), ("ours", 0), ("ours", 1))
    layers = (("ours", 0), ("padded", 0), ("padded bf16", 0), ("packed", 0))
    found = [
        Group(
            "fine-tuning the teacher",
            "teacher",
            (*usual, *seeds),
            *(32, 5e-5, steps(6), rounds),
            distils=False,
        ),
        Group(
            "distilling a 2-layer, 128-wide BERT",
            "bert2",
            (*usual, *seeds, ("recording", 0)),
            *(32, 5e-4, steps(16), rounds),
        ),
    ]
    for student in ("bilstm", "bigru"):
        ways = (("default", 0), ("expert", 0), ("expert", 1), ("ours", 1), *layers)
        title = f"distilling {student}"
        found.append(Group(title, student, ways, 64, 1e-3, steps(6), rounds))
    for student in STUDENTS:
        title = f"training {student} on labels"
        ways = (("default", 0), ("ours", 0))
        found.append(Group(title, student, ways, 64, 1e-3, steps(4), rounds, False, 1, 64))
    return found


def matmul_flops(kind: str, encoder: Path, length: float, square: float) -> float | None:
    """FLOPs of the matmuls of one row's training step (forward, and twice that backward), of what
    learns; None for a student that they are not worked out for.

    length: mean of the real tokens of a row; square: mean of its square. Every layer is counted
    over every token, as the usual way computes it.
    """
    from benchmarks.contenders import SHAPES

    if kind == "teacher":
        config = files.read_json(encoder / "config.json")
        layers, width = config["num_hidden_layers"], config["hidden_size"]
        inner = config["intermediate_size"]
    elif kind in SHAPES:
        layers, width, _, inner = SHAPES[kind]
    elif kind not in ("bilstm", "bigru"):
        return None
    else:
        default = recipes.student("imdb", kind)
        gates = 4 if "lstm" in kind else 3
        half = default.hidden_size // 2
        cells = gates * half * (default.embedding_size + half)
        return 3 * 2 * 2 * cells * length  # two directions
    dense = layers * (4 * width**2 + 2 * width * inner)
    return 3 * 2 * (dense * length + 2 * layers * width * square)


def flops_of(way: str, learning: float | None, answering: float) -> float | None:
    """FLOPs of one row in a way, where those of what learns are `learning` and those of the
    teacher's answer `answering`: it runs in every step of the usual ways, and alone in recording.
    """
    if way == "recording":
        return answering
    live = answering if way in USUAL else 0.0
    return None if learning is None else learning + live


def command(group: Group, way: str, seed: int, given: dict[str, Any]) -> list[str]:
    way, _, precision = way.partition(" ")
    facts = {
        "name": f"{group.kind} {way}",
        "kind": group.kind,
        "way": way,
        "seed": seed,
        "precision": precision or ("fp32" if way in ("padded", "packed") else None),
        "batch_size": group.batch_size,
        "learning_rate": group.learning_rate,
        "steps": group.all_steps,
        "turns": group.turns,
        **given,
    }
    return [sys.executable, "-m", "benchmarks.contenders", json.dumps(facts)]


def peaks(steps: int) -> list[Contender]:
    """Square matmuls in each precision: they take turns with the first group."""
    found = []
    for precision in ("fp32", "bf16"):
        facts = {
            **{"kind": "peak", "way": precision, "size": PEAK_SIZE, "steps": steps},
            "times": PEAK_TIMES[hardware.device().type],
        }
        command = [sys.executable, "-m", "benchmarks.contenders", json.dumps(facts)]
        found.append(Contender(precision, command))
    return found


def measure(
    options: argparse.Namespace, place: Path, done: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Runs every group; gives the facts of each contender by group and name, after each group to
    `done` too."""
    import numpy as np

    from benchmarks.contenders import Rows

    peak: dict[str, float] = {}
    found: dict[str, Any] = {"matmul_peak": peak, "groups": {}}
    learned = place / "teacher"
    every = groups(options.rounds, options.scale)
    teacher = every[0].kind
    for group in every:
        if options.only and group.kind not in options.only.split(","):
            continue
        print(f"{group.title}:", file=sys.stderr)
        count = group.all_steps * group.batch_size
        given = {
            "task": options.task,
            "encoder": options.encoder,
            "rows": count,
            "dev_rows": min(group.dev_rows, store.read_manifest(options.task)["rows"]["dev"]),
            "length": options.length,
            "teacher": None,
            "recorded": None,
            "save": None,
        }
        if group.distils:
            given["teacher"] = str(learned)
            given["recorded"] = _recorded(learned, given, place)
        contenders = []
        for way, seed in group.ways:
            first = group is every[0] and (way, seed) == ("ours", 0)
            facts = {**given, "save": str(learned) if first else None}
            name = f"{way}, seed {seed}" if seed else way
            contenders.append(Contender(name, command(group, way, seed, facts)))
        matmuls = [] if peak else peaks(group.all_steps)
        run([*contenders, *matmuls], group.warm, group.rounds, group.steps)
        flops = 2 * PEAK_SIZE**3 * PEAK_TIMES[hardware.device().type]
        peak |= {c.name: flops / statistics.median(c.seconds) for c in matmuls}
        rows = Rows(*(given[name] for name in FIELDS))
        lengths = rows.train.lengths
        length, square = float(lengths.mean()), float((lengths.astype(np.float64) ** 2).mean())
        per_row = matmul_flops(group.kind, rows.folder, length, square)
        # A training step is three passes over the matmuls, an answer one.
        answering = (matmul_flops(teacher, rows.folder, length, square) or 0.0) / 3
        answering = answering if group.distils else 0.0
        found["groups"][group.title] = {
            "name": group.name,
            "distils": group.distils,
            "batch_size": group.batch_size,
            "learning_rate": group.learning_rate,
            "rows": count,
            "tokens_per_row": length,
            "flops_per_row": per_row,
            "teacher_flops_per_row": answering,
            "contenders": {
                c.name: _facts(c, group, length, flops_of(way, per_row, answering), peak)
                for c, (way, _) in zip(contenders, group.ways, strict=True)
            },
        }
        done(found)
    return found


def _recorded(learned: Path, given: dict[str, Any], place: Path) -> str:
    """The teacher's logits of a group's rows, in a file."""
    import numpy as np

    from benchmarks.contenders import Rows, live_teacher
    from distillery.training import inference

    path = place / f"recorded{given['rows']}.npy"
    if not path.is_file():
        rows = Rows(*(given[name] for name in FIELDS))
        np.save(path, inference.logits(live_teacher(str(learned)), rows.train, "bf16", "recording"))
    return str(path)


def _facts(
    contender: Contender,
    group: Group,
    length: float,
    flops: float | None,
    peak: dict[str, float],
) -> dict[str, Any]:
    seconds = statistics.median(contender.seconds)
    rate = group.batch_size / seconds
    precision = contender.facts["precision"]
    facts: dict[str, Any] = {
        "seconds_per_step": seconds,
        "seconds_to_warm_up": contender.warm,
        "turns": contender.seconds,
        "rows_per_second": rate,
        "real_tokens_per_second": rate * length,
        **contender.facts,
    }
    if flops:
        facts["flops_per_second"] = rate * flops
        facts["share_of_peak"] = rate * flops / peak[precision]
    return facts


def ratios(found: dict[str, Any], task: str) -> dict[str, float]:
    """The figures that the text quotes; a group that was not run has none."""
    by_kind = {group["name"]: group["contenders"] for group in found["groups"].values()}

    def row(kind: str, way: str) -> float:
        """Seconds a row."""
        return 1 / float(by_kind[kind][way]["rows_per_second"])

    ratio: dict[str, float] = {}
    for name, ways in by_kind.items():
        if name.startswith(TEACHERS):
            for way in (way for way in USUAL if way in ways):
                ratio[f"{name}_vs_trainer_{way}"] = row(name, way) / row(name, "ours")
            ratio[f"{name}_mfu"] = ways["ours"]["share_of_peak"]
            if "compiled" in ways:
                ratio[f"{name}_compiled_mfu"] = ways["compiled"]["share_of_peak"]
    if "bert2" in by_kind:
        student, once = row("bert2", "ours"), row("bert2", "recording")
        ratio["distil_bert_per_epoch"] = row("bert2", "default") / student
        for way in (way for way in ("bf16", "expert") if way in by_kind["bert2"]):
            ratio[f"distil_bert_per_epoch_vs_{way}"] = row("bert2", way) / student
        ratio["distil_bert_5_epochs_with_recording"] = (
            5 * row("bert2", "default") / (5 * student + once)
        )
    for kind, name in (("bigru", "bigru_vs_nn_gru"), ("bilstm", "bilstm_vs_nn_lstm")):
        if "packed" in by_kind.get(kind, ()):
            layer = min(row(kind, way) for way in ("padded", "padded bf16", "packed"))
            ratio[name] = layer / row(kind, "ours")
            ratio[f"{name}_fp32"] = row(kind, "padded") / row(kind, "ours")
    wanted = ["teacher", "bert2", "bilstm", *(f"{student} on labels" for student in STUDENTS)]
    if all(kind in by_kind for kind in wanted):
        found["table_seconds"] = table = {
            way: _table(row, way, task) for way in ("default", "ours")
        }
        ratio["table_vs_usual_way"] = table["default"] / table["ours"]
    return ratio


def _table(row: Callable[[str, str], float], way: str, task: str) -> float:
    """Seconds of a whole results table, from seconds a row: the teacher; the teacher's pass over
    the transfer set, once for all or in every step; every student on labels, and distilled."""
    rows = _rows(task)
    live = row("bilstm", way) - row("bilstm on labels", way) if way == "default" else 0.0
    seconds = recipes.teacher(task, "minilm").epochs * rows["train"] * row("teacher", way)
    if way == "ours":
        seconds += sum(rows.values()) * row("bert2", "recording")
    for student in STUDENTS:
        step = row(f"{student} on labels", way)
        for phase in recipes.student(task, student).phases:
            seconds += phase.epochs * rows["train"] * step
        for phase in recipes.distillation(task, student, "minilm").phases:
            count = sum(rows[split] for split in phase.splits)
            seconds += phase.epochs * count * (step + live)
    return seconds


def _rows(task: str) -> dict[str, int]:
    """Rows of the splits that the teacher says something of, but test."""
    rows = {s: n for s, n in store.read_manifest(task)["rows"].items() if s != "test"}
    if recipes.needs_augmentation(task):
        rows[paths.AUGMENTED] = store.read_augmented_manifest(task)["rows"]
    return rows


def _check(options: argparse.Namespace) -> None:
    """Refuses before anything is measured what would break off on the way."""
    if options.rounds < 1 or not 0 < options.scale <= 10 or not 8 <= options.length <= 512:
        raise UserError("--rounds is 1 or more, --scale up to 10, --length 8 to 512")
    all_groups = groups(options.rounds, options.scale)
    for kind in (options.only or all_groups[0].kind).split(","):
        choose("kind", kind, dict.fromkeys(group.kind for group in all_groups))
    chosen = [g for g in all_groups if not options.only or g.kind in options.only.split(",")]
    if any(group.distils for group in chosen) and chosen[0] is not all_groups[0]:
        first = all_groups[0].kind
        raise UserError(f"--only needs {first} too: the others are distilled from what it learned")
    counts = store.read_manifest(options.task)["rows"]
    needed = max(group.all_steps * group.batch_size for group in chosen)
    if counts["train"] < needed:
        raise UserError(f"train of {options.task} has {counts['train']} rows, {needed} are needed")
    _rows(options.task)
    encoders.locate(options.encoder)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make bench", description="Training, beside the usual ways to write it."
    )
    parser.add_argument("--task", default="imdb", help="whose rows (stage 1 must have run)")
    parser.add_argument("--encoder", default="minilm", help="the teacher's shape and weights")
    parser.add_argument("--length", type=int, default=256, help="word pieces a text is cut at")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each contender")
    parser.add_argument("--scale", type=float, default=1.0, help="shortens every turn")
    parser.add_argument("--only", help="kinds to run, such as teacher,bert2 (bert2 needs teacher)")
    parser.add_argument("--out", type=Path, help="folder for the two files [benchmarks]")
    options = parser.parse_args()
    try:
        out = folder(parser, options)
        _check(options)
        hardware.prepare()
        about = {
            "command": "make bench",
            "options": {name: str(value) for name, value in vars(options).items() if name != "out"},
            "commit": results.commit(),
            "environment": hardware.environment("see each row"),
            "length": options.length,
        }
        name = "training" if hardware.device().type == "cpu" else "training_gpu"
        part = out / f"{name}.part.json"  # what was measured, should the run be cut off
        with tempfile.TemporaryDirectory() as place:
            measured = measure(options, Path(place), lambda some: files.write_json(part, some))
        found = {**about, **measured}
        found["ratios"] = {n: round(v, 3) for n, v in ratios(found, options.task).items()}
        files.write_json(out / f"{name}.json", found)
        files.write_text(out / f"{name}.md", report(found))
        part.unlink()
    except UserError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found["ratios"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
