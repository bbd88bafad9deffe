"""The only training loop: one phase of a recipe, from a model to its best epoch on dev.

A checkpoint holds everything the loop needs to go on to the same numbers: weights, optimizer,
random state, place in the epoch, history. It is one file, replaced whole.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from distillery import files
from distillery.errors import UserError
from distillery.recipes import Phase
from distillery.text import batches
from distillery.training import machine
from distillery.training.processes import accelerator

CHECK_EVERY = {"cpu": 1, "cuda": 20}  # steps between looks at the loss; a look stalls a GPU
LOG_EVERY = 20  # steps between TensorBoard events

Batch = dict[str, torch.Tensor]


@dataclass
class Progress:
    """Where a phase stands. `history`: dev metrics after each epoch."""

    epoch: int = 0
    batch: int = 0  # batches of the epoch that are done
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def best(self, metric: str) -> int:
        """The epoch with the highest dev metric, the first one of equals."""
        values = [entry[metric] for entry in self.history]
        return values.index(max(values))


@dataclass(frozen=True)
class Job:
    """What a phase trains on.

    lengths: (N,) of the rows. batch_of: row numbers -> inputs and whatever the loss needs.
    loss_of: (model output, batch) -> scalar. evaluate: dev metrics of the model, selected by the
    highest `metric`.
    """

    phase: Phase
    lengths: np.ndarray
    batch_of: Callable[[np.ndarray], Batch]
    loss_of: Callable[[Any, Batch], torch.Tensor]
    evaluate: Callable[[], dict[str, float]]
    metric: str
    precision: str
    seed: int
    title: str


def learning_rate(phase: Phase, step: int, steps: int) -> float:
    """Linear warm-up, then linear decay to zero at the last step."""
    warm = phase.warmup * steps
    if step < warm:
        return phase.learning_rate * (step + 1) / (warm + 1)
    return phase.learning_rate * (steps - step) / max(1.0, steps - warm)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices, none on biases, norms and embeddings."""
    embeddings = {
        id(weight)
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding)
        for weight in module.parameters()
    }
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for weight in model.parameters():
        if weight.requires_grad:
            (plain if weight.ndim < 2 or id(weight) in embeddings else decayed).append(weight)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


