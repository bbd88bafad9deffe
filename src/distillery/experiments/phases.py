"""The phases of a recipe as jobs of the training loop: for teachers, students and pruned models."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distillery.data import store
from distillery.data.store import Split
from distillery.data.task import Task
from distillery.distillation import layers, losses
from distillery.distillation.layers import Layers
from distillery.distillation.losses import Losses
from distillery.distillation.signals import Signal, Taught
from distillery.errors import UserError
from distillery.kernels import fast_bert, hardware
from distillery.models.saved import Model
from distillery.recipes import Phase
from distillery.text import encode
from distillery.training import inference, loop

Compared = tuple[layers.Source, layers.Source]  # what student and teacher give of their layers
LABELS_ALONE = Taught()


def jobs(
    model: Model,
    phases: Sequence[Phase],
    task: Task,
    title: str,
    seed: int,
    taught: Taught = LABELS_ALONE,
    compared: Compared | None = None,
) -> Iterator[tuple[nn.Module, loop.Job]]:
    """Per phase the module that is trained, and its job; dev selects the epoch of each.

    taught: what losses may learn from beside labels. compared: for losses on layers.
    """
    fast_bert.use_in(model.network)
    model.network.to(hardware.device())
    reader = model.reader()
    evaluate = partial(scores_on_dev, model, task)
    for number, phase in enumerate(phases, start=1):
        loss = Losses(phase.losses, task.kind.name, *(compared or ()))
        signal = taught.signal(loss.needs)
        splits = rows_of(task, phase.splits)
        text = encode.joined([reader.encode_split(task.name, split) for split in splits])
        labels = np.concatenate([split.labels for split in splits])
        ids = np.concatenate([split.ids for split in splits])
        signal.check(ids)
        module = _learner(model.network, loss)
        loss_of = partial(_loss, loss, signal)
        judge: Callable[[], dict[str, float]] = evaluate
        metric = task.metric
        if not losses.on_outputs(phase.losses):
            dev = reader.encode_split(task.name, store.read_split(task.name, "dev"))
            judge = partial(_mean_loss, dev, module, loss_of, model.precision)
            metric = loop.LOSS
        yield (
            module,
            loop.Job(
                phase=phase,
                lengths=text.lengths,
                batch_of=partial(_batch, text, labels, ids, signal),
                loss_of=loss_of,
                evaluate=judge,
                metric=metric,
                precision=model.precision,
                seed=seed,
                title=f"{title}, seed {seed}" + (f", phase {number}" if len(phases) > 1 else ""),
            ),
        )


def scores_on_dev(model: Model, task: Task) -> dict[str, float]:
    """The task's metrics of a model on dev."""
    dev = store.read_split(task.name, "dev")
    text = model.reader().encode_split(task.name, dev)
    outputs = inference.logits(model.network, text, model.precision, "dev")
    return task.kind.scores(task.metric, dev.labels, task.kind.decode(outputs))


def rows_of(task: Task, names: Sequence[str]) -> list[Split]:
    """The splits that have rows; UserError where none has."""
    splits = [store.read_split(task.name, name) for name in names]
    if not any(map(len, splits)):
        raise UserError(f"task {task.name} has no rows in {', '.join(names)}")
    return [split for split in splits if len(split)]


class _Learner(nn.Module):
    """A student and what its losses learn beside it: one module for the optimizer, checkpoints and
    several processes. The student alone is saved at the end."""

    def __init__(self, student: Any, loss: Losses) -> None:
        super().__init__()
        self.student, self.loss = layers.WithLayers(student), loss

    def forward(self, **inputs: Tensor) -> Layers:
        found: Layers = self.student(**inputs)
        return found


def _learner(network: Any, loss: Losses) -> nn.Module:
    """What a phase trains: the network itself, or, with losses on layers, a module around it."""
    if len(loss.on_layers):
        return _Learner(network, loss)
    fast_bert.use_in(network)
    return network  # type: ignore[no-any-return]


def _loss(loss: Losses, signal: Signal, output: Any, batch: loop.Batch) -> Tensor:
    total: Tensor = loss(output, signal.give(batch), batch)
    return total


def _batch(
    text: encode.Encoded, labels: np.ndarray, ids: np.ndarray, signal: Signal, rows: np.ndarray
) -> loop.Batch:
    """Row numbers (B,) -> inputs, labels and what was recorded of the teachers."""
    return {
        **inference.tensors(text, rows),
        "labels": torch.from_numpy(labels[rows]),
        **signal.read(ids[rows]),
    }


def _mean_loss(
    text: encode.Encoded, module: nn.Module, loss_of: Callable[..., Tensor], precision: str
) -> dict[str, float]:
    """The mean loss over all rows, for a phase that trains layers alone."""
    module.eval()
    total = 0.0
    with torch.inference_mode():
        for rows in encode.inference_batches(text.lengths, inference.tokens_per_batch()):
            batch = {
                name: t.to(hardware.device()) for name, t in inference.tensors(text, rows).items()
            }
            with hardware.autocast(precision):
                output = module(**batch)
            total += len(rows) * float(loss_of(output, batch))
    module.train()
    return {loop.LOSS: total / len(text)}
