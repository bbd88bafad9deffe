"""ONNX Runtime: a model file as a function from batches to logits."""

import os
from pathlib import Path

import numpy as np
import onnxruntime

from distillery.errors import UserError, reason

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def threads() -> int:
    """OMP_NUM_THREADS where that is set, else the CPUs this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) else len(os.sched_getaffinity(0))


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU. UserError where the file is damaged."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised, not printed
    # threads that wait for the next batch sleep instead of spinning
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of many kinds, which all mean: no whole model
        raise UserError(f"{path} holds no whole model ({reason(error)})") from None


def logits(session: onnxruntime.InferenceSession, batch: dict[str, np.ndarray]) -> np.ndarray:
    """The logits (B, labels) fp32 of a batch of `INPUTS`, (B, T) int64 each.

    UserError where the model cannot read it.
    """
    try:
        (found,) = session.run(["logits"], {name: batch[name] for name in INPUTS})
    except Exception as error:  # ONNX Runtime's exception types, none of which is public
        raise UserError(f"the ONNX model cannot read a batch ({reason(error)})") from None
    return np.asarray(found, np.float32)
