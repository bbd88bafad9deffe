"""The commands of the command line, by name. Only what is asked for is imported: `predict` must not
wait for the packages of the others."""

import importlib

from distillery.commands.base import Command

COMMANDS = {  # name -> module of this package and class in it
    "data": ("data", "Data"),
    "augment": ("data", "Augment"),
    "pretrain": ("teacher", "Pretrain"),
    "teacher": ("teacher", "Teacher"),
    "record": ("teacher", "Record"),
    "student": ("student", "Student"),
    "baseline": ("student", "Baseline"),
    "distil": ("student", "Distil"),
    "compress": ("compression", "Compress"),
    "prune": ("compression", "Prune"),
    "quantize": ("compression", "Quantize"),
    "export": ("compression", "Export"),
    "bench": ("bench", "Bench"),
    "report": ("use", "Report"),
    "predict": ("predict", "Predict"),
    "fetch": ("fetch", "Fetch"),
    "plan": ("use", "Plan"),
    "ablation": ("use", "Ablation"),
    "scripts": ("use", "Scripts"),
    "doctor": ("use", "Doctor"),
}


def find(name: str) -> type[Command]:
    """The command of that name, of `COMMANDS`."""
    module, kind = COMMANDS[name]
    found: type[Command] = getattr(importlib.import_module(f"distillery.commands.{module}"), kind)
    return found
