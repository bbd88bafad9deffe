"""Cost as work grows: time and peak memory of recording and distilling, by the number of rows.

The rows are 32 word pieces each, cut from the unlabeled and the training reviews of IMDB. Every
measurement is a process of its own; a few batches to warm up come first and are not counted.
Writes `growth.json` and `growth.md` beside itself.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from distillery import encoders, files, paths, results
from distillery.bench import turns
from distillery.errors import UserError
from distillery.text import encode

HERE = Path(__file__).parent
LENGTH = 32  # word pieces of a row
SIZES = (5_000, 50_000, 500_000)
DEV = 1024
STUDENT = "bilstm"
KINDS = ("recording", f"distilling {STUDENT}")


def pieces(task: str, encoder: str, count: int, place: Path) -> Path:
    """Writes (count, 32) word pieces, special tokens included, and gives the file."""
    from distillery.preprocessing import store

    tokenizer = encode.load_tokenizer(encoders.locate(encoder))
    path, made, inner = place / "pieces.npy", 0, LENGTH - 2
    rows = np.lib.format.open_memmap(path, "w+", np.int32, (count, LENGTH))
    reader = encode.Reader(tokenizer, 65_536, 1.0)
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
    rows = np.load(path, mmap_mode="r")[:count]
    offsets = np.arange(count + 1, dtype=np.int64) * LENGTH
    return encode.Encoded(rows.reshape(-1), offsets, np.full(count, LENGTH, np.int32), pad)


def work(given: dict[str, Any]) -> dict[str, float]:
    """One measurement: seconds of the work, and the process's peak memory in bytes."""
    import torch
    import transformers

    from distillery.distillation import losses
    from distillery.distillation import teacher as teachers
    from distillery.distillation.outputs import TeacherOutputs
    from distillery.models import fast_bert, registry
    from distillery.recipes import Phase
    from distillery.training import inference, loop, machine

    transformers.utils.logging.disable_progress_bar()
    machine.keep_memory()
    count, place = given["rows"], Path(given["place"])
    tokenizer = encode.load_tokenizer(Path(given["teacher"]))
    encoded = as_encoded(place / "pieces.npy", count, tokenizer.pad_token_id)
    ids = np.arange(count, dtype=np.uint64)
    if given["kind"] == "recording":  # anew
        shutil.rmtree(paths.outputs("growth", str(count)), ignore_errors=True)
    outputs = TeacherOutputs("growth", str(count), "minilm")
    warm = np.arange(1024)
    if given["kind"] == "recording":
        model = teachers.load_model(Path(given["teacher"])).to(machine.device()).eval()
        fast_bert.use_in(model)

        def logits_of(rows: encode.Encoded, progress: Any) -> np.ndarray:
            return inference.logits(model, rows, "bf16", "recording", progress)

        logits_of(encoded.take(warm), lambda tokens: None)
        start = time.perf_counter()
        outputs.record(ids, encoded, logits_of, main=True)
        seconds = time.perf_counter() - start
    else:
        torch.manual_seed(0)
        model = registry.create(
            STUDENT,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            num_labels=2,
        ).to(machine.device())
        total = losses.combined((("mse", 1.0, {}),))

        def batch_of(rows: np.ndarray) -> loop.Batch:
            logits = torch.from_numpy(outputs.logits(ids[rows]))
            return {**encoded.batch(rows), "teacher_logits": logits}

        def evaluate() -> dict[str, float]:
            found = inference.logits(model, encoded.take(warm[:DEV]), "bf16", "dev")
            wanted = outputs.logits(ids[:DEV])
            return {"accuracy": float((found.argmax(1) == wanted.argmax(1)).mean())}

        for some in warm.reshape(-1, 64):
            batch = batch_of(some)
            with machine.autocast("bf16"):
                out = model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
            total(out.logits, batch).backward()
        job = loop.Job(
            phase=Phase(("train",), (("mse", 1.0, {}),), epochs=1, batch_size=64),
            lengths=encoded.lengths,
            batch_of=batch_of,
            loss_of=lambda out, batch: total(out.logits, batch),
            evaluate=evaluate,
            metric="accuracy",
            precision="bf16",
            seed=0,
            title=f"distilling {count} rows",
        )
        with tempfile.TemporaryDirectory() as folder:
            seconds = loop.train(model, job, Path(folder), checkpoint_seconds=1e9)["seconds"]
    return {"seconds": seconds, "peak_memory": turns.peak_memory()}


