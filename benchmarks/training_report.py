"""The tables of what `training.py` measured, in Markdown."""

from typing import Any

from distillery.report import cells

ON_GPU = (
    " Weights of bert-base's shape are random, and learn next to nothing in so few steps: that"
    " graphs learn what steps do is what `make test-gpu` shows. Nearly all batches of `default` and"
    " `bf16` have the full length; those of `expert` are of like length, and slow where a shape is"
    " new. `peak memory` leaves out what graphs keep for their next replay; `to warm up` is the"
    " first turn, with what captures and compilations fall into it."
)
DISTILS = (
    " The teacher runs within the steps of `default`, `bf16` and `expert`, and its FLOPs are theirs"
    " too. The other ways read what it recorded; the recording is not in their time."
)
COLUMNS = (
    ("way", 0),
    ("s/step", "seconds_per_step"),
    ("rows/s", "rows_per_second"),
    ("real tokens/s", "real_tokens_per_second"),
    ("GFLOP/s", "flops_per_second"),
    ("of peak", "share_of_peak"),
    ("peak memory", "peak_memory"),
    ("train loss", "train_loss"),
    ("dev loss", "dev_loss"),
    ("dev accuracy", "dev_accuracy"),
    ("to warm up", "seconds_to_warm_up"),
    ("ours is faster by", "times"),
)


def _cell(name: Any, facts: dict[str, Any], ours: float) -> str:
    value = facts.get(name)
    if name == "times":
        return f"{ours / facts['rows_per_second']:.2f}" if facts["dev_loss"] else ""
    if value is None:
        return ""
    if name == "flops_per_second":
        return f"{value / 1e9:,.0f}"
    if name == "share_of_peak":
        return f"{100 * value:.1f} %"
    if name == "seconds_to_warm_up":
        return f"{value:.1f} s"
    if name == "seconds_per_step":
        return f"{value:.4f}"
    if name == "peak_memory":
        return f"{value / 2**30:.2f} GiB"
    if name in ("real_tokens_per_second", "rows_per_second"):
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
    return f"{value:.3f}"


def report(found: dict[str, Any]) -> str:
    """The tables, in Markdown."""
    where, peak = found["environment"], found["matmul_peak"]
    lines = [
        "# Training, beside the usual ways to write it",
        "",
        f"Made by `{found['command']}` at {cells.commit(found['commit'])}:"
        f" {where['cpu']}, {where['threads']} threads, device {where['device']}, torch"
        f" {where['torch']}, transformers {where['transformers']}. Peaks of a matmul of 4096 x"
        f" 4096 x 4096: fp32 {peak['fp32'] / 1e12:.2f}, bf16 {peak['bf16'] / 1e12:.2f} TFLOP/s.",
        "Medians of the turns; all contenders of a table worked in turns, one at a time, on the"
        " same rows once over. Rows are reviews cut at"
        f" {found['length']} word pieces; `real` tokens are those that are not padding. FLOPs are"
        " those of the matmuls over real tokens, every layer counted over every token; losses are"
        " means, of the last ten steps and over dev."
        + ("" if where["device"] == "cpu" else ON_GPU),
        "",
    ]
    for title, group in found["groups"].items():
        ours = group["contenders"]["ours"]["rows_per_second"]
        lines += [
            f"## {title}",
            "",
            f"{group['rows']} rows of {group['tokens_per_row']:.0f} tokens,"
            f" {group['batch_size']} a step, learning rate {group['learning_rate']:g}."
            + (DISTILS if group["distils"] else ""),
            "",
            "| " + " | ".join(str(name) for name, _ in COLUMNS) + " |",
            "| :--- |" + " ---: |" * (len(COLUMNS) - 1),
        ]
        for name, facts in group["contenders"].items():
            row = [_cell(key, facts, ours) for _, key in COLUMNS[1:]]
            lines.append("| " + " | ".join([f"{name} ({facts['precision']})", *row]) + " |")
        lines.append("")
    lines += ["## Ratios", "", "| ratio | value |", "| :--- | ---: |"]
    lines += [f"| `{name}` | {value:.2f} |" for name, value in found["ratios"].items()]
    if where["device"] == "cpu":
        lines.append("| bert-base's shape on a GPU | not run here; of a GPU: `training_gpu.md` |")
    return "\n".join([*lines, ""])
