"""Training steps as CUDA graphs: a GPU does a step's kernels faster than Python launches them.

A graph launches them all at once: a step of bert-base's shape on 32 texts took 19 ms on an H200 in
place of the Trainer's 64 (`benchmarks/training_gpu.md`). A graph holds one shape of batch, and
batches are multiples of 8 tokens long, so there are few. A new shape runs eagerly first, is
captured the second time, and replayed from then on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BertForSequenceClassification

from distillery import kernels
from distillery.kernels.hardware import accelerator

Batch = dict[str, Tensor]


def can_hold(model: torch.nn.Module) -> bool:
    """Whether a model's steps can be graphs: those of BERT and of students that say so, where one
    process has one GPU and kernels are on."""
    fits = isinstance(model, BertForSequenceClassification) or getattr(model, "capturable", False)
    alone = accelerator().device.type == "cuda" and accelerator().num_processes == 1
    return fits and kernels.on() and alone


@dataclass(frozen=True)
class _Graph:
    graph: torch.cuda.CUDAGraph
    batch: Batch  # what it reads
    loss: Tensor  # what it writes beside the weights


class Graphs:
    """Runs a step by a graph for each shape of its batch.

    step: batch on the GPU -> its loss; it does the same kernels whenever the shape is the same.
    """

    def __init__(self, step: Callable[[Batch], Tensor]) -> None:
        self.step = step
        self.graphs: dict[tuple[object, ...], _Graph | None] = {}
        self.pool: Any = None  # of memory, the same for all: no two graphs run at once

    def run(self, batch: Batch) -> Tensor:
        """The loss of a batch, wherever that lies; the GPU may still be at work on it."""
        key = tuple((name, tensor.shape, tensor.dtype) for name, tensor in batch.items())
        if key not in self.graphs:
            self.graphs[key] = None
            return self.step({n: t.to(accelerator().device) for n, t in batch.items()})
        held = self.graphs[key] or self._captured(batch)
        self.graphs[key] = held
        for name, tensor in batch.items():
            pinned = tensor if tensor.is_cuda else tensor.pin_memory()
            held.batch[name].copy_(pinned, non_blocking=True)
        held.graph.replay()
        return held.loss.clone()

    def _captured(self, batch: Batch) -> _Graph:
        graph = torch.cuda.CUDAGraph()
        places = {n: torch.empty_like(t, device=accelerator().device) for n, t in batch.items()}
        with torch.cuda.graph(graph, pool=self.pool):
            loss = self.step(places)
        self.pool = graph.pool()
        return _Graph(graph, places, loss)