def measure(options: argparse.Namespace, place: Path) -> list[dict[str, Any]]:
    """A row of the table for each kind of work and number of rows."""
    teacher = paths.model(options.task, paths.teacher_result(options.task, options.encoder))
    if not (teacher / encoders.WEIGHTS).is_file():
        raise UserError(f"there is no teacher in {teacher}: run scripts/teacher first")
    pieces(options.task, options.encoder, max(options.sizes), place)
    environment = {**os.environ, "DISTILLERY_DATA": str(place), "TQDM_DISABLE": "1"}
    found = []
    for kind in KINDS:
        for size in options.sizes:
            runs = []
            for _ in range(3 if size == min(options.sizes) else 1):
                given = {
                    "kind": kind,
                    "rows": size,
                    "place": str(place),
                    "teacher": str(teacher),
                }
                command = [sys.executable, "-m", "benchmarks.growth", "--work", json.dumps(given)]
                done = subprocess.run(
                    command, env=environment, stdout=subprocess.PIPE, text=True, check=False
                )
                if done.returncode:
                    sys.exit(f"benchmark: {kind} {size} rows broke off")
                runs.append(json.loads(done.stdout.splitlines()[-1]))
                print(f"{kind}, {size} rows: {runs[-1]}", file=sys.stderr)
            found.append(
                {
                    "work": kind,
                    "rows": size,
                    "seconds": statistics.median(run["seconds"] for run in runs),
                    "peak_memory": statistics.median(run["peak_memory"] for run in runs),
                    "runs": runs,
                }
            )
    return found


def report(found: dict[str, Any]) -> str:
    where = found["environment"]
    lines = [
        "# Cost as work grows",
        "",
        f"Made by `make bench-growth` at commit {(found['commit']['head'] or 'unknown')[:12]}:"
        f" {where['cpu']},"
        f" {where['threads']} threads, device {where['device']}, torch {where['torch']}. Rows of"
        f" {LENGTH} word pieces, teacher `{found['encoder']}`, student `{STUDENT}`, 64 rows a"
        " step; the start of the process is not in the time, all of it is in the memory. The fewest"
        " rows: medians of three runs.",
        "",
        "| work | rows | seconds | rows/s | time a row, beside the fewest | peak memory |"
        " memory, beside the fewest |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        first = next(other for other in found["rows"] if other["work"] == row["work"])
        each = row["seconds"] / row["rows"] / (first["seconds"] / first["rows"])
        memory = "not measured | |"
        if row["peak_memory"]:
            beside = row["peak_memory"] / first["peak_memory"]
            memory = f"{row['peak_memory'] / 2**30:.2f} GiB | {beside:.3f} |"
        lines.append(
            f"| {row['work']} | {row['rows']:,} | {row['seconds']:.1f} |"
            f" {row['rows'] / row['seconds']:,.0f} | {each:.3f} | {memory}"
        )
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-growth", description="Cost as work grows.")
    parser.add_argument("--task", default="imdb", help="whose texts are cut into rows")
    parser.add_argument("--encoder", default="minilm", help="the teacher, fine-tuned on the task")
    parser.add_argument(
        "--sizes",
        type=lambda text: tuple(int(size) for size in text.split(",")),
        default=SIZES,
        help="numbers of rows, such as 5000,50000,500000",
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the two files")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work)))
        return 0
    from distillery.training import machine

    try:
        if not options.sizes or min(options.sizes) < 1024:
            raise UserError("--sizes are 1024 rows or more each")
        if not options.out.is_dir():
            raise UserError(f"folder {options.out} does not exist")
        commit = results.commit()
        options.sizes = tuple(sorted(set(options.sizes)))
        paths.data().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths.data()) as place:
            rows = measure(options, Path(place))
        environment = machine.environment("bf16")
        found = {"command": "make bench-growth", "commit": commit, "environment": environment}
        found |= {"task": options.task, "encoder": options.encoder, "rows": rows}
        files.write_json(options.out / "growth.json", found)
        files.write_text(options.out / "growth.md", report(found))
    except UserError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
