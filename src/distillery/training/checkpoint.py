"""A running phase on disk: everything the training loop needs to resume with identical results."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from distillery import evaluation, files
from distillery.errors import UserError


@dataclass
class Progress:
    """How far a phase has come.

    batch: batches done in this epoch. loss: its running mean. history: dev metrics after each
    epoch. precision: of the training.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    precision: str = ""

    def best(self, metric: str) -> int:
        """The epoch with the best dev metric, the first of equals."""
        return evaluation.best(metric, [entry[metric] for entry in self.history])


class Checkpoint:
    """Saves and restores a running phase: weights, optimizer state, random state and progress in
    one file of `folder`, replaced atomically; the best weights so far in another."""

    def __init__(
        self, folder: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer]
    ) -> None:
        self.path, self.best = folder / "checkpoint.safetensors", folder / "best.safetensors"
        self.model = model
        self.owners = [
            (weight, optimizer)
            for optimizer in optimizers
            for group in optimizer.param_groups
            for weight in group["params"]
        ]

    def save(self, progress: Progress) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, (weight, optimizer) in enumerate(self.owners):
            for name, value in optimizer.state[weight].items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        files.save_tensors(self.path, tensors, vars(progress))

    def load(self, precision: str) -> Progress:
        """Restores the phase; returns its progress, which starts at zero without a checkpoint.

        UserError if the checkpoint is damaged, or if it was trained in another precision: the
        recipe leaves precision to the hardware, which may have changed.
        """
        if not self.path.is_file():
            return Progress(precision=precision)
        tensors, facts = files.load_tensors(self.path)
        progress = Progress(**facts)
        if progress.precision != precision:
            raise UserError(
                f"{self.path.parent} was trained in {progress.precision} so far, and this run would"
                f" continue in {precision}: set DISTILLERY_PRECISION={progress.precision}, or"
                " delete the folder to start over"
            )
        self.model.load_state_dict(_under("model.", tensors))
        for index, (weight, optimizer) in enumerate(self.owners):
            state = _under(f"optimizer.{index}.", tensors)
            optimizer.state[weight] = {n: t.to(weight.device) for n, t in state.items()}
            if isinstance(optimizer, torch.optim.SparseAdam):  # counts steps in a plain number
                optimizer.state[weight]["step"] = int(state["step"])
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        return progress

    def save_best(self) -> None:
        files.save_tensors(self.best, self.model.state_dict(), {})

    def load_best(self) -> None:
        remedy = f"delete {self.best.parent} and start again"
        self.model.load_state_dict(files.load_tensors(self.best, remedy)[0])


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names start with `prefix`, named without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
