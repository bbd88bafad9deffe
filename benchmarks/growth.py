"""Cost as work grows: time and peak memory of recording and distilling, by the number of rows.

The rows are 32 word pieces each, cut from the unlabeled and the training reviews of IMDB. Every
measurement is a process of its own; a few batches to warm up come first and are not counted. The
fewest rows are measured before, between and after the others, so that a machine that becomes
slower meanwhile does not look like a cost that grows. Memory that the process made is told apart
from pages of files that are mapped, which the system may take back. Writes `growth.json` and
`growth.md` beside itself.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import folder
from distillery import encoders, files, paths, results
from distillery.bench.worker import peak_memory
from distillery.errors import UserError
from distillery.models import tokenization
from distillery.report import cells
from distillery.text import encode

LENGTH = 32  # word pieces of a row
SIZES = (5_000, 50_000, 500_000)
WARM = np.arange(1024)  # rows to warm up with, and to evaluate on
STUDENT = "bilstm"
KINDS = ("recording", f"distilling {STUDENT}")
PIECES = "pieces.int32"
WATCH = 0.01  # seconds between looks at memory
MEMORY = {"VmRSS": "peak_memory", "RssAnon": "own_memory", "RssFile": "mapped_memory"}


class Memory:
    """The most bytes this process has had: in all, of its own, and in mapped files.

    The kernel keeps no peak of the parts, so a thread looks every `WATCH` seconds.
    """

    def __init__(self) -> None:
        self.peaks = dict.fromkeys(MEMORY.values(), 0)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.over.wait(WATCH):
            self._look()

    def _look(self) -> None:
        for line in Path("/proc/self/status").read_text().splitlines():
            name = MEMORY.get(line.partition(":")[0])
            if name:
                self.peaks[name] = max(self.peaks[name], int(line.split()[1]) * 1024)

    def stop(self) -> dict[str, int]:
        self.over.set()
        self.thread.join()
        self._look()
        return {**self.peaks, "peak_memory": max(peak_memory(), self.peaks["peak_memory"])}


def pieces(task: str, encoder: str, count: int, place: Path) -> Path:
    """Writes (count, 32) word pieces, special tokens included, and gives the file."""
    from distillery.data import store

    tokenizer = tokenization.load(encoders.locate(encoder))
    path, made, inner = place / PIECES, 0, LENGTH - 2
    rows = np.memmap(path, np.int32, "w+", shape=(count, LENGTH))
    reader = tokenization.reader(tokenizer, 65_536, 1.0)
    rows[:, 0], rows[:, -1] = reader.first, reader.last
    for split in ("unlabeled", "train"):
        for texts, _ in store.read_split(task, split).chunks(2048):
            encoded = reader.encode(texts, None)
            for start, stop in zip(encoded.offsets, encoded.offsets[1:], strict=False):
                text = encoded.pieces[start + 1 : stop - 1]
                some = text[: len(text) // inner * inner].reshape(-1, inner)[: count - made]
                rows[made : made + len(some), 1:-1] = some
                made += len(some)
            if made == count:
                rows.flush()
                return path
    raise UserError(f"{task} has words for {made} rows of {LENGTH} pieces, {count} are needed")


def as_encoded(path: Path, count: int, pad: int) -> encode.Encoded:
    """The first rows of a file of word pieces, read as those of a split are."""
    offsets = np.arange(count + 1, dtype=np.int64) * LENGTH
    return encode.Encoded(encode.Stored(path), offsets, np.full(count, LENGTH, np.int32), pad)


def now() -> tuple[float, float]:
    """Seconds of the clock, and of the processors that worked for this process."""
    return time.perf_counter(), time.process_time()


def recording(
    given: dict[str, Any], encoded: encode.Encoded, ids: np.ndarray
) -> Callable[[], tuple[float, float]]:
    """What records all rows anew, and says when it was done; it has warmed up."""
    from distillery.distillation.outputs import TeacherOutputs
    from distillery.kernels import fast_bert, hardware
    from distillery.models.saved import load_network
    from distillery.training import inference

    shutil.rmtree(paths.outputs("growth", str(len(ids))), ignore_errors=True)
    outputs = TeacherOutputs("growth", str(len(ids)), "minilm")
    model = load_network(Path(given["teacher"])).to(hardware.device()).eval()
    fast_bert.use_in(model)

    def logits_of(rows: encode.Encoded, progress: Any) -> np.ndarray:
        return inference.logits(model, rows, "bf16", "recording", progress)

    logits_of(encoded.take(WARM), lambda tokens: None)

    def run() -> tuple[float, float]:
        outputs.record(ids, encoded, logits_of, main=True)
        return now()

    return run


def distilling(
    given: dict[str, Any], encoded: encode.Encoded, ids: np.ndarray
) -> Callable[[], tuple[float, float]]:
    """What distils a student on all rows, once over, and says when that was done, before the look
    at dev; it has warmed up."""
    import torch

    from distillery.distillation import losses, signals
    from distillery.distillation.outputs import TeacherOutputs
    from distillery.kernels import hardware
    from distillery.models import registry
    from distillery.recipes import Phase
    from distillery.training import inference, loop

    outputs = TeacherOutputs("growth", str(len(ids)), "minilm")
    torch.manual_seed(0)
    model = registry.create(
        STUDENT, vocab_size=given["pieces"], pad_token_id=encoded.pad, num_labels=2
    ).to(hardware.device())
    total = losses.Losses((("mse", 1.0, {}),), "classification")
    recorded = signals.Recorded((outputs,))
    done: list[tuple[float, float]] = []

    def batch_of(rows: np.ndarray) -> loop.Batch:
        logits = torch.from_numpy(outputs.logits(ids[rows]))
        return {**inference.tensors(encoded, rows), "teacher_logits": logits}

    def evaluate() -> dict[str, float]:
        done.append(now())
        found = inference.logits(model, encoded.take(WARM), "bf16", "dev")
        wanted = outputs.logits(ids[WARM])
        return {"accuracy": float((found.argmax(1) == wanted.argmax(1)).mean())}

    for some in WARM.reshape(-1, 64):
        batch = batch_of(some)
        with hardware.autocast("bf16"):
            out = model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
        total(out, recorded.give(batch), batch).backward()
    job = loop.Job(
        phase=Phase(("train",), (("mse", 1.0, {}),), epochs=1, batch_size=64),
        lengths=encoded.lengths,
        batch_of=batch_of,
        loss_of=lambda out, batch: total(out, recorded.give(batch), batch),
        evaluate=evaluate,
        metric="accuracy",
        precision="bf16",
        seed=0,
        title=f"distilling {len(ids)} rows",
    )

    def run() -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            loop.train(model, job, Path(folder), checkpoint_seconds=1e9)
        return done[0]

    return run


def work(given: dict[str, Any]) -> dict[str, float]:
    """One measurement: seconds of the work, by the clock and of the processors, and the most
    bytes of memory that the process has had from its start on."""
    memory = Memory()
    import transformers

    from distillery.kernels import hardware

    transformers.utils.logging.disable_progress_bar()
    hardware.prepare()
    tokenizer = tokenization.load(Path(given["teacher"]))
    given = {**given, "pieces": len(tokenizer)}
    encoded = as_encoded(Path(given["place"]) / PIECES, given["rows"], tokenizer.pad_token_id)
    ids = np.arange(given["rows"], dtype=np.uint64)
    run = (recording if given["kind"] == "recording" else distilling)(given, encoded, ids)
    start, end = now(), run()
    return {"seconds": end[0] - start[0], "cpu_seconds": end[1] - start[1], **memory.stop()}


def order(sizes: tuple[int, ...]) -> list[int]:
    """The sizes as they are measured: the fewest before, between and after the others."""
    fewest, *more = sorted(sizes)
    found = [fewest]
    for size in more:
        found += [size, fewest]
    return found + [fewest] * (3 - found.count(fewest))


def measure(options: argparse.Namespace, place: Path) -> list[dict[str, Any]]:
    """A row of the table for each kind of work and number of rows."""
    teacher = paths.model(options.task, paths.teacher_result(options.task, options.encoder))
    if not (teacher / encoders.WEIGHTS).is_file():
        raise UserError(f"there is no teacher in {teacher}: run scripts/teacher first")
    pieces(options.task, options.encoder, max(options.sizes), place)
    environment = {**os.environ, "DISTILLERY_DATA": str(place), "TQDM_DISABLE": "1"}
    found = []
    for kind in KINDS:
        runs: dict[int, list[dict[str, float]]] = {size: [] for size in options.sizes}
        for size in order(options.sizes):
            given = {"kind": kind, "rows": size, "place": str(place), "teacher": str(teacher)}
            command = [sys.executable, "-m", "benchmarks.growth", "--work", json.dumps(given)]
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=False
            )
            if done.returncode:
                sys.exit(f"benchmark: {kind} {size} rows broke off")
            runs[size].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{kind}, {size} rows: {runs[size][-1]}", file=sys.stderr)
        for size in options.sizes:
            medians = {
                name: statistics.median(run[name] for run in runs[size]) for name in runs[size][0]
            }
            found.append({"work": kind, "rows": size, **medians, "runs": runs[size]})
    return found


def report(found: dict[str, Any]) -> str:
    where = found["environment"]
    lines = [
        "# Cost as work grows",
        "",
        f"Made by `make bench-growth` at {cells.commit(found['commit'])}:"
        f" {where['cpu']},"
        f" {where['threads']} threads, device {where['device']}, torch {where['torch']}. Rows of"
        f" {LENGTH} word pieces, teacher `{found['encoder']}`, student `{STUDENT}`, 64 rows a"
        " step; the start of the process is not in the time, all of it is in the memory. The fewest"
        " rows: medians of three runs, before, between and after the others. `own` is memory that"
        " the process made, `mapped` pages of files, which the system may take back: libraries, the"
        " model's weights, recorded outputs. Each is the most there was at a time. In brackets:"
        " beside the fewest rows, of time the seconds a row.",
        "",
        "| work | rows | rows/s | seconds | CPU seconds | peak memory | own | mapped |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        first = next(other for other in found["rows"] if other["work"] == row["work"])
        line = [row["work"], f"{row['rows']:,}", f"{row['rows'] / row['seconds']:,.0f}"]
        for name in ("seconds", "cpu_seconds"):
            beside = row[name] / row["rows"] / (first[name] / first["rows"])
            line.append(f"{row[name]:.1f} ({beside:.3f})")
        for name in MEMORY.values():
            line.append(f"{row[name] / 2**30:.3f} GiB ({row[name] / first[name]:.3f})")
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-growth", description="Cost as work grows.")
    parser.add_argument("--task", default="imdb", help="whose texts are cut into rows")
    parser.add_argument("--encoder", default="minilm", help="the teacher, fine-tuned on the task")
    parser.add_argument(
        "--sizes",
        type=lambda text: tuple(sorted({int(size) for size in text.split(",")})),
        default=SIZES,
        help="numbers of rows, such as 5000,50000,500000",
    )
    parser.add_argument("--out", type=Path, help="folder for the two files [benchmarks]")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work)))
        return 0
    from distillery.kernels import hardware

    try:
        if not options.sizes or min(options.sizes) < len(WARM):
            raise UserError("--sizes are 1024 rows or more each")
        out = folder(parser, options)
        commit = results.commit()
        paths.data().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths.data()) as place:
            rows = measure(options, Path(place))
        environment = hardware.environment("bf16")
        found = {"command": "make bench-growth", "commit": commit, "environment": environment}
        found |= {"task": options.task, "encoder": options.encoder, "rows": rows}
        files.write_json(out / "growth.json", found)
        files.write_text(out / "growth.md", report(found))
    except UserError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