class Checkpoint:
    """Saves and restores a running phase in one file of `folder`, its best weights in another."""

    def __init__(self, folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer):
        self.path, self.best = folder / "checkpoint.safetensors", folder / "best.safetensors"
        self.model, self.optimizer = model, optimizer
        self.weights = [w for group in optimizer.param_groups for w in group["params"]]

    def save(self, progress: Progress) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, weight in enumerate(self.weights):
            for name, tensor in self.optimizer.state[weight].items():
                tensors[f"optimizer.{index}.{name}"] = tensor
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        files.save_tensors(self.path, tensors, vars(progress))

    def load(self) -> Progress:
        """Puts model, optimizer and random state back; gives the progress."""
        if not self.path.is_file():
            return Progress()
        tensors, facts = files.load_tensors(self.path)
        self.model.load_state_dict(
            {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
        )
        for index, weight in enumerate(self.weights):
            prefix = f"optimizer.{index}."
            state = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            self.optimizer.state[weight] = {
                name: tensor if name == "step" else tensor.to(weight.device)
                for name, tensor in state.items()
            }
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        return Progress(**facts)

    def save_best(self) -> None:
        files.save_tensors(self.best, self.model.state_dict(), {})

    def load_best(self) -> None:
        self.model.load_state_dict(files.load_tensors(self.best)[0])


class _Losses:
    """The losses not yet looked at; a look raises at the first one that is not finite."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self.waiting: list[tuple[int, torch.Tensor]] = []
        self.last = float("nan")

    def add(self, step: int, loss: torch.Tensor) -> None:
        self.waiting.append((step, loss.detach()))
        if len(self.waiting) >= self.every:
            self.look()

    def look(self) -> None:
        if not self.waiting:
            return
        values = torch.stack([loss for _, loss in self.waiting]).tolist()
        for (step, _), value in zip(self.waiting, values, strict=True):
            if not np.isfinite(value):
                raise UserError(
                    f"the loss is {value} at step {step + 1}: lower the learning rate"
                    f" (the last good checkpoint is in {self.folder})"
                )
        self.last = values[-1]
        self.waiting.clear()


def train(
    model: torch.nn.Module, job: Job, folder: Path, checkpoint_seconds: float
) -> dict[str, Any]:
    """Trains through the phase, leaves `model` with its best weights on dev.

    Goes on from the checkpoint in `folder` where there is one. Returns the facts of the phase:
    `epochs`, `seconds`, `rows`, `history`, `best_epoch` and the dev metrics there.
    """
    phase, main = job.phase, accelerator().is_main_process
    model.to(machine.device())
    optimizer = torch.optim.AdamW(
        parameter_groups(model, phase.weight_decay), lr=phase.learning_rate, fused=True
    )
    checkpoint = Checkpoint(folder, model, optimizer)
    progress = checkpoint.load()
    if progress.step:
        logging.info("%s: going on after step %d", job.title, progress.step)
    wrapped = accelerator().prepare_model(model)
    writer = SummaryWriter(str(folder / "events"), purge_step=progress.step) if main else None
    losses = _Losses(folder, CHECK_EVERY[machine.device().type])
    per_epoch = -(-len(job.lengths) // phase.batch_size)
    steps = per_epoch * phase.epochs
    bar = tqdm(total=steps, initial=progress.step, desc=job.title, unit=" steps", disable=not main)
    clock = saved = time.monotonic()
    while progress.epoch < phase.epochs:
        model.train()
        for rows in _batches(job, progress):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(phase, progress.step, steps)
            loss = _step(wrapped, optimizer, job, rows)
            losses.add(progress.step, loss)
            progress.step += 1
            progress.batch += 1
            bar.update()
            if writer and progress.step % LOG_EVERY == 0:
                writer.add_scalar("loss", losses.last, progress.step)
                writer.add_scalar("learning_rate", group["lr"], progress.step)
                bar.set_postfix(loss=f"{losses.last:.4f}", refresh=False)
            if main and time.monotonic() - saved > checkpoint_seconds:
                losses.look()
                progress.seconds += time.monotonic() - clock
                checkpoint.save(progress)
                clock = saved = time.monotonic()
        losses.look()
        progress.seconds += time.monotonic() - clock
        progress.history.append(job.evaluate())
        progress.epoch, progress.batch = progress.epoch + 1, 0
        if main:
            if progress.best(job.metric) == progress.epoch - 1:
                checkpoint.save_best()
            checkpoint.save(progress)
        if writer:
            for name, value in progress.history[-1].items():
                writer.add_scalar(f"dev/{name}", value, progress.step)
        logging.info(
            "%s: epoch %d of %d, dev %s %.4f",
            *(job.title, progress.epoch, phase.epochs, job.metric),
            progress.history[-1][job.metric],
        )
        clock = saved = time.monotonic()
    bar.close()
    if writer:
        writer.close()
    accelerator().wait_for_everyone()
    checkpoint.load_best()
    del optimizer, wrapped
    model.zero_grad(set_to_none=True)
    machine.release_memory()
    best = progress.best(job.metric)
    return {
        "epochs": phase.epochs,
        "rows": len(job.lengths),
        "seconds": round(progress.seconds, 2),
        "best_epoch": best + 1,
        "dev": progress.history[best],
        "history": progress.history,
    }


def _batches(job: Job, progress: Progress) -> Iterator[np.ndarray]:
    """The rows of the batches of this epoch that are still to do."""
    plan = batches.training(job.lengths, job.phase.batch_size, job.seed, progress.epoch)
    yield from plan[progress.batch :]


def _step(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, job: Job, rows: np.ndarray
) -> torch.Tensor:
    """One optimizer step on a global batch, of which each process takes its share of rows."""
    processes, rank = accelerator().num_processes, accelerator().process_index
    mine = rows[rank::processes] if len(rows) >= processes else rows
    batch = {name: tensor.to(machine.device()) for name, tensor in job.batch_of(mine).items()}
    inputs = {n: batch[n] for n in ("input_ids", "attention_mask", "token_type_ids")}
    with machine.autocast(job.precision):
        output = model(**inputs)
    loss = job.loss_of(output, batch)
    if len(rows) >= processes:  # DDP averages over processes: weigh by each one's rows
        loss = loss * (len(mine) * processes / len(rows))
    optimizer.zero_grad(set_to_none=True)
    accelerator().backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), job.phase.max_grad_norm, foreach=True)
    optimizer.step()
    return loss
