"""Cold start: CPU seconds and peak memory of a process that labels two texts and ends.

Students of the demo's shape (a BiLSTM over 30,522 word pieces), exported in fp32 and int8 and in
PyTorch, by `distillery predict`; beside them `pipeline` of transformers with DistilBERT's shape.
All weights are random, which changes no time, so nothing has to be trained or downloaded. The
contenders take turns, so that whatever else the machine does strikes all alike; the first round
only fills the page cache. Writes `cold.json` and `cold.md` beside itself.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import folder
from distillery import files, paths, results
from distillery.errors import UserError
from distillery.report import cells

TEXTS = ("A gem from start to end.", "Two hours of nothing, slowly told.")
PIECES = 30_522  # of bert-base-uncased
MAX_LENGTH = 128  # of the demo's students
PIPELINE = """
import sys
from transformers import pipeline
classify = pipeline("text-classification", model=sys.argv[1], device="cpu")
for found in classify(sys.argv[2:]): print(found["label"], found["score"])
"""
# Runs a command from a small process: Linux counts what its parent had in memory as the child's.
MEASURE = """
import json, os, sys, time
start = time.perf_counter()
process = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(process, 0)
seconds = time.perf_counter() - start
print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status) and 1)
"""
BASELINE = "DistilBERT's shape, `pipeline` of transformers"


def _tokenizer() -> Any:
    """A word-piece tokenizer of the size of BERT's."""
    import string

    from transformers import BertTokenizerFast

    letters = string.ascii_lowercase + string.digits + ".,!?'"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    pieces += [f"##{letter}" for letter in letters]
    pieces += " ".join(TEXTS).lower().replace(".", "").replace(",", "").split()
    pieces = list(dict.fromkeys(pieces))
    pieces += [f"word{number}" for number in range(PIECES - len(pieces))]
    return BertTokenizerFast(vocab={piece: number for number, piece in enumerate(pieces)})


def make(place: Path) -> None:
    """Writes the models into `place`."""
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    from distillery.compression import export, quantize
    from distillery.models import registry, tokenization
    from distillery.recipes import QuantizationRecipe
    from distillery.runtime.facts import FACTS, ONNX

    torch.manual_seed(0)
    tokenizer = _tokenizer()
    names = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    sizes = {"vocab_size": PIECES, "max_length": MAX_LENGTH}
    student = registry.create("bilstm", **sizes, **names).eval()
    reader = tokenization.reader(tokenizer, MAX_LENGTH, student.config.head)
    text = reader.encode([" ".join(TEXTS * (1 + row)) for row in range(8)], None)
    for name in ("pytorch", "onnx", "int8"):
        with files.replacing_folder(place / name) as target:
            if name == "pytorch":
                student.save_pretrained(target)
            else:
                student.config.save_pretrained(target)
            if name == "onnx":
                export.write(student, text, MAX_LENGTH, target / ONNX)
            if name == "int8":
                quantize.write(place / "onnx" / ONNX, target / ONNX, QuantizationRecipe(), ())
            tokenization.save(tokenizer, target)
            facts = {"task": "demo", "labels": ["negative", "positive"], "max_length": MAX_LENGTH}
            facts |= {"head": student.config.head, "pairs": False}
            facts |= {"precision": "int8" if name == "int8" else "fp32"}
            files.write_json(target / FACTS, facts)
    DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=PIECES, **names)
    ).save_pretrained(place / "distilbert")
    tokenization.save(tokenizer, place / "distilbert")


def commands(place: Path) -> dict[str, list[str]]:
    """Contender -> the command that labels `TEXTS` with its model."""
    predict = [sys.executable, "-m", "distillery", "predict"]
    student = {"ONNX int8": "int8", "ONNX fp32": "onnx", "PyTorch": "pytorch"}
    found = {f"`predict`, student, {how}": [*predict, str(place / student[how])] for how in student}
    found[BASELINE] = [sys.executable, "-c", PIPELINE, str(place / "distilbert")]
    return {name: [*command, *TEXTS] for name, command in found.items()}


def run(command: list[str]) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory (bytes) of a process."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(paths.ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-SE", "-c", MEASURE, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    *said, figures = done.stderr.splitlines() or [""]
    if done.returncode:
        raise UserError(f"{' '.join(command[:5])} failed: {said[-1] if said else 'no word of it'}")
    seconds, cpu, memory = json.loads(figures)
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_memory": memory * 1024.0}


def measure(place: Path, repeats: int) -> list[dict[str, Any]]:
    """The medians of each contender, and how many times less they are than the baseline's."""
    contenders = commands(place)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for number in range(repeats + 1):
        for name, command in contenders.items():
            found = run(command)
            if number:
                runs[name].append(found)
    medians = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for name, found in runs.items()
    }
    base = medians[BASELINE]
    return [
        {"contender": name}
        | {key: round(value, 3) for key, value in found.items()}
        | {f"{key}_ratio": round(base[key] / value, 2) for key, value in found.items()}
        for name, found in medians.items()
    ]


def report(found: dict[str, Any]) -> str:
    """The page of the figures."""
    where = found["environment"]
    rows = [
        [
            row["contender"],
            f"{row['cpu_seconds']:.2f} ({row['cpu_seconds_ratio']:.1f}x)",
            f"{row['seconds']:.2f} ({row['seconds_ratio']:.1f}x)",
            f"{row['peak_memory'] / 1e6:.0f} MB ({row['peak_memory_ratio']:.1f}x)",
        ]
        for row in found["rows"]
    ]
    columns = ["what", "CPU seconds", "seconds", "peak memory"]
    return "\n".join(
        [
            "# Cold start",
            "",
            f"Made by `make bench-cold` at {cells.commit(found['commit'])}: {where['cpu']},"
            f" {where['threads']} threads, torch {where['torch']}, transformers"
            f" {where['transformers']}, ONNX Runtime {where['onnxruntime']}. A new process labels"
            f" two short texts and ends: medians of {found['repeats']} runs, the contenders taking"
            " turns, files in the page cache. In brackets: how many times less than `pipeline`"
            " needs. The student has the shape of the demo's `bilstm`; all weights are random,"
            " which changes no time.",
            "",
            cells.table(columns, rows),
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-cold", description="Cost of a cold start.")
    parser.add_argument("--repeats", type=int, default=7, help="counted runs of each [7]")
    parser.add_argument("--out", type=Path, help="folder for the two files [benchmarks]")
    options = parser.parse_args()
    try:
        if options.repeats < 1:
            raise UserError(f"--repeats {options.repeats} is impossible: 1 or more")
        out = folder(parser, options)
        commit = results.commit()
        with tempfile.TemporaryDirectory() as place:
            make(Path(place))
            rows = measure(Path(place), options.repeats)
        from distillery.kernels import hardware

        environment = hardware.environment("fp32")
        found = {"command": "make bench-cold", "commit": commit, "environment": environment}
        found |= {"repeats": options.repeats, "rows": rows}
        files.write_json(out / "cold.json", found)
        files.write_text(out / "cold.md", report(found))
    except UserError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
