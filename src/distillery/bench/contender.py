"""One model in a process of its own, which answers texts when its turn comes.

It is timed on batches of every length of a test set, on fresh ones in every turn.
"""

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from distillery import kinds
from distillery.bench.worker import peak_memory
from distillery.data import store
from distillery.errors import UserError
from distillery.kernels import fast_bert, hardware
from distillery.models import tokenization
from distillery.models.saved import load_network
from distillery.runtime.facts import ONNX, read_facts
from distillery.runtime.predictor import open_session, run
from distillery.text import encode
from distillery.training import inference

ORDERS = ("shuffled", "sorted")


@dataclass(frozen=True)
class Plan:
    """A test set in batches. Batch i is order[i * size:(i + 1) * size], from long to short.

    order: (N,) row numbers; what is left over at the end is in no batch.
    """

    order: np.ndarray
    size: int

    def __len__(self) -> int:
        return max(1, len(self.order) // self.size)

    def batch(self, number: int) -> np.ndarray:
        return self.order[number * self.size : (number + 1) * self.size]


def plan(lengths: np.ndarray, size: int, order: str) -> Plan:
    """Batches of `size` rows of like length (sorted), or as they come (shuffled).

    lengths: (N,), of what is sorted by.
    """
    if order == "sorted":
        return Plan(np.argsort(-lengths.astype(np.int64), kind="stable"), size)
    shuffled = np.random.default_rng(0).permutation(len(lengths))
    whole = len(shuffled) // size * size
    if not whole:
        return Plan(shuffled, size)
    rows = shuffled[:whole].reshape(-1, size)
    longest = lengths[rows].max(axis=1).astype(np.int64)
    return Plan(rows[np.argsort(-longest, kind="stable")].ravel(), size)


def sample(batches: int, calls: int, turns: int, turn: int) -> np.ndarray:
    """The numbers (calls,) of the batches of one turn, spread evenly over a plan of `batches`.

    Call i of every turn is a neighbour of the same place: a batch of nearly the same length, but
    of other reviews, as long as calls * turns is at most `batches`.
    """
    middles = ((np.arange(calls) + 0.5) / calls * batches).astype(np.int64)
    found: np.ndarray = (middles - turns // 2 + turn) % batches
    return found


def seconds_of(turns: np.ndarray) -> float:
    """Seconds of a turn, from (turns, calls) seconds: the sum over calls of the median turn."""
    return float(np.median(turns, axis=0).sum())


FEWEST = {1: 16, 32: 4}  # batch size -> least number of calls in a turn
ALIKE = 0.9  # how far a model's first answers must agree with those of its result
TRIES = 5  # of each precision, to choose the faster one
MARGIN = 1.05  # bf16 is chosen if it is faster by this factor


class Texts:
    """Texts in a file, of which only those asked for are in memory."""

    def __init__(self, path: Path) -> None:
        self.bytes = np.memmap(path, np.uint8, "r")
        self.offsets = np.load(path.with_suffix(".npy"))

    @staticmethod
    def write(path: Path, texts: list[str]) -> None:
        encoded = [text.encode() for text in texts]
        path.write_bytes(b"".join(encoded) or b" ")
        np.save(path.with_suffix(".npy"), np.cumsum([0, *map(len, encoded)]))

    def take(self, rows: np.ndarray) -> list[str]:
        return [
            bytes(self.bytes[self.offsets[row] : self.offsets[row + 1]]).decode() for row in rows
        ]


class Contender:
    """A model with its tokenizer, and the rows of the test split.

    given: folder (of the model), task, place (of the texts), turns, seconds (of a turn); order
    and padded (of batches); lean (whether a BERT computes its logits alone; else it runs as
    transformers has it, and batches are no longer than their longest text); precision (None: the
    faster one); predictions (a file; None if there are none to compare with).
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        place = Path(given["place"])
        self.texts = Texts(place / "texts")
        self.pairs = Texts(place / "pairs") if (place / "pairs").is_file() else None
        split = store.read_split(given["task"], "test")
        self.predictions = np.load(given["predictions"]) if given["predictions"] else None
        self.before = peak_memory()
        start = time.perf_counter()
        folder = Path(given["folder"])
        self.facts = read_facts(folder)
        self.kind = kinds.get(self.facts["kind"])
        self.network: Any = None
        if (folder / ONNX).is_file():
            self.session = open_session(folder / ONNX, torch.get_num_threads())
        else:
            self.network = load_network(folder).eval()
            if given["lean"]:
                fast_bert.use_in(self.network)
        tokenizer = tokenization.load(folder)
        self.reader = tokenization.reader(tokenizer, self.facts["max_length"], self.facts["head"])
        self.load_seconds = time.perf_counter() - start
        self.encoded = self.reader.encode_split(given["task"], split)
        self.plans: dict[tuple[int, bool], Plan] = {}
        self.calls: dict[tuple[int, bool], int] = {}
        self.precision = given["precision"] or self._choose_precision()
        if self.network:
            inference.lower(self.network, self.precision)
        self._check()

    def _plan(self, size: int, tokenization: bool) -> Plan:
        """Before it is tokenized, a text's length is its number of bytes."""
        key = (size, tokenization)
        if key not in self.plans:
            lengths = self.encoded.lengths
            if tokenization:
                lengths = np.diff(self.texts.offsets)
                lengths = lengths + (np.diff(self.pairs.offsets) if self.pairs else 0)
            self.plans[key] = plan(lengths, size, self.given["order"])
        return self.plans[key]

    def _choose_precision(self) -> str:
        """The faster one on a batch of middle length; an ONNX model has its own."""
        if not self.network:
            return str(self.facts["precision"])
        batches = self._plan(32, False)
        batch = self.encoded.batch(batches.batch(len(batches) // 2))
        best = {"fp32": np.inf, "bf16": np.inf}
        for number in range(TRIES + 1):
            for name in best:
                start = time.perf_counter()
                self._compute(batch, name)
                if number:
                    best[name] = min(best[name], time.perf_counter() - start)
        return "bf16" if best["fp32"] > MARGIN * best["bf16"] else "fp32"

    def _check(self) -> None:
        """Refuses a model whose answers are not those of its result."""
        self.compared: list[tuple[np.ndarray, np.ndarray]] = []  # rows, predictions
        batches = self._plan(32, False)
        for number in sample(len(batches), 2, 1, 0):
            rows = batches.batch(number)
            self.compared.append((rows, self._answer(self.encoded, rows)))
        agreement = self.agreement()
        if agreement is not None and not agreement >= ALIKE:
            raise UserError(
                f"the model in {self.given['folder']} gives other answers than its result holds:"
                " make it again"
            )
        self.compared.clear()

    def agreement(self) -> float | None:
        """How far the answers so far agree with the result's; None without a result."""
        if self.predictions is None or not self.compared:
            return None
        rows, outputs = (np.concatenate(parts) for parts in zip(*self.compared, strict=True))
        return self.kind.agreement(self.kind.decode(outputs)[None], self.predictions[rows])

    def _compute(self, batch: dict[str, np.ndarray], precision: str) -> np.ndarray:
        """The outputs (B, C) of `Encoded.batch`."""
        if not self.network:
            return run(self.session, batch)
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        outputs: np.ndarray = inference.forward(self.network, tensors, precision).numpy()
        return outputs

    def _answer(self, encoded: encode.Encoded, rows: np.ndarray) -> np.ndarray:
        """The outputs (B, C) of some rows."""
        batch = encoded.batch(rows)
        if not self.given["lean"]:
            longest = int(encoded.lengths[rows].max())
            batch = {name: array[:, :longest] for name, array in batch.items()}
        if self.given["padded"]:
            more = self.facts["max_length"] - batch["input_ids"].shape[1]
            fill = {"input_ids": encoded.pad}
            batch = {
                name: np.pad(array, ((0, 0), (0, more)), constant_values=fill.get(name, 0))
                for name, array in batch.items()
            }
        return self._compute(batch, self.precision)

    def _call(self, rows: np.ndarray, tokenization: bool) -> float:
        """Seconds until the outputs of a batch are there, from its texts or its word pieces."""
        texts = self.texts.take(rows) if tokenization else []
        pairs = self.pairs.take(rows) if tokenization and self.pairs else None
        start = time.perf_counter()
        if tokenization:
            outputs = self._answer(self.reader.encode(texts, pairs), np.arange(len(rows)))
        else:
            outputs = self._answer(self.encoded, rows)
        seconds = time.perf_counter() - start
        self.compared.append((rows, outputs))
        return seconds

    def turn(self, size: int, tokenization: bool, number: int) -> dict[str, Any]:
        """The seconds of every call in a turn, and its rows. Turn 0 also finds how many calls
        fill the time."""
        batches, turns = self._plan(size, tokenization), self.given["turns"] + 1
        key = (size, tokenization)
        if key not in self.calls:
            middle = batches.batch(len(batches) // 2)
            each = min(self._call(middle, tokenization) for _ in range(2))
            most = max(FEWEST[size], len(batches) // turns)
            wanted = max(FEWEST[size], round(self.given["seconds"] / each))
            self.calls[key] = min(wanted, most)
        chosen = [batches.batch(at) for at in sample(len(batches), self.calls[key], turns, number)]
        self._call(chosen[0], tokenization)  # memory given back after the last turn comes again
        seconds = [self._call(rows, tokenization) for rows in chosen]
        hardware.release_memory()  # the others' turns come next
        return {"seconds": seconds, "rows": [len(rows) for rows in chosen]}


def main(given: dict[str, Any], driver: Connection) -> None:
    """Does what the driver says until it ends."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(given["threads"])
    hardware.prepare()
    try:
        driver.recv()
        driver.send({"ready": True})  # all libraries are imported
        driver.recv()
        contender = Contender(given)
        driver.send(
            {
                "runtime": "PyTorch" if contender.network else "ONNX Runtime",
                "precision": contender.precision,
                "load_seconds": contender.load_seconds,
            }
        )
        while "turn" in (told := driver.recv()):
            driver.send(contender.turn(told["size"], told["tokenization"], told["turn"]))
        driver.send(
            {
                "peak_memory": peak_memory(),
                "memory_before_loading": contender.before,
                "agreement": contender.agreement(),
            }
        )
    except UserError as error:
        driver.send({"error": str(error)})
