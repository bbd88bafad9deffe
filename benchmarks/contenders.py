"""What is compared: the usual ways to write it, and this project's."""

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from benchmarks.turns import Worker
from distillery import encoders
from distillery.data import store
from distillery.distillation import losses
from distillery.kernels import fast_bert, hardware, rnn
from distillery.models import registry, tokenization
from distillery.recipes import Phase
from distillery.text import encode
from distillery.text.splits import SplitReader
from distillery.training import inference, loop

ALPHA, TEMPERATURE = 0.5, 2.0  # of the distillation loss, the same for all
SHAPES = {  # layers, width, heads, feed-forward
    "bert2": (2, 128, 2, 512),
    "bert-base": (12, 768, 12, 3072),
}


class Rows:
    """Some rows of a task's train and dev splits, the same for all, tokenized."""

    def __init__(self, task: str, encoder: str, count: int, dev_count: int, length: int) -> None:
        self.folder = encoders.locate(encoder)
        self.tokenizer = tokenization.load(self.folder)
        reader = tokenization.reader(self.tokenizer, length, 0.25)
        self.train, self.labels = self._some(reader, task, "train", count)
        self.dev, self.dev_labels = self._some(reader, task, "dev", dev_count)
        self.classes = len(store.read_manifest(task)["labels"])

    def _some(
        self, reader: SplitReader, task: str, name: str, count: int
    ) -> tuple[encode.Encoded, np.ndarray]:
        split = store.read_split(task, name)
        if len(split) < count:
            sys.exit(f"benchmark: {name} of {task} has {len(split)} rows, {count} are needed")
        chosen = np.random.default_rng(0).permutation(len(split))[:count]
        return reader.encode_split(task, split).take(chosen), split.labels[chosen]


def batch(encoded: encode.Encoded, labels: np.ndarray, rows: np.ndarray) -> loop.Batch:
    return {**inference.tensors(encoded, rows), "labels": torch.from_numpy(labels[rows])}


def new_model(kind: str, rows: Rows, dropout: float) -> Any:
    """A model that is to learn: the pretrained encoder, a small BERT, or a student."""
    from transformers import (
        AutoModelForSequenceClassification,
        BertConfig,
        BertForSequenceClassification,
    )

    probabilities = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    if kind == "teacher":
        return AutoModelForSequenceClassification.from_pretrained(
            rows.folder, num_labels=rows.classes, use_safetensors=True, **probabilities
        )
    if kind in SHAPES:
        layers, width, heads, inner = SHAPES[kind]
        config = BertConfig(
            vocab_size=len(rows.tokenizer),
            num_hidden_layers=layers,
            hidden_size=width,
            num_attention_heads=heads,
            intermediate_size=inner,
            num_labels=rows.classes,
            **probabilities,
        )
        return BertForSequenceClassification(config)
    return registry.create(
        kind,
        vocab_size=len(rows.tokenizer),
        pad_token_id=rows.tokenizer.pad_token_id,
        id2label={index: str(index) for index in range(rows.classes)},
        dropout=dropout,
    )


def layer_as_it_is(packed: bool) -> None:
    """Makes recurrent students run `nn.LSTM` and `nn.GRU` as one would write it down: over padded
    texts, where the backward direction begins in the padding, or over packed ones."""

    def padded(layer: Any, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = layer(inputs)[0]
        return states.masked_fill(~mask.bool()[:, :, None], 0)

    rnn.padded = rnn.packed if packed else padded  # type: ignore[assignment]


def live_teacher(folder: str) -> Any:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True)
    return model.to(hardware.device()).eval()


