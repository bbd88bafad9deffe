"""`bench inference`: every model of a task beside a BERT of known shape, in one interleaved run."""

import logging
import tempfile
from argparse import Namespace
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import files, paths, progress, results
from distillery.bench import contender, shape
from distillery.bench.contender import Texts
from distillery.bench.ratios import ratios, steps
from distillery.bench.worker import Worker
from distillery.data import store
from distillery.data.task import Task
from distillery.errors import UserError, choose
from distillery.kernels import hardware
from distillery.models import saved, tokenization
from distillery.recipes import InferenceRecipe
from distillery.report import ablation, speed
from distillery.report.speed import BASELINE, BATCH
from distillery.results import Result
from distillery.runtime.facts import read_facts
from distillery.text import splits

SIZES = (1, BATCH)  # rows of a batch


@dataclass(frozen=True)
class Way:
    """How a model is run. title: what it is called in the table; precision None: the model's."""

    title: str
    folder: str = "pytorch"
    order: str = "sorted"
    padded: bool = False
    lean: bool = False
    precision: str | None = "fp32"


WAYS = {
    "padded": Way("padded to the maximum", order="shuffled", padded=True),
    "dynamic": Way("padded to the batch's longest", order="shuffled"),
    BASELINE: Way("in batches of like length"),
    "bf16": Way("bf16, in batches of like length", precision="bf16"),
    "lean": Way("what its logits need, in batches of like length", lean=True),
    "onnx": Way("ONNX Runtime, in batches of like length", "onnx", lean=True, precision=None),
    "int8": Way("ONNX Runtime int8, in batches of like length", "int8", lean=True, precision=None),
}
AS_SAVED = Way("a task's model", lean=True, precision=None)


def run(task: Task, recipe: InferenceRecipe, arguments: Namespace) -> None:
    """Measures, and writes the benchmark's file, page and picture."""
    test = store.read_split(task.name, "test")
    models = _models(task, recipe.models)
    path = paths.inference_benchmark(task.local, task.name)
    _check_place(path, task, models)
    commit = results.commit()
    if not len(test):
        raise UserError(f"task {task.name} has no test rows to time")
    with tempfile.TemporaryDirectory(dir=paths.data()) as name:
        _write_texts(test, Path(name))
        told = {"task": task.name, "place": name, "turns": recipe.rounds}
        told |= {"seconds": recipe.seconds, "threads": torch.get_num_threads()}
        # models first: a damaged one is refused before minutes go into the shape
        answering = [_model(task, result, told) for result in models.values()]
        workers = [*_shapes(task, recipe, told), *answering]
        _measure(workers, recipe.rounds)
    rows = [each.facts for each in workers]
    found = {
        "command": arguments.command_line,
        "commit": commit,
        "environment": {**hardware.environment("see each row"), "device": "cpu"},
        "task": task.name,
        "metric": task.metric,
        "split": "test",
        "n": len(test),
        "recipe": recipe.as_dict(),
        "rows": rows,
        "steps": steps(rows, recipe.scores),
        "ratios": ratios(rows, recipe.scores),
    }
    files.write_json(path, found)
    logging.info("table: %s", speed.write(path))


def _check_place(path: Path, task: Task, models: Collection[str]) -> None:
    """Refuses what could not be written, or where the times of these models would replace those
    of more."""
    files.check_writable(path.parent)
    if path.is_file():
        there = {row["name"] for row in files.read_json(path, "rows")["rows"] if not row["way"]}
        known = _of_task(task)
        replaced = known.keys() - _telling(known).keys()  # single students, by distilled ones
        if lost := len(there - replaced - {*models}):
            raise UserError(
                f"{path} has the times of {lost} models that would not be timed now: move it away"
                " first, or put DISTILLERY_RESULTS elsewhere"
            )


def _models(task: Task, wanted: Sequence[str]) -> dict[str, Result]:
    """The results of a task whose model is there, by name: those wanted, else all that say
    something of speed. A student answers as fast however it was trained: of a student's models
    the distilled one is timed, and no variant of an ablation."""
    found = {
        name: result
        for name, result in _of_task(task).items()
        if paths.model(task.name, name).is_dir()
    }
    for name in wanted:
        choose("model", name, found)
    if not found:
        raise UserError(
            f"task {task.name} has no model with a result in {paths.results(task.local)}:"
            f" run scripts/run_all.sh {task.name}"
        )
    if wanted:
        return {name: result for name, result in found.items() if name in wanted}
    return _telling(found)


def _of_task(task: Task) -> dict[str, Result]:
    every = results.read_all(paths.results(task.local))
    return {name: result for name, result in every.items() if result.task == task.name}


def _telling(found: dict[str, Result]) -> dict[str, Result]:
    """Those of these results whose models say something of speed."""
    distilled = {r.student for r in found.values() if r.stage == "distillation"}
    return {
        name: result
        for name, result in found.items()
        if not (result.stage == "student" and result.student in distilled)
        and not ablation.is_ablation(result)
    }


