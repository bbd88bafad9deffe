"""The teacher's outputs, recorded once: shards keyed by example id, found by its fingerprint.

Recording does only the rows that are missing, from the longest to the shortest, a shard at a
time; after each the index is replaced, so a kill loses one shard. What a restart records again
it computes in the same batches, so the numbers are those of an undisturbed run.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from distillery import files, paths, progress
from distillery.errors import UserError
from distillery.text.encode import Encoded

SHARD_ROWS = 4096


class TeacherOutputs:
    """Recorded logits of one teacher on one task, read memory-mapped."""

    def __init__(self, task_name: str, fingerprint: str, teacher: str) -> None:
        self.folder = paths.outputs(task_name, fingerprint)
        self._index = self.folder / "index.json"
        self.fingerprint, self.teacher = fingerprint, teacher
        self._record = f"{paths.program()} record --task {task_name} --teacher {teacher}"
        self.again = f"delete {self.folder} and record again: {self._record}"
        self.shards: list[dict[str, Any]] = []
        self.open()

    def open(self) -> None:
        """Reads the index, maps the shards, checks their checksums and sorts the ids. Call it again
        to see what another process recorded since.

        The row with the n-th id is number `_rows[n]` of all shards, one after the other; shard s
        begins at number `_starts[s]`.
        """
        if self._index.is_file():
            index = files.read_json(self._index, "checksum", remedy=self.again)
            if index["fingerprint"] != self.fingerprint:
                raise UserError(f"{self.folder} holds outputs of another teacher: {self.again}")
            self.shards = index["shards"]
        self._mapped = []
        ids = [np.zeros(0, np.uint64)]
        for shard in self.shards:
            path = self.folder / shard["file"]
            if not path.is_file() or files.sha256(path) != shard["sha256"]:
                raise UserError(f"{path} is missing or damaged: {self.again}")
            try:
                file: Any = safe_open(path, framework="pt")
                ids.append(file.get_tensor("ids").numpy().view(np.uint64))
                self._mapped.append(file.get_tensor("logits").numpy())
            except SafetensorError as error:
                raise UserError(f"{path} is damaged ({error}): {self.again}") from None
        self._starts = np.cumsum([len(some) for some in ids])
        self._ids = np.concatenate(ids)
        self._rows = np.argsort(self._ids)
        self._ids = self._ids[self._rows]

    def __len__(self) -> int:
        return len(self._ids)

    def has(self, ids: np.ndarray) -> np.ndarray:
        """(N,) bool: which ids are recorded."""
        if not len(self._ids):
            return np.zeros(len(ids), bool)
        at = np.searchsorted(self._ids, ids).clip(max=len(self._ids) - 1)
        result: np.ndarray = self._ids[at] == ids
        return result

    def check(self, ids: np.ndarray) -> None:
        """UserError unless every row is recorded."""
        if missing := int((~self.has(ids)).sum()):
            raise UserError(
                f"teacher {self.teacher} has no recorded outputs for {missing} of {len(ids)} rows:"
                f" {self._record}"
            )

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """(N, C) fp32 in the order of `ids`. Raises UserError where one is not recorded."""
        self.check(ids)
        rows = self._rows[np.searchsorted(self._ids, ids)]
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        rows -= self._starts[shards]
        found = np.empty((len(ids), self._mapped[0].shape[1]), np.float32)
        for place, (shard, row) in enumerate(zip(shards.tolist(), rows.tolist(), strict=True)):
            found[place] = self._mapped[shard][row]
        return found

    def record(
        self,
        ids: np.ndarray,
        encoded: Encoded,
        logits_of: Callable[[Encoded, Callable[[int], None]], np.ndarray],
        main: bool,
    ) -> int:
        """Records the rows that are missing; gives how many that were.

        ids: (N,) uint64 of the rows of `encoded`; repeats share one output.
        logits_of: (rows, progress in tokens) -> (n, C). main: whether this process writes.
        """
        todo = self._missing(ids, encoded.lengths)
        bar = progress.bar(
            total=int(encoded.lengths[todo].sum()),
            desc=f"recording {self.teacher} on {len(todo)} rows",
            unit=" tokens",
            unit_scale=True,
            disable=not len(todo),
        )
        for start in range(0, len(todo), SHARD_ROWS):
            rows = todo[start : start + SHARD_ROWS]
            logits = logits_of(encoded.take(rows), bar.update)
            if main:
                self._write(ids[rows], logits)
        bar.close()
        if main:
            self.open()
        return len(todo)

    def _missing(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The rows to record: of each id that has no outputs the first, from the longest on."""
        first = np.unique(ids, return_index=True)[1]
        first = first[~self.has(ids[first])]
        # Ids break ties of length: the order, and so every batch, is the same after a kill.
        result: np.ndarray = first[np.lexsort((ids[first], -lengths[first]))]
        return result

    def _write(self, ids: np.ndarray, logits: np.ndarray) -> None:
        name = f"{len(self.shards):06d}.safetensors"
        tensors = {"ids": torch.from_numpy(ids.view(np.int64)), "logits": torch.from_numpy(logits)}
        files.write_tensors(self.folder / name, tensors)
        checksum = files.sha256(self.folder / name)
        self.shards.append({"file": name, "rows": len(ids), "sha256": checksum})
        index = {"fingerprint": self.fingerprint, "teacher": self.teacher, "shards": self.shards}
        files.write_json(self._index, index)
