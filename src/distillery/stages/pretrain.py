"""Before stage 2: an encoder learns the task's language from its texts, labels unseen.

Masked language modelling (Devlin et al. 2019, arXiv:1810.04805) on the task's own train and
unlabeled texts (Gururangan et al. 2020, arXiv:2004.10964, task-adaptive pretraining). A chosen
word piece always becomes the mask: keeping or replacing a tenth each gains nothing (Wettig et
al. 2023, arXiv:2202.08005, sec. 6).
"""

import logging
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad

from distillery import encoders, files, paths, recipes, results
from distillery.data import store
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.experiments import ending
from distillery.experiments import phases as training
from distillery.experiments.experiment import Stage, fit, splits_read, wanted
from distillery.kernels import hardware
from distillery.kernels.hardware import accelerator, lock_of_main
from distillery.models import tokenization
from distillery.models.masked_language import MaskedLanguageModel, padding
from distillery.models.saved import Model
from distillery.recipes import PretrainingRecipe
from distillery.text import encode
from distillery.training import inference, loop

METRIC = "masked_accuracy"
DEV_ROWS = 1000
NONE = -1  # no word to be named


class Pretrained(Stage):
    """An encoder trained further; what stage 2 starts from where its recipe says so."""

    stage = "pretraining"
    version = 1
    recipe: PretrainingRecipe

    def __init__(self, task: Task, recipe: PretrainingRecipe, spec: str) -> None:
        self.task, self.recipe = task, recipe
        self.teacher: str = encoders.short_name(spec)
        self.folder = encoders.locate(spec)
        self.name = f"{self.teacher}_{task.name}"

    def inputs(self) -> dict[str, str]:
        read = splits_read(self.task, self.recipe)
        weights = files.sha256(self.folder / encoders.WEIGHTS)
        return {
            **{file: checksum for file, checksum in read.items() if "/test." not in file},
            f"encoders/{self.teacher}/{encoders.WEIGHTS}": weights,
        }

    def build(self) -> Model:
        recipe = self.recipe
        tokenizer = tokenization.load(self.folder, store.cleaning(self.task.name))
        if tokenizer.mask_token_id is None:
            raise UserError(f"the tokenizer in {self.folder} has no mask token")
        network = MaskedLanguageModel(self.folder, tokenizer.mask_token_id).to(hardware.device())
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # an epoch or two never sees a text twice alike
        precision = hardware.precision(recipe.precision)
        return Model(network, tokenizer, recipe.max_length, recipe.head, precision)

    def phases(self, model: Model, seed: int) -> Iterable[tuple[nn.Module, loop.Job]]:
        """One phase over the texts of the recipe's splits; dev's texts select the epoch."""
        reader, name = model.reader(), self.task.name
        splits = training.rows_of(self.task, self.recipe.splits)
        texts = encode.joined([reader.encode_split(name, split) for split in splits])
        dev = reader.encode_split(name, store.read_split(name, "dev"))
        dev = dev.take(np.arange(min(DEV_ROWS, len(dev))))
        tokenizer = model.tokenizer
        masked = _masking(
            torch.tensor(tokenizer.all_special_ids), tokenizer.mask_token_id, self.recipe.masked
        )

        def evaluate() -> dict[str, float]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # the same masks after every epoch
                return _scores(model.network, dev, masked, model.precision)

        job = loop.Job(
            phase=self.recipe.phase(),
            lengths=texts.lengths,
            batch_of=lambda rows: masked(inference.tensors(texts, rows)),
            loss_of=lambda output, batch: _loss(output.logits, batch["masked"]),
            evaluate=evaluate,
            metric=METRIC,
            precision=model.precision,
            seed=seed,
            title=f"pretraining {self.teacher} on {name}",
        )
        yield model.network, job

    def save(self, model: Model, folder: Path) -> None:
        model.network.encoder.save_pretrained(folder)
        tokenization.save(model.tokenizer, folder)


