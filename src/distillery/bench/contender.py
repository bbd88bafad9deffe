"""One model in a process of its own, which answers reviews when its turn comes."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from distillery.bench import plan
from distillery.bench.turns import Worker, peak_memory
from distillery.compression import onnx_module
from distillery.data import store
from distillery.errors import UserError
from distillery.kernels import fast_bert, hardware
from distillery.models import tensors, tokenization
from distillery.runtime.facts import read_facts
from distillery.text import encode
from distillery.training import inference

FEWEST = {1: 16, 32: 4}  # batch -> calls of a turn at least
ALIKE = 0.9  # of a model's first answers, the share that must be those of its result
TRIES = 5  # of each precision, when one is chosen
MARGIN = 1.05  # by how much bf16 must be faster to be chosen


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

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: np.ndarray) -> list[str]:
        return [
            bytes(self.bytes[self.offsets[row] : self.offsets[row + 1]]).decode() for row in rows
        ]


class Contender:
    """A model with its tokenizer, and the rows of the test split.

    given: folder (of the model), task, place (of the texts), turns, seconds (of a turn); order
    and padded (of batches); lean (whether a BERT computes its logits alone; else it runs as
    transformers has it, and batches are no longer than their longest text); precision (None: the
    faster one); predictions (a file, None where there are none to compare with).
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        place = Path(given["place"])
        self.texts = Texts(place / "texts")
        self.pairs = Texts(place / "pairs") if (place / "pairs").is_file() else None
        split = store.read_split(given["task"], "test")
        self.predictions = np.load(given["predictions"]) if given["predictions"] else None
        self.compared = self.agreed = 0
        self.before = peak_memory()
        folder = Path(given["folder"])
        self.facts = read_facts(folder)
        start = time.perf_counter()
        self.model = onnx_module.load(folder).eval()
        if given["lean"]:
            fast_bert.use_in(self.model)
        tokenizer = tokenization.load(folder)
        self.reader = tokenization.reader(tokenizer, self.facts["max_length"], self.facts["head"])
        self.load_seconds = time.perf_counter() - start
        self.encoded = self.reader.encode_split(given["task"], split)
        self.plans: dict[tuple[int, bool], plan.Plan] = {}
        self.calls: dict[tuple[int, bool], int] = {}
        self.in_pytorch = not isinstance(self.model, onnx_module.OnnxModule)
        self.precision = given["precision"] or self._choose_precision()
        inference.lower(self.model, self.precision if self.in_pytorch else "fp32")
        self._check()

    def _plan(self, size: int, tokenization: bool) -> plan.Plan:
        """Before it is tokenized, a text's length is its number of characters."""
        lengths = self.encoded.lengths
        if tokenization:
            lengths = np.diff(self.texts.offsets)
            lengths = lengths + (np.diff(self.pairs.offsets) if self.pairs else 0)
        key = (size, tokenization)
        if key not in self.plans:
            self.plans[key] = plan.plan(lengths, size, self.given["order"])
        return self.plans[key]

    def _choose_precision(self) -> str:
        """What is faster on a batch of middle length; of an ONNX model what it was made in."""
        if not self.in_pytorch:
            return str(self.facts["precision"])
        batches = self._plan(32, False)
        batch = tensors.batch(self.encoded, batches.batch(len(batches) // 2))
        best = {"fp32": np.inf, "bf16": np.inf}
        for number in range(TRIES + 1):
            for name in best:
                start = time.perf_counter()
                inference.forward(self.model, batch, name)
                if number:
                    best[name] = min(best[name], time.perf_counter() - start)
        return "bf16" if best["fp32"] > MARGIN * best["bf16"] else "fp32"

    def _check(self) -> None:
        """Refuses a model whose answers are not the ones that its result was made of."""
        batches = self._plan(32, False)
        for number in plan.sample(len(batches), 2, 1, 0):
            rows = batches.batch(number)
            self._compare(rows, self._answer(self.encoded, rows))
        if self.agreed < ALIKE * self.compared:
            raise UserError(
                f"the model in {self.given['folder']} gives other answers than its result holds:"
                " make it again"
            )
        self.compared = self.agreed = 0

    def _compare(self, rows: np.ndarray, logits: torch.Tensor) -> None:
        if self.predictions is not None:
            found = logits.argmax(dim=1).numpy()
            self.agreed += int((found == self.predictions[rows]).sum())
            self.compared += len(rows)

    def _answer(self, encoded: encode.Encoded, rows: np.ndarray) -> torch.Tensor:
        """The logits (B, labels) of some rows."""
        batch = tensors.batch(encoded, rows)
        if not self.given["lean"]:
            longest = int(encoded.lengths[rows].max())
            batch = {name: tensor[:, :longest] for name, tensor in batch.items()}
        if self.given["padded"]:
            more = self.facts["max_length"] - batch["input_ids"].shape[1]
            values = {"input_ids": encoded.pad}
            batch = {
                name: torch.nn.functional.pad(tensor, (0, more), value=values.get(name, 0))
                for name, tensor in batch.items()
            }
        return inference.forward(self.model, batch, self.precision)

    def _call(self, rows: np.ndarray, tokenization: bool) -> float:
        """Seconds until the logits of a batch are there, from its texts or its word pieces."""
        texts = self.texts.take(rows) if tokenization else []
        pairs = self.pairs.take(rows) if tokenization and self.pairs else None
        start = time.perf_counter()
        if tokenization:
            logits = self._answer(self.reader.encode(texts, pairs), np.arange(len(rows)))
        else:
            logits = self._answer(self.encoded, rows)
        seconds = time.perf_counter() - start
        self._compare(rows, logits)
        return seconds

    def turn(self, size: int, tokenization: bool, number: int) -> dict[str, Any]:
        """The seconds of every call of a turn, and its rows; turn 0 also finds out how many calls
        fill the time."""
        batches, turns = self._plan(size, tokenization), self.given["turns"] + 1
        key = (size, tokenization)
        if key not in self.calls:
            middle = batches.batch(len(batches) // 2)
            each = min(self._call(middle, tokenization) for _ in range(2))
            most = max(FEWEST[size], len(batches) // turns)
            wanted = max(FEWEST[size], round(self.given["seconds"] / each))
            self.calls[key] = min(wanted, most)
        chosen = [
            batches.batch(at) for at in plan.sample(len(batches), self.calls[key], turns, number)
        ]
        self._call(chosen[0], tokenization)  # memory given back after the last turn comes again
        seconds = [self._call(rows, tokenization) for rows in chosen]
        hardware.release_memory()  # others wait for their turn in it
        return {"seconds": seconds, "rows": [len(rows) for rows in chosen]}


def main(given: dict[str, Any]) -> None:
    """Answers the driver until it has heard enough."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(given["threads"])
    hardware.prepare()
    worker = Worker()
    try:
        worker.listen()
        worker.reply(ready=True)  # all libraries are imported
        worker.listen()
        contender = Contender(given)
        worker.reply(
            runtime="PyTorch" if contender.in_pytorch else "ONNX Runtime",
            precision=contender.precision,
            load_seconds=contender.load_seconds,
        )
        while "turn" in (told := worker.listen()):
            worker.reply(**contender.turn(told["size"], told["tokenization"], told["turn"]))
        worker.reply(
            peak_memory=peak_memory(),
            memory_before_loading=contender.before,
            compared=contender.compared,
            agreed=contender.agreed,
        )
    except UserError as error:
        worker.reply(error=str(error))
