"""A saved model that answers texts: reading, batches, outputs, answers."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from distillery import kinds
from distillery.errors import UserError, reason
from distillery.kinds.base import Answer
from distillery.runtime.facts import ONNX, read_facts
from distillery.text import encode
from distillery.text.encode import Encoded, Reader

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENS = 8192  # of one batch with its padding: what fits a CPU's caches


class Predictor:
    """A model folder that distillery saved. A subclass says how a batch is computed.

    kind: of its task. names: of its outputs, in order. pairs: whether it reads pairs of texts.
    one_by_one: whether a text's answer would depend on the texts beside it in a batch.
    """

    one_by_one = False

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            wrong = "is a file: name its folder" if folder.is_file() else "does not exist"
            raise UserError(f"model folder {folder} {wrong}")
        self.facts = read_facts(folder)
        self.config = _config(folder / "config.json")
        self.kind = kinds.get(self.facts["kind"])
        self.names = _names(self.config, self.facts["labels"])
        self.pairs: bool = self.facts["pairs"]
        self.reader = _reader(folder, self.config, self.facts)

    def batch_outputs(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """`Encoded.batch` of one row or more -> outputs (B, C) fp32."""
        raise NotImplementedError

    def outputs(
        self, encoded: Encoded, progress: Callable[[int], object] = lambda tokens: None
    ) -> np.ndarray:
        """The outputs (N, C) of every text, in order. UserError if one is not finite.

        progress: called with the number of tokens after each batch.
        """
        outputs = np.empty((len(encoded), len(self.names)), np.float32)
        for rows in encode.inference_batches(encoded.lengths, 1 if self.one_by_one else TOKENS):
            computed = self.batch_outputs(encoded.take(rows).batch(np.arange(len(rows))))
            if computed.shape != (len(rows), len(self.names)):
                raise UserError(
                    f"the model's outputs have the shape {computed.shape}, not the"
                    f" {(len(rows), len(self.names))} of its configuration"
                )
            outputs[rows] = computed
            progress(int(encoded.lengths[rows].sum()))
        bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
        if len(bad):
            raise UserError(f"the model's output for text {bad[0] + 1} is not finite")
        return outputs

    def answers(self, texts: list[str], pairs: list[str] | None = None) -> list[Answer]:
        """An answer to each text, or to each pair of texts."""
        outputs = self.outputs(self.reader.encode(texts, pairs))
        return [self.kind.answer(row, self.names) for row in outputs]


class OnnxPredictor(Predictor):
    """An exported model, run by ONNX Runtime."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        super().__init__(folder)
        # an int8 model scales its inputs by the largest value in the batch
        self.one_by_one = self.facts["precision"] == "int8"
        self.session = open_session(folder / ONNX, threads or _threads())

    def batch_outputs(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        return run(self.session, batch)


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU. UserError if the file is damaged."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised, not printed
    # threads that wait for the next batch sleep instead of spinning
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exception types are not public
        raise UserError(f"{path} holds no whole model ({reason(error)})") from None


def run(session: onnxruntime.InferenceSession, batch: dict[str, np.ndarray]) -> np.ndarray:
    """The outputs (B, C) fp32 of a batch of `INPUTS`, (B, T) int64 each.

    UserError if the model can't read it.
    """
    try:
        (outputs,) = session.run(["logits"], {name: batch[name] for name in INPUTS})
    except Exception as error:  # as above
        raise UserError(f"the ONNX model cannot read a batch ({reason(error)})") from None
    return np.asarray(outputs, np.float32)


def _threads() -> int:
    """OMP_NUM_THREADS if that is set, else the CPUs this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) else len(os.sched_getaffinity(0))


def _config(path: Path) -> dict[str, Any]:
    """The object in a file that another library wrote."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path.parent} holds no model ({reason(error)})") from None
    if not isinstance(config, dict):
        raise UserError(f"{path.parent} holds no model ({path.name} is no JSON object)")
    return config


def _names(config: dict[str, Any], labels: list[str]) -> list[str]:
    """The model's own names of its outputs, which may have been changed since it was saved."""
    names = config.get("id2label")
    if not isinstance(names, dict) or sorted(names) != sorted(map(str, range(len(names)))):
        return labels
    return [str(names[str(number)]) for number in range(len(names))]


def _reader(folder: Path, config: dict[str, Any], facts: dict[str, Any]) -> Reader:
    """How the model reads texts: by its tokenizer.json, as in training."""
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises plain exceptions
        raise UserError(f"{folder} holds no tokenizer ({reason(error)})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    pad = config.get("pad_token_id")
    if not isinstance(pad, int):
        raise UserError(f"{folder} names no padding token (pad_token_id of config.json)")
    return Reader(tokenizer, pad, facts["max_length"], facts["head"])
