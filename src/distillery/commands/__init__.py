"""The commands of the command line, by name."""

from collections.abc import Callable

from distillery.commands import bench, compression, data, fetch, student, teacher, use
from distillery.commands.base import Command

COMMANDS: dict[str, Callable[[], Command]] = {
    "data": data.Data,
    "augment": data.Augment,
    "pretrain": teacher.Pretrain,
    "teacher": teacher.Teacher,
    "record": teacher.Record,
    "student": student.Student,
    "baseline": student.Baseline,
    "distil": student.Distil,
    "compress": compression.Compress,
    "prune": compression.Prune,
    "quantize": compression.Quantize,
    "export": compression.Export,
    "bench": bench.Bench,
    "report": use.Report,
    "predict": use.Predict,
    "fetch": fetch.Fetch,
    "plan": use.Plan,
    "ablation": use.Ablation,
    "scripts": use.Scripts,
    "doctor": use.Doctor,
}
