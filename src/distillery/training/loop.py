"""The only training loop: one phase of a recipe, from a model to its best epoch on dev, with AdamW
and, for large sparse tables, a lazy Adam."""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import files
from distillery import progress as bars
from distillery.errors import UserError
from distillery.kernels import graphs, hardware
from distillery.kernels.hardware import accelerator
from distillery.recipes import Phase
from distillery.text import encode
from distillery.training.checkpoint import Checkpoint, Progress

CHECK_EVERY = {"cpu": 1, "cuda": 20}  # steps between reads of the loss, which make a GPU wait
LOG_EVERY = 20  # steps between TensorBoard events
LOSSES_SHOWN = 100  # steps averaged, about, in the loss on the progress bar
MAX_GRAD_NORM = 1.0  # gradients are clipped to it
LOSS = "loss"  # the metric of a phase that has no better one

Batch = graphs.Batch


@dataclass(frozen=True)
class Job:
    """What a phase trains on.

    lengths: (N,) of the rows. batch_of: row numbers -> inputs and whatever the loss needs.
    loss_of: (model output, batch) -> scalar. evaluate: dev metrics of the model. metric: the one
    that selects the epoch; `evaluation.LOWER_IS_BETTER` says which are to be low.
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


def train(
    model: torch.nn.Module, job: Job, folder: Path, checkpoint_seconds: float
) -> dict[str, Any]:
    """Trains through the phase and leaves `model` with its best weights on dev.

    Resumes from the checkpoint in `folder` if there is one. Returns the facts of the phase:
    `epochs`, `seconds`, `rows`, `history`, `best_epoch` and the dev metrics there.
    """
    model.to(hardware.device())
    training = _Training(model, job, folder)
    progress = training.progress
    if progress.step:
        logging.info("%s: resuming after step %d", job.title, progress.step)
    with files.naming(folder / "events"), closing(_Display(job, folder, training)) as display:
        while progress.epoch < job.phase.epochs:
            training.epoch(display, checkpoint_seconds)
            training.select()
            display.epoch(progress)
    accelerator().wait_for_everyone()
    training.checkpoint.load_best()
    training.graphs = None  # it refers back: its memory would stay until garbage is collected
    del training
    model.zero_grad(set_to_none=True)
    set_sparse(model, False)  # other optimizers take dense gradients only
    hardware.release_memory()
    best = progress.best(job.metric)
    return {
        "epochs": job.phase.epochs,
        "rows": len(job.lengths),
        "seconds": round(progress.seconds, 2),
        "best_epoch": best + 1,
        "dev": progress.history[best],
        "history": progress.history,
    }


class _Training:
    """A phase under way: the model, its optimizers, and how far it has come."""

    def __init__(self, model: torch.nn.Module, job: Job, folder: Path) -> None:
        self.job = job
        captured = graphs.can_hold(model)
        self.graphs = graphs.Graphs(self._update) if captured else None
        self.optimizers = create_optimizers(model, job.phase, captured)
        self.checkpoint = Checkpoint(folder, model, self.optimizers)
        self.progress = self.checkpoint.load(job.precision)
        self.model = accelerator().prepare_model(model)
        self.losses = _Losses(folder, CHECK_EVERY[hardware.device().type], self.progress.loss)
        self.steps = -(-len(job.lengths) // job.phase.batch_size) * job.phase.epochs

    def epoch(self, display: "_Display", checkpoint_seconds: float) -> None:
        """The rest of an epoch, with a checkpoint every `checkpoint_seconds`."""
        progress, since = self.progress, time.monotonic()
        self.model.train()
        for rows in _batches(self.job, progress):
            rate = learning_rate(self.job.phase, progress.step, self.steps)
            self.losses.add(progress.step, self._step(rows, rate))
            progress.step += 1
            progress.batch += 1
            display.step(progress, self.losses, rate)
            if time.monotonic() - since > checkpoint_seconds:
                self._update_progress(since)
                self._save()
                since = time.monotonic()
        self._update_progress(since)
        progress.epoch, progress.batch = progress.epoch + 1, 0

    def _step(self, rows: np.ndarray, rate: float) -> torch.Tensor:
        """One optimizer step on a global batch, of which each process takes its share of rows."""
        processes, rank = accelerator().num_processes, accelerator().process_index
        share = len(rows) >= processes  # otherwise every process takes them all
        mine = rows[rank::processes] if share else rows
        batch = self.job.batch_of(mine)
        set_rate(self.optimizers, rate)
        if self.graphs:
            return self.graphs.run(batch)
        # DDP averages over processes: weight by each one's rows
        weight = len(mine) * processes / len(rows) if share else 1.0
        return self._update({n: t.to(hardware.device()) for n, t in batch.items()}, weight)

    def _update(self, batch: Batch, weight: float = 1.0) -> torch.Tensor:
        """Updates the weights by the gradient of a batch's loss times `weight`; returns that."""
        inputs = {n: batch[n] for n in ("input_ids", "attention_mask", "token_type_ids")}
        with hardware.autocast(self.job.precision):
            output = self.model(**inputs)
        loss = self.job.loss_of(output, batch) * weight
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        accelerator().backward(loss)
        clip(self.optimizers)
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.detach()

    def select(self) -> None:
        """Evaluates on dev after an epoch and keeps the weights if they are the best so far."""
        self.progress.history.append(self.job.evaluate())
        best = self.progress.best(self.job.metric) == self.progress.epoch - 1
        if best and accelerator().is_main_process:
            self.checkpoint.save_best()
        self._save()

    def _update_progress(self, since: float) -> None:
        """Adds the losses that wait and the seconds since a time."""
        self.progress.loss = self.losses.read()
        self.progress.seconds += time.monotonic() - since

    def _save(self) -> None:
        if accelerator().is_main_process:
            self.checkpoint.save(self.progress)