def _write_texts(test: store.Split, place: Path) -> None:
    chunks = [*test.chunks(splits.CHUNK)]
    Texts.write(place / "texts", [text for texts, _ in chunks for text in texts])
    if test.paired:
        Texts.write(place / "pairs", [text for _, pairs in chunks for text in pairs or ()])


def _worker(
    told: dict[str, Any], way: Way, folder: Path, facts: dict[str, Any], predictions: Path | None
) -> Worker:
    """A process that runs a folder's model, on as many threads as this one has and no GPU."""
    threads = str(told["threads"])
    environment = {
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": threads,
        "RAYON_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "true",
    }
    told = {**told, **asdict(way), "folder": str(folder)}
    told["predictions"] = str(predictions) if predictions else None
    facts = {**facts, "bytes": saved.weights(folder).stat().st_size}
    return Worker(str(facts["name"]), contender.main, told, environment, facts)


def _shapes(task: Task, recipe: InferenceRecipe, told: dict[str, Any]) -> list[Worker]:
    """The shape in every way. Another process writes it, and frees its memory by ending."""
    place = Path(told["place"])
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            parameters = pool.submit(shape.write, task.name, recipe, place).result()
        except BrokenProcessPool:
            raise UserError("the process that makes the BERT to compare with was killed") from None
    facts: dict[str, Any] = {"stage": None, "source": None, "score": None}
    facts |= {"max_length": recipe.max_length, "parameters": parameters}
    workers = []
    for key, way in WAYS.items():
        row = {"name": f"{recipe.shape}'s shape, {way.title}", "way": key, **facts}
        workers.append(_worker(told, way, place / way.folder, row, None))
    return workers


def _model(task: Task, result: Result, told: dict[str, Any]) -> Worker:
    """The model of a result, with the predictions of the seed whose model was kept."""
    name, folder = result.name, paths.model(task.name, result.name)
    results.check_saved(result)
    facts = read_facts(folder)
    predictions = Path(told["place"]) / f"{name}.npy"
    np.save(predictions, _predictions(task, result))
    test = store.read_split(task.name, "test")
    if result.n != len(test):
        raise UserError(f"result {name} is of another test split: make it again")
    tokenizer = tokenization.load(folder)  # word pieces are made once, before the timing
    tokenization.reader(tokenizer, facts["max_length"], facts["head"]).encode_split(task.name, test)
    row = {
        "name": name,
        "way": None,
        "stage": result.stage,
        "source": result.source["name"] if result.source else None,
        "score": result.runs[0]["metrics"].get(task.metric),  # of the seed that was kept
        "max_length": facts["max_length"],
        "parameters": result.parameters,
    }
    return _worker(told, AS_SAVED, folder, row, predictions)


def _predictions(task: Task, result: Result) -> np.ndarray:
    """The predictions (N,) of a result's first seed."""
    path = results.predictions_path(paths.results(task.local), result.name)
    try:
        runs = task.kind.unpack(path.read_bytes(), len(result.runs), result.n, task.labels)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): make the result again") from None
    first: np.ndarray = runs[0]
    return first


def _measure(workers: list[Worker], rounds: int) -> None:
    """Lets all work in turns: a round to warm up, then those that count. Completes the facts."""
    modes = [*product(SIZES, (False, True))]  # rows of a batch, whether texts are tokenized
    turns = [
        (each, size, tokenization, turn)
        for turn, (size, tokenization) in product(range(rounds + 1), modes)
        for each in workers
        if not tokenization or each.facts["way"] in (None, BASELINE)
    ]
    timed: dict[tuple[str, int, bool], list[dict[str, Any]]] = {}
    try:
        for each in workers:
            each.start()
        for each in workers:
            each.tell(start=True)
        for number, each in enumerate(workers, start=1):
            logging.info("loading %d of %d: %s", number, len(workers), each.name)
            each.facts |= each.tell(load=True)
        with progress.bar(total=len(turns), desc="timing", unit=" turns") as bar:
            for each, size, tokenization, turn in turns:
                seconds = each.tell(turn=turn, size=size, tokenization=tokenization)
                timed.setdefault((each.name, size, tokenization), []).append(seconds)
                bar.update()
        for each in workers:
            each.facts |= each.tell(finish=True)
            each.facts["timed"] = [
                {"batch": size, "tokenization": tokenization, **_summary(found[1:])}
                for (name, size, tokenization), found in timed.items()
                if name == each.name
            ]
    finally:
        for each in workers:
            each.stop()


def _summary(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Throughput and latency from the turns of one mode that count."""
    seconds = np.array([turn["seconds"] for turn in turns])  # (turns, calls)
    rows = np.array([turn["rows"] for turn in turns])
    return {
        "rows": int(rows.sum()),
        "calls": int(seconds.size),
        "throughput": float(np.median(rows, axis=0).sum() / contender.seconds_of(seconds)),
        "turns": [float(rate) for rate in rows.sum(axis=1) / seconds.sum(axis=1)],
        "latency_median": float(np.median(seconds)),
        "latency_p95": float(np.quantile(seconds, 0.95)),
    }
