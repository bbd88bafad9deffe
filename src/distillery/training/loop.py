"""The only training loop: one phase of a recipe, from a model to its best epoch on dev.

A checkpoint holds everything the loop needs to go on to the same numbers: weights, optimizer,
random state, place in the epoch, history. It is one file, replaced whole.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import files
from distillery import progress as bars
from distillery.errors import UserError
from distillery.kernels import graphs, hardware
from distillery.kernels.processes import accelerator
from distillery.recipes import Phase
from distillery.text import batches

CHECK_EVERY = {"cpu": 1, "cuda": 20}  # steps between looks at the loss; a look stalls a GPU
LOG_EVERY = 20  # steps between TensorBoard events
LOSSES_SHOWN = 100  # steps that the loss on the progress bar is the mean of, about

LOSS = "loss"  # the metric of a phase that has no better one

Batch = graphs.Batch


@dataclass
class Progress:
    """How far a phase has come, and the precision it is trained in. `loss`: its running mean.
    `history`: dev metrics after each epoch."""

    epoch: int = 0
    batch: int = 0  # batches of the epoch that are done
    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    precision: str = ""  # empty in checkpoints that do not say

    def best(self, metric: str) -> int:
        """The epoch with the highest dev metric, or the lowest loss, the first one of equals."""
        values = [entry[metric] for entry in self.history]
        return values.index(min(values) if metric == LOSS else max(values))


@dataclass(frozen=True)
class Job:
    """What a phase trains on.

    lengths: (N,) of the rows. batch_of: row numbers -> inputs and whatever the loss needs.
    loss_of: (model output, batch) -> scalar. evaluate: dev metrics of the model, selected by the
    highest `metric`, or the lowest `LOSS`.
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


def optimizers(
    model: torch.nn.Module, phase: Phase, captured: bool = False
) -> list[torch.optim.Optimizer]:
    """AdamW for the model, and lazy Adam for tables of n-grams (`models.bag`), whose gradients
    become sparse here: a batch reads few of their rows.

    captured: in a CUDA graph, which reads the learning rate from the GPU.
    """
    groups = parameter_groups(model, phase.weight_decay)
    tables = _set_sparse(model, True)
    sparse = {id(weight) for weight in tables}
    for group in groups:
        group["params"] = [weight for weight in group["params"] if id(weight) not in sparse]
    rate: Any = phase.learning_rate
    if captured:
        rate = torch.tensor(rate, device=hardware.device())
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=rate, fused=True, capturable=captured)
    ]
    if tables:
        found.append(torch.optim.SparseAdam(tables, lr=phase.learning_rate))
    return found


def _set_sparse(model: torch.nn.Module, sparse: bool) -> list[torch.Tensor]:
    """Makes the gradients of a model's tables of n-grams sparse or dense; gives their weights."""
    tables = [module for module in model.modules() if isinstance(module, torch.nn.EmbeddingBag)]
    for table in tables:
        table.sparse = sparse
    return [table.weight for table in tables]


