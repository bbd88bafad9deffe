"""Run by `test_processes.py` as one process or as several: trains, infers, records; the main
process writes what came of it to the file that it is given."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object

from distillery.distillation.outputs import TeacherOutputs
from distillery.kernels.hardware import accelerator
from distillery.models import registry
from distillery.recipes import Phase
from distillery.text.encode import Encoded
from distillery.training import inference, loop

ROWS = 65  # in batches of 16: the last one has fewer rows than there are processes


def rows() -> tuple[Encoded, np.ndarray]:
    random = np.random.default_rng(0)
    lengths = random.integers(3, 30, ROWS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    pieces = random.integers(1, 40, offsets[-1]).astype(np.int32)
    return Encoded(pieces, offsets, lengths.astype(np.int32), 0), random.integers(0, 2, ROWS)


def main(folder: Path) -> None:
    encoded, labels = rows()
    torch.manual_seed(0)
    model = registry.create("bigru", vocab_size=40, num_labels=2, dropout=0.0)
    seen: list[tuple[float, int]] = []

    def loss_of(output: Any, batch: loop.Batch) -> torch.Tensor:
        loss = torch.nn.functional.cross_entropy(output.logits.float(), batch["labels"])
        seen.append((float(loss.detach()), len(batch["labels"])))
        return loss

    job = loop.Job(
        phase=Phase(("train",), (("labels", 1.0, {}),), epochs=2, batch_size=16),
        lengths=encoded.lengths,
        batch_of=lambda some: {
            **inference.tensors(encoded, some),
            "labels": torch.from_numpy(labels[some]),
        },
        loss_of=loss_of,
        evaluate=lambda: {"accuracy": 0.0},
        metric="accuracy",
        precision="fp32",
        seed=3,
        title="ranks",
    )
    loop.train(model, job, folder / "run", checkpoint_seconds=1e9)
    computed = 0

    def count(_: Any, inputs: tuple[Any, ...], kwargs: dict[str, torch.Tensor]) -> None:
        nonlocal computed
        computed += len(kwargs["input_ids"])

    model.register_forward_pre_hook(count, with_kwargs=True)
    inference.tokens_per_batch = lambda: 128  # more batches than one
    logits = inference.logits(model, encoded, "fp32", "all rows")
    outputs = TeacherOutputs("ranks", "teacher", "teacher")
    ids = np.arange(ROWS, dtype=np.uint64) * 7
    recorded = outputs.record(
        ids,
        encoded,
        lambda some, progress: inference.logits(model, some, "fp32", "recording", progress),
        accelerator().is_main_process,
    )
    accelerator().wait_for_everyone()
    outputs.open()
    everyone = gather_object([{"seen": seen, "computed": computed}])
    if accelerator().is_main_process:
        losses = [
            sum(loss * count for loss, count in step) / sum(count for _, count in step)
            for step in zip(*(rank["seen"] for rank in everyone), strict=True)
        ]
        found = {
            "processes": accelerator().num_processes,
            "losses": losses,
            "weights": {n: float(w.double().sum()) for n, w in model.named_parameters()},
            "logits": logits.tolist(),
            "recorded": recorded,
            "outputs": outputs.logits(ids).tolist(),
            "rows_computed": sum(rank["computed"] for rank in everyone),
            "shards": [shard["rows"] for shard in outputs.shards],
        }
        (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