def usual(worker: Worker, rows: Rows, model: Any, given: dict[str, Any]) -> None:
    """transformers.Trainer; with a teacher, a subclass that runs it in `compute_loss`."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    teacher = live_teacher(given["teacher"]) if given["teacher"] else None
    seen: list[torch.Tensor] = []

    class Turns(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            worker.step()

    class Distilling(Trainer):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any
        ) -> Any:
            output = model(**inputs)
            loss = cross_entropy(output.logits, inputs["labels"])
            if teacher is not None:
                with torch.no_grad():
                    wanted = teacher(**{k: v for k, v in inputs.items() if k != "labels"}).logits
                divergence = kl_div(
                    log_softmax(output.logits / TEMPERATURE, dim=-1),
                    log_softmax(wanted / TEMPERATURE, dim=-1),
                    reduction="batchmean",
                    log_target=True,
                )
                loss = ALPHA * TEMPERATURE**2 * divergence + (1 - ALPHA) * loss
            seen.append(loss.detach())
            return (loss, output) if return_outputs else loss

    def example(row: int) -> dict[str, Any]:
        one = batch(rows.train, rows.labels, np.array([row]))
        length = int(rows.train.lengths[row])
        return {
            "input_ids": one["input_ids"][0, :length].tolist(),
            "attention_mask": [1] * length,
            "token_type_ids": [0] * length,
            "labels": int(one["labels"][0]),
            "length": length,
        }

    import datasets

    data = datasets.Dataset.from_list([example(row) for row in range(len(rows.train))])
    expert = given["way"] == "expert"
    with tempfile.TemporaryDirectory() as place:
        arguments = TrainingArguments(
            place,
            num_train_epochs=1,
            per_device_train_batch_size=given["batch_size"],
            learning_rate=given["learning_rate"],
            seed=given["seed"],
            bf16=given["way"] != "default",
            train_sampling_strategy="group_by_length" if expert else "random",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = Distilling(
            model,
            arguments,
            train_dataset=data if expert else data.remove_columns("length"),
            data_collator=DataCollatorWithPadding(rows.tokenizer),
            callbacks=[Turns()],
        )
        trainer.train()
    finish(worker, rows, model, seen, "bf16" if arguments.bf16 else "fp32")


def ours(worker: Worker, rows: Rows, model: Any, given: dict[str, Any]) -> None:
    """This project's loop, on recorded logits where there is a teacher."""
    recorded = np.load(given["recorded"]) if given["recorded"] else None
    hardware.prepare()
    if given["way"] in ("ours", "compiled"):
        fast_bert.use_in(model)
        if given["way"] == "compiled":
            fast_bert.compile_in(model)
    else:  # the recurrent layer as PyTorch has it, and nothing else otherwise
        layer_as_it_is(packed=given["way"] == "packed")
    if recorded is None:
        terms: losses.Terms = (("labels", 1.0, {}),)
    else:
        kl = ("kl", ALPHA, {"temperature": TEMPERATURE})
        terms = (kl, ("labels", 1 - ALPHA, {}))
    total = losses.Losses(terms, "classification")

    def teacher_of(found: loop.Batch) -> Any:
        return SimpleNamespace(logits=found.get("teacher_logits"))

    def batch_of(some: np.ndarray) -> loop.Batch:
        worker.step()
        found = batch(rows.train, rows.labels, some)
        if recorded is not None:
            found["teacher_logits"] = torch.from_numpy(recorded[some])
        return found

    precision = hardware.precision(given.get("precision") or "auto")
    job = loop.Job(
        phase=Phase(
            splits=("train",),
            losses=tuple((name, weight, dict(options)) for name, weight, options in terms),
            epochs=1,
            batch_size=given["batch_size"],
            learning_rate=given["learning_rate"],
            warmup=0.0,
            weight_decay=0.0,
        ),
        lengths=rows.train.lengths,
        batch_of=batch_of,
        loss_of=lambda output, found: total(output, teacher_of(found), found),
        evaluate=lambda: {"accuracy": 0.0},
        metric="accuracy",
        precision=precision,
        seed=given["seed"],
        title=given["name"],
    )
    seen = losses_seen()
    with tempfile.TemporaryDirectory() as place:
        loop.train(model, job, Path(place), checkpoint_seconds=1e9)
    if given["save"]:
        model.save_pretrained(given["save"])
    finish(worker, rows, model, seen, precision)


def losses_seen() -> list[torch.Tensor]:
    """The losses of all steps from now on, in a list that grows."""
    seen: list[torch.Tensor] = []
    add = loop._Losses.add

    def kept(losses: loop._Losses, step: int, loss: torch.Tensor) -> None:
        seen.append(loss)
        add(losses, step, loss)

    loop._Losses.add = kept  # type: ignore[method-assign]
    return seen


def recording(worker: Worker, rows: Rows, model: Any, given: dict[str, Any]) -> None:
    """The teacher's one pass over the rows. A turn records as many as its steps have, of every
    length, all at once, for recording sorts rows by length before it cuts them into batches."""
    hardware.prepare()
    model = live_teacher(given["teacher"])
    fast_bert.use_in(model)
    order = np.argsort(-rows.train.lengths, kind="stable")
    turn_of = np.repeat(np.arange(len(given["turns"])), given["turns"])  # (steps,)
    turn_of = np.resize(turn_of, len(order))  # (N,)
    for turn, steps in enumerate(given["turns"]):
        worker.step()
        inference.logits(model, rows.train.take(order[turn_of == turn]), "bf16", "recording")
        for _ in range(steps - 1):
            worker.step()
    finish(worker, rows, model, [], "bf16")


def finish(worker: Worker, rows: Rows, model: Any, seen: Sequence[Any], precision: str) -> None:
    """Loss and accuracy on dev, and what the driver wants to know else."""
    found = inference.logits(model.eval(), rows.dev, precision, "dev").astype(np.float64)
    logs = found - np.log(np.exp(found).sum(axis=1, keepdims=True))
    dev_loss = -logs[np.arange(len(logs)), rows.dev_labels].mean()
    worker.finish(
        train_loss=float(np.mean([float(loss) for loss in seen[-10:]])) if seen else None,
        dev_loss=float(dev_loss) if seen else None,
        dev_accuracy=float((found.argmax(axis=1) == rows.dev_labels).mean()) if seen else None,
        precision=precision,
        parameters=int(model.num_parameters()),
    )


def peak(worker: Worker, given: dict[str, Any]) -> None:
    """Square matmuls without end: the machine's peak in a precision."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[given["way"]]
    size, device = given["size"], hardware.device()
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(one)
    for _ in range(given["steps"]):
        worker.step()
        for _ in range(given["times"]):
            torch.mm(one, other, out=out)
    worker.finish(precision=given["way"])


WAYS: dict[str, Callable[[Worker, Rows, Any, dict[str, Any]], None]] = {
    "default": usual,
    "bf16": usual,
    "expert": usual,
    "ours": ours,
    "compiled": ours,
    "padded": ours,
    "packed": ours,
    "recording": recording,
}


def main(given: dict[str, Any]) -> None:
    """Runs one contender."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    worker = Worker()
    if given["kind"] == "peak":
        peak(worker, given)
        return
    rows = Rows(given["task"], given["encoder"], given["rows"], given["dev_rows"], given["length"])
    torch.manual_seed(given["seed"])
    own_dropout = given["way"] in ("default", "bf16")
    model = None
    if given["way"] != "recording":
        model = new_model(given["kind"], rows, 0.1 if own_dropout else 0.0)
    if given["way"] in ("default", "bf16", "expert"):
        layer_as_it_is(packed=False)
    WAYS[given["way"]](worker, rows, model, given)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