class Average:
    """An exponential moving average of weights (Polyak & Juditsky 1992), young at the start."""

    def __init__(self, weights: list[torch.Tensor], decay: float) -> None:
        self.weights, self.decay = weights, decay
        self.means = [weight.detach().clone() for weight in weights] if decay else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.means, self.weights, 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averaged weights meanwhile."""
        self._swap()
        yield
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, average in zip(self.weights, self.means, strict=False):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)


class Checkpoint:
    """Saves and restores a running phase in one file of `folder`, its best weights in another."""

    def __init__(
        self,
        folder: Path,
        model: torch.nn.Module,
        optimizers: list[torch.optim.Optimizer],
        averaging: float = 0.0,
    ):
        self.path, self.best = folder / "checkpoint.safetensors", folder / "best.safetensors"
        self.model = model
        self.owners = [
            (weight, optimizer)
            for optimizer in optimizers
            for group in optimizer.param_groups
            for weight in group["params"]
        ]
        self.weights = [weight for weight, _ in self.owners]
        self.average = Average(self.weights, averaging)

    def save(self, progress: Progress) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, (weight, optimizer) in enumerate(self.owners):
            for name, value in optimizer.state[weight].items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
        for index, mean in enumerate(self.average.means):
            tensors[f"average.{index}"] = mean
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
        for index, (weight, optimizer) in enumerate(self.owners):
            prefix = f"optimizer.{index}."
            state = {
                name.removeprefix(prefix): tensor.to(weight.device)
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            if isinstance(optimizer, torch.optim.SparseAdam):  # counts in a plain number
                state["step"] = int(state["step"])  # type: ignore[assignment]
            optimizer.state[weight] = state
        self.average.means = [
            tensors[f"average.{index}"].to(mean.device)
            for index, mean in enumerate(self.average.means)
        ]
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        return Progress(**facts)

    def save_best(self) -> None:
        files.save_tensors(self.best, self.model.state_dict(), {})

    def load_best(self) -> None:
        remedy = f"delete {self.best.parent} and start again"
        self.model.load_state_dict(files.load_tensors(self.best, remedy)[0])


class _Losses:
    """The losses not yet looked at; a look raises at the first one that is not finite.

    last: the last loss. mean: their running mean, over all steps at first, then exponential.
    """

    def __init__(self, folder: Path, every: int, mean: float = 0.0) -> None:
        self.folder, self.every = folder, every
        self.waiting: list[tuple[int, torch.Tensor]] = []
        self.last, self.mean = float("nan"), mean

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
            self.mean += (value - self.mean) / min(step + 1, LOSSES_SHOWN)
        self.last = values[-1]
        self.waiting.clear()


def _events(folder: Path, step: int) -> Any:
    """The writer of TensorBoard events from this step on; None without tensorboard, an extra."""
    if not find_spec("tensorboard"):
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step)


class _Display:
    """The progress bar and the TensorBoard events of a phase; only the main process has any."""

    def __init__(self, job: Job, folder: Path, progress: Progress, steps: int) -> None:
        main, done = accelerator().is_main_process, progress.step
        self.job = job
        self.writer = _events(folder / "events", done) if main else None
        self.bar = bars.bar(total=steps, initial=done, desc=job.title, unit=" steps", leave=True)

    def __enter__(self) -> "_Display":
        return self

    def __exit__(self, *_: object) -> None:
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
        found = progress.history[-1]
        if self.writer:
            for name, value in found.items():
                self.writer.add_scalar(f"dev/{name}", value, progress.step)
        title, epochs, metric = self.job.title, self.job.phase.epochs, self.job.metric
        logging.info(
            "%s: epoch %d of %d, loss %.4f, dev %s %.4f",
            *(title, progress.epoch, epochs, progress.loss, metric, found[metric]),
        )


def _batches(job: Job, progress: Progress) -> list[np.ndarray]:
    """The rows of the batches of this epoch that are still to do."""
    plan = batches.training(job.lengths, job.phase.batch_size, job.seed, progress.epoch)
    return plan[progress.batch :]


def _check_precision(before: str, now: str, folder: Path) -> None:
    """UserError if a checkpoint was trained in another precision: the recipe leaves that to the
    hardware, which may have changed since."""
    if before not in ("", now):
        raise UserError(
            f"{folder} was trained in {before} so far, and this run would continue in {now}: set"
            f" DISTILLERY_PRECISION={before}, or delete the folder to start over"
        )


class _Training:
    """A phase under way: the model, its optimizer, and where it stands."""

    def __init__(self, model: torch.nn.Module, job: Job, folder: Path) -> None:
        phase = job.phase
        self.job = job
        captured = graphs.can_hold(model)
        self.graphs = graphs.Graphs(self._update) if captured else None
        self.optimizers = optimizers(model, phase, captured)
        self.checkpoint = Checkpoint(folder, model, self.optimizers, phase.averaging)
        self.progress = self.checkpoint.load()
        _check_precision(self.progress.precision, job.precision, folder)
        self.progress.precision = job.precision
        self.model = accelerator().prepare_model(model)
        self.losses = _Losses(folder, CHECK_EVERY[hardware.device().type], self.progress.loss)
        self.steps = -(-len(job.lengths) // phase.batch_size) * phase.epochs

    def epoch(self, display: _Display, checkpoint_seconds: float) -> None:
        """What is left of an epoch, with checkpoints on the way."""
        progress, since = self.progress, time.monotonic()
        self.model.train()
        for rows in _batches(self.job, progress):
            rate = learning_rate(self.job.phase, progress.step, self.steps)
            self.losses.add(progress.step, self._step(rows, rate))
            progress.step += 1
            progress.batch += 1
            display.step(progress, self.losses, rate)
            if time.monotonic() - since > checkpoint_seconds:
                self._look()
                progress.seconds += time.monotonic() - since
                self._save()
                since = time.monotonic()
        self._look()
        progress.seconds += time.monotonic() - since
        progress.epoch, progress.batch = progress.epoch + 1, 0

    def _look(self) -> None:
        self.losses.look()
        self.progress.loss = self.losses.mean

    def select(self) -> None:
        """Looks at dev after an epoch, keeps the weights if they are the best so far."""
        with self.checkpoint.average.in_place():
            self.progress.history.append(self.job.evaluate())
            best = self.progress.best(self.job.metric) == self.progress.epoch - 1
            if best and accelerator().is_main_process:
                self.checkpoint.save_best()
        self._save()

    def _save(self) -> None:
        if accelerator().is_main_process:
            self.checkpoint.save(self.progress)

    def _step(self, rows: np.ndarray, rate: float) -> torch.Tensor:
        """One optimizer step on a global batch, of which each process takes its share of rows."""
        processes, rank = accelerator().num_processes, accelerator().process_index
        share = len(rows) >= processes  # else every process takes them all
        mine = rows[rank::processes] if share else rows
        batch = self.job.batch_of(mine)
        self._set_rate(rate)
        if self.graphs:
            loss = self.graphs.run(batch)
        else:
            # DDP averages over processes: weigh by each one's rows
            weight = len(mine) * processes / len(rows) if share else 1.0
            loss = self._update({n: t.to(hardware.device()) for n, t in batch.items()}, weight)
        self.checkpoint.average.update(self.progress.step)
        return loss

    def _set_rate(self, rate: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if isinstance(group["lr"], torch.Tensor):  # where a graph reads it
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate

    def _update(self, batch: Batch, weight: float = 1.0) -> torch.Tensor:
        """Moves the weights by the gradient of a batch's loss times `weight`; gives that loss."""
        inputs = {n: batch[n] for n in ("input_ids", "attention_mask", "token_type_ids")}
        with hardware.autocast(self.job.precision):
            output = self.model(**inputs)
        loss = self.job.loss_of(output, batch) * weight
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        accelerator().backward(loss)
        self._clip()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.detach()

    def _clip(self) -> None:
        """Clips the norm of the dense gradients: the fused optimizer divides by `grad_scale` as
        it reads them, which spares a pass over every gradient."""
        grads = [weight.grad for weight in self.checkpoint.weights if weight.grad is not None]
        grads = [grad for grad in grads if not grad.is_sparse]
        norm = torch.nn.utils.get_total_norm(grads, foreach=True)
        dense: Any = self.optimizers[0]
        dense.grad_scale = (norm / self.job.phase.max_grad_norm).clamp(min=1.0)
        dense.found_inf = torch.zeros_like(norm)


def train(
    model: torch.nn.Module, job: Job, folder: Path, checkpoint_seconds: float
) -> dict[str, Any]:
    """Trains through the phase, leaves `model` with its best weights on dev.

    Goes on from the checkpoint in `folder` where there is one. Returns the facts of the phase:
    `epochs`, `seconds`, `rows`, `history`, `best_epoch` and the dev metrics there.
    """
    model.to(hardware.device())
    training = _Training(model, job, folder)
    progress = training.progress
    if progress.step:
        logging.info("%s: going on after step %d", job.title, progress.step)
    with (
        files.naming(folder / "events"),
        _Display(job, folder, progress, training.steps) as display,
    ):
        while progress.epoch < job.phase.epochs:
            training.epoch(display, checkpoint_seconds)
            training.select()
            display.epoch(progress)
    accelerator().wait_for_everyone()
    training.checkpoint.load_best()
    training.graphs = None  # it refers back: its memory would stay until all is collected
    del training
    model.zero_grad(set_to_none=True)
    _set_sparse(model, False)  # other optimizers take dense gradients alone
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