def run(task: Task, recipe: PretrainingRecipe, arguments: Namespace) -> None:
    """Trains an encoder further, unless that is up to date. It has no result: its facts lie beside
    it."""
    stage = Pretrained(task, recipe, arguments.teacher)
    name = stage.teacher
    target, about = paths.pretrained(task.name, name), paths.pretraining_facts(task.name, name)
    made_as = wanted(recipe, stage.version, stage.inputs())
    then = paths.command("teacher", {"task": task.name, "teacher": name})
    if recipes.teacher(task.name, name).pretraining != "task":
        then += " --pretraining task --variant pretrained"
    place = paths.run(task.name, name, files.short_hash(made_as), recipe.seed)
    if not arguments.force and _is_current(about, made_as):
        files.remove_tensors(place)  # where a kill came before
        ending.up_to_date(str(target), then)
        return
    commit = results.commit()
    with lock_of_main(stage.name, f"pretraining {name} on {task.name}"):
        model, facts = fit(stage, recipe.seed, place, arguments.checkpoint_seconds)
        facts["precision"] = model.precision
        if accelerator().is_main_process:
            with files.replacing_folder(target) as temporary:
                stage.save(model, temporary)
                made = {"commit": commit, "environment": hardware.environment(model.precision)}
                files.write_json(temporary / about.name, {**made_as, "run": facts, **made})
            files.remove_tensors(place)
        accelerator().wait_for_everyone()
    dev = ", ".join(f"{metric} {value:.4f} on dev" for metric, value in facts["dev"].items())
    ending.done(f"{name}, pretrained on {task.name}", dev, target, then)


def _is_current(about: Path, made_as: dict[str, Any]) -> bool:
    """Whether the encoder is whole and was made as `made_as` says."""
    if not about.is_file():
        return False
    try:
        files.check_folder(about.parent, "pretraining again")
        facts = files.read_json(about, remedy="pretraining again")
    except UserError as error:
        logging.warning("%s", error)
        return False
    return all(facts.get(key) == value for key, value in made_as.items())


def _loss(logits: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of (M, V) logits; zero where nothing was masked."""
    total = cross_entropy(logits.float(), words, reduction="sum", ignore_index=NONE)
    return total / (words != NONE).sum().clamp(min=1)


def _masking(
    special: torch.Tensor, mask_token: int, share: float
) -> Callable[[loop.Batch], loop.Batch]:
    """Batch -> the same with a `share` of its pieces masked; `masked` (M,) is what stood there,
    and some padding, `NONE`, as where a text had a mask of its own."""

    def masking(batch: loop.Batch) -> loop.Batch:
        ids = batch["input_ids"]
        plain = batch["attention_mask"].bool() & ~torch.isin(ids, special)
        chosen = plain & (torch.rand(ids.shape) < share)
        shown = torch.where(chosen, mask_token, ids)
        words = torch.where(chosen, ids, NONE)[shown == mask_token]
        return {
            **batch,
            "input_ids": shown,
            "masked": pad(words, (0, padding(len(words))), value=NONE),
        }

    return masking


def _scores(
    model: MaskedLanguageModel,
    texts: encode.Encoded,
    masked: Callable[[loop.Batch], loop.Batch],
    precision: str,
) -> dict[str, float]:
    """Share of masked words named right, and their mean cross entropy."""
    model.eval()
    right, total, loss = 0, 0, 0.0
    with torch.inference_mode():
        for rows in encode.inference_batches(texts.lengths, inference.tokens_per_batch()):
            batch = {
                n: t.to(hardware.device())
                for n, t in masked(inference.tensors(texts, rows)).items()
            }
            words = batch.pop("masked")
            with hardware.autocast(precision):
                logits = model(**batch).logits.float()
            right += int((logits.argmax(dim=-1) == words).sum())
            loss += float(cross_entropy(logits, words, reduction="sum", ignore_index=NONE))
            total += int((words != NONE).sum())
    model.train()
    return {METRIC: right / max(1, total), "cross_entropy": loss / max(1, total)}