def _batches(job: Job, progress: Progress) -> list[np.ndarray]:
    """The rows of the batches of this epoch that are still to do."""
    plan = encode.training_batches(job.lengths, job.phase.batch_size, job.seed, progress.epoch)
    return plan[progress.batch :]


class _Losses:
    """Losses, read from the device in groups of `every`; UserError at one that is not finite.

    last: the last loss read. mean: their running mean, over all steps at first, then exponential.
    """

    def __init__(self, folder: Path, every: int, mean: float = 0.0) -> None:
        self.folder, self.every = folder, every
        self.waiting: list[tuple[int, torch.Tensor]] = []
        self.last, self.mean = float("nan"), mean

    def add(self, step: int, loss: torch.Tensor) -> None:
        self.waiting.append((step, loss.detach()))
        if len(self.waiting) >= self.every:
            self.read()

    def read(self) -> float:
        """Reads the losses that wait; returns the running mean."""
        values = torch.stack([loss for _, loss in self.waiting]).tolist() if self.waiting else []
        for (step, _), value in zip(self.waiting, values, strict=True):
            if not np.isfinite(value):
                raise UserError(
                    f"the loss is {value} at step {step + 1}: lower the learning rate"
                    f" (the last good checkpoint is in {self.folder})"
                )
            self.mean += (value - self.mean) / min(step + 1, LOSSES_SHOWN)
            self.last = value
        self.waiting.clear()
        return self.mean


class _Display:
    """The progress bar and the TensorBoard events of a phase, in the main process only; no events
    without tensorboard, an extra."""

    def __init__(self, job: Job, folder: Path, training: _Training) -> None:
        self.job, done, self.writer = job, training.progress.step, None
        if accelerator().is_main_process and find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder / "events"), purge_step=done)
        about = {"total": training.steps, "initial": done, "desc": job.title}
        self.bar = bars.bar(**about, unit=" steps", leave=True)

    def close(self) -> None:
        self.bar.close()
        if self.writer:
            self.writer.close()

    def step(self, progress: Progress, losses: _Losses, rate: float) -> None:
        self.bar.update()
        if progress.step % LOG_EVERY == 0:
            if self.writer:
                self.writer.add_scalar("loss", losses.last, progress.step)
                self.writer.add_scalar("learning_rate", rate, progress.step)
            self.bar.set_postfix(loss=f"{losses.mean:.4f}", refresh=False)

    def epoch(self, progress: Progress) -> None:
        metrics = progress.history[-1]
        if self.writer:
            for name, value in metrics.items():
                self.writer.add_scalar(f"dev/{name}", value, progress.step)
        title, epochs, metric = self.job.title, self.job.phase.epochs, self.job.metric
        logging.info(
            "%s: epoch %d of %d, loss %.4f, dev %s %.4f",
            *(title, progress.epoch, epochs, progress.loss, metric, metrics[metric]),
        )


def learning_rate(phase: Phase, step: int, steps: int) -> float:
    """Linear warm-up, then linear decay to zero at the last step."""
    warm = phase.warmup * steps
    if step < warm:
        return phase.learning_rate * (step + 1) / (warm + 1)
    return phase.learning_rate * (steps - step) / max(1.0, steps - warm)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices, none on biases, norms and embeddings."""
    embeddings = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    spared = {id(weight) for weight in model.parameters() if weight.ndim < 2}
    spared |= {id(weight) for weight in embeddings}
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return [
        {"params": [w for w in weights if id(w) not in spared], "weight_decay": weight_decay},
        {"params": [w for w in weights if id(w) in spared], "weight_decay": 0.0},
    ]


def create_optimizers(
    model: torch.nn.Module, phase: Phase, captured: bool = False
) -> list[torch.optim.Optimizer]:
    """AdamW for the model; after it a lazy Adam if the model has n-gram tables (`models.bag`),
    whose gradients become sparse, since a batch reads only a few of their rows.

    captured: steps run in a CUDA graph, which reads the learning rate from GPU memory.
    """
    groups = parameter_groups(model, phase.weight_decay)
    tables = set_sparse(model, True)
    sparse = {id(weight) for weight in tables}
    for group in groups:
        group["params"] = [weight for weight in group["params"] if id(weight) not in sparse]
    rate: Any = phase.learning_rate
    if captured:
        rate = torch.tensor(rate, device=hardware.device())
    dense = torch.optim.AdamW(groups, lr=rate, fused=True, capturable=captured)
    lazy = [torch.optim.SparseAdam(tables, lr=phase.learning_rate)] if tables else []
    return [dense, *lazy]


def set_sparse(model: torch.nn.Module, sparse: bool) -> list[torch.Tensor]:
    """Makes the gradients of a model's n-gram tables sparse or dense; returns their weights."""
    tables = [module for module in model.modules() if isinstance(module, torch.nn.EmbeddingBag)]
    for table in tables:
        table.sparse = sparse
    return [table.weight for table in tables]


def set_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):  # read by a CUDA graph
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def clip(optimizers: list[torch.optim.Optimizer]) -> None:
    """Clips the norm of the dense gradients to `MAX_GRAD_NORM`. Fused AdamW divides by `grad_scale`
    as it reads them, which saves a pass over every gradient."""
    dense: Any = optimizers[0]
    weights = [weight for group in dense.param_groups for weight in group["params"]]
    grads = [weight.grad for weight in weights if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads, foreach=True)
    dense.grad_scale = (norm / MAX_GRAD_NORM).clamp(min=1.0)
    dense.found_inf = torch.zeros_like(norm)
