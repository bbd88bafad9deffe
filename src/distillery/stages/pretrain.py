"""Before stage 2: an encoder learns the task's language from its texts, labels unseen.

Masked language modelling (Devlin et al. 2019, arXiv:1810.04805) on the task's own train and
unlabeled texts (Gururangan et al. 2020, arXiv:2004.10964, task-adaptive pretraining). A chosen
word piece always becomes the mask: keeping or replacing a tenth each gains nothing (Wettig et
al. 2023, arXiv:2202.08005, sec. 6).
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, pad

from distillery import encoders, files, paths, recipes, results
from distillery.data import store
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.experiments import ending
from distillery.experiments.experiment import lock_of_main, split_inputs
from distillery.kernels import hardware
from distillery.kernels.processes import accelerator
from distillery.models import tensors, tokenization
from distillery.models.masked_language import MaskedLanguageModel, padding
from distillery.recipes import PretrainingRecipe
from distillery.text import batches, encode
from distillery.training import inference, loop

VERSION = 1
METRIC = "masked_accuracy"
DEV_ROWS = 1000
NONE = -1  # no word to be named


def run(
    task: Task, spec: str, recipe: PretrainingRecipe, *, checkpoint_seconds: float, force: bool
) -> None:
    """Trains the encoder `spec` further; what stage 2 starts from where its recipe says so."""
    name = encoders.short_name(spec)
    folder = encoders.locate(spec)
    target = paths.pretrained(task.name, name)
    wanted = {
        "recipe": json.loads(json.dumps(recipe.as_dict())),
        "stage_version": VERSION,
        "inputs": {
            **{file: s for file, s in split_inputs(task, recipe).items() if "/test." not in file},
            f"encoders/{name}/{encoders.WEIGHTS}": files.sha256(folder / encoders.WEIGHTS),
        },
    }
    then = paths.command("teacher", {"task": task.name, "teacher": name})
    if recipes.teacher(task.name, name).pretraining != "task":
        then += " --pretraining task --variant pretrained"
    about = paths.pretraining_facts(task.name, name)
    place = paths.run(task.name, target.name, files.short_hash(wanted), recipe.seed)
    if not force and _is_current(about, wanted):
        files.remove_tensors(place)  # where a kill came before
        ending.up_to_date(str(target), then)
        return
    commit = results.commit()
    with lock_of_main(target.name + f"_{task.name}", f"pretraining {name} on {task.name}"):
        torch.manual_seed(recipe.seed)
        tokenizer = tokenization.load(folder, store.cleaning(task.name))
        if tokenizer.mask_token_id is None:
            raise UserError(f"the tokenizer in {folder} has no mask token")
        model = MaskedLanguageModel(folder, tokenizer.mask_token_id).to(hardware.device())
        facts = _train(task, model, tokenizer, recipe, place, checkpoint_seconds, name)
        if accelerator().is_main_process:
            with files.replacing_folder(target) as temporary:
                model.encoder.save_pretrained(temporary)
                tokenization.save(tokenizer, temporary)
                sums = {encoders.WEIGHTS: files.sha256(temporary / encoders.WEIGHTS)}
                environment = hardware.environment(str(facts["precision"]))
                made = {"commit": commit, "environment": environment}
                result = {**wanted, "run": facts, "outputs": sums, **made}
                files.write_json(temporary / about.name, result)
            files.remove_tensors(place)
        accelerator().wait_for_everyone()
    dev = ", ".join(f"{metric} {value:.4f} on dev" for metric, value in facts["dev"].items())
    ending.done(f"{name}, pretrained on {task.name}", dev, target, then)


def _is_current(about: Path, wanted: dict[str, Any]) -> bool:
    if not about.is_file():
        return False
    try:
        files.check_folder(about.parent, "pretraining again")
        facts = files.read_json(about, "outputs", remedy="pretraining again")
        whole = all(files.sha256(about.parent / f) == sum_ for f, sum_ in facts["outputs"].items())
    except (UserError, FileNotFoundError) as error:
        logging.warning("%s", error)
        return False
    return whole and all(facts.get(key) == value for key, value in wanted.items())


def _train(
    task: Task,
    model: MaskedLanguageModel,
    tokenizer: Any,
    recipe: PretrainingRecipe,
    place: Path,
    checkpoint_seconds: float,
    name: str,
) -> dict[str, Any]:
    """Trains in place; gives the facts of the run. Dev texts select the epoch."""
    reader = tokenization.reader(tokenizer, recipe.max_length, recipe.head)
    splits = [store.read_split(task.name, split) for split in recipe.splits]
    texts = encode.joined([reader.encode_split(task.name, split) for split in splits if len(split)])
    dev = reader.encode_split(task.name, store.read_split(task.name, "dev"))
    special = torch.tensor(tokenizer.all_special_ids)
    masked = _masking(special, tokenizer.mask_token_id, recipe.masked)
    precision = hardware.precision(recipe.precision)

    def evaluate() -> dict[str, float]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same masks after every epoch
            return _scores(model, dev.take(np.arange(min(DEV_ROWS, len(dev)))), masked, precision)

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # an epoch or two never sees a text twice alike
    job = loop.Job(
        phase=recipe.phase(),
        lengths=texts.lengths,
        batch_of=lambda rows: masked(tensors.batch(texts, rows)),
        loss_of=lambda output, batch: _loss(output.logits, batch["masked"]),
        evaluate=evaluate,
        metric=METRIC,
        precision=precision,
        seed=recipe.seed,
        title=f"pretraining {name} on {task.name}",
    )
    return {**loop.train(model, job, place, checkpoint_seconds), "precision": precision}


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
        for rows in batches.inference(texts.lengths, inference.tokens_per_batch()):
            batch = {
                n: t.to(hardware.device()) for n, t in masked(tensors.batch(texts, rows)).items()
            }
            words = batch.pop("masked")
            with hardware.autocast(precision):
                logits = model(**batch).logits.float()
            right += int((logits.argmax(dim=-1) == words).sum())
            loss += float(cross_entropy(logits, words, reduction="sum", ignore_index=NONE))
            total += int((words != NONE).sum())
    model.train()
    return {METRIC: right / max(1, total), "cross_entropy": loss / max(1, total)}
