"""The command line: parse, call one function, print."""

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError
from tqdm import tqdm

from distillery import paths, recipes, tasks
from distillery.errors import UserError, choose
from distillery.recipes import options
from distillery.recipes.names import BASELINES, STUDENTS


class _Parser(argparse.ArgumentParser):
    """Errors are one line, options are never abbreviated."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def _seeds(text: str) -> list[int]:
    """`3` is the seeds 0, 1, 2; `4,7` is the seeds 4 and 7."""
    try:
        numbers = [int(item) for item in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and 0 < numbers[0] <= 1000:
        return list(range(numbers[0]))
    if len(set(numbers)) < max(2, len(numbers)) or not 0 <= min(numbers) <= max(numbers) < 2**32:
        raise UserError(f"--seeds {text} is impossible: a number, or different seeds 'A,B,...'")
    return numbers


def _experiment_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="run even what is up to date")
    parser.add_argument(
        "--seeds", default="1", help="how many seeds, or their list 'A,B,...'; the first is saved"
    )
    parser.add_argument(
        "--variant", metavar="NAME", help="name of a changed recipe, part of its result's name"
    )
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=120.0,
        metavar="S",
        help="time between checkpoints [120]",
    )


def _changed(recipe: Any, arguments: argparse.Namespace) -> Any:
    """The recipe with the options given; a changed one needs a name of its own."""
    changed = options.apply(recipe, arguments)
    if changed != recipe and not arguments.variant:
        raise UserError("recipe options make another experiment: give it a name with --variant")
    if changed == recipe and arguments.variant:
        raise UserError(f"variant '{arguments.variant}' changes nothing: give a recipe option")
    return changed


def _experiment(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that stages 2 to 4 share."""
    return {
        "seeds": _seeds(arguments.seeds),
        "variant": arguments.variant,
        "command": arguments.command_line,
        "checkpoint_seconds": arguments.checkpoint_seconds,
        "force": arguments.force,
    }


def _add_teacher_variant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher-variant", metavar="NAME", help="the teacher was made with --variant NAME"
    )


def _short(teacher: str | None) -> str:
    """The name of a teacher in results; empty where none is given yet."""
    from distillery import encoders

    return encoders.short_name(teacher) if teacher else ""


class _Command:
    """A command: its options, whose recipe may depend on the names given, and what it calls."""

    names: tuple[str, ...] = ("task",)

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        raise NotImplementedError

    def run(self, arguments: argparse.Namespace) -> None:
        raise NotImplementedError


class _Data(_Command):
    """Stage 1: makes train, dev, test and unlabeled rows of a task."""

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        parser.add_argument("--force", action="store_true", help="run even what is up to date")
        parser.add_argument(
            "--source",
            type=Path,
            metavar="PATH",
            help="archive or folder of the official download, in place of the hub",
        )
        own = parser.add_argument_group("your own data (CSV, TSV, JSONL or Parquet, UTF-8)")
        own.add_argument("--data", type=Path, metavar="FILE", help="labelled rows")
        own.add_argument(
            "--test-data", type=Path, metavar="FILE", help="test rows [a share of --data]"
        )
        own.add_argument(
            "--unlabeled-data", type=Path, metavar="FILE", help="rows for the teacher to label"
        )
        for role in ("text", "text-pair", "label"):
            own.add_argument(
                f"--{role}-column", metavar="NAME", help="found by its usual name where obvious"
            )
        own.add_argument("--labels", metavar="A,B,...", help="the labels in order [sorted]")
        options.add(parser, recipes.data(known.task or ""))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.preprocessing.user_files import Columns
        from distillery.stages import data

        recipe = options.apply(recipes.data(arguments.task), arguments)
        roles = {"train": "data", "test": "test_data", "unlabeled": "unlabeled_data"}
        given = {role: getattr(arguments, name) for role, name in roles.items()}
        given = {role: path for role, path in given.items() if path}
        columns = Columns(arguments.text_column, arguments.text_pair_column, arguments.label_column)
        if not given:
            if any(vars(columns).values()) or arguments.labels:
                raise UserError("columns and labels are options of your own data: name --data FILE")
            data.run(tasks.get(arguments.task), recipe, arguments.source, arguments.force)
            return
        if "train" not in given or arguments.source:
            raise UserError("your own data needs --data FILE, and no --source")
        labels = arguments.labels.split(",") if arguments.labels else None
        data.run_user_files(arguments.task, recipe, given, columns, labels, arguments.force)


class _Teacher(_Command):
    """Stage 2: fine-tunes an encoder on a task, then records its outputs for every row."""

    names = ("task", "teacher")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        _experiment_options(parser)
        options.add(parser, recipes.teacher(known.task or "", _short(known.teacher)))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import teacher

        recipe = recipes.teacher(arguments.task, _short(arguments.teacher))
        recipe = _changed(recipe, arguments)
        teacher.run(tasks.get(arguments.task), arguments.teacher, recipe, **_experiment(arguments))


class _Record(_Command):
    """Records a teacher's outputs for the rows that have none yet, such as new unlabeled ones."""

    names = ("task", "teacher")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        _add_teacher_variant(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import teacher

        name, variant = _short(arguments.teacher), arguments.teacher_variant
        outputs = teacher.record(tasks.get(arguments.task), name, variant)
        logging.info("%d rows are recorded in %s", len(outputs), outputs.folder)


class _Student(_Command):
    """Stage 3: trains a student on labels alone."""

    names = ("task", "student")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        _experiment_options(parser)
        options.add(parser, recipes.student(known.task or "", known.student or ""))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import student

        name = choose("student", arguments.student, STUDENTS)
        recipe = _changed(recipes.student(arguments.task, name), arguments)
        task = tasks.get(arguments.task)
        student.run(task, name, None, recipe, **_experiment(arguments))


class _Distil(_Command):
    """Stage 4: distils a teacher's recorded outputs into a student."""

    names = ("task", "teacher", "student")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        _experiment_options(parser)
        _add_teacher_variant(parser)
        names = (known.student or "", _short(known.teacher))
        options.add(parser, recipes.distillation(known.task or "", *names))

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import student

        name = choose("student", arguments.student, STUDENTS)
        teacher = _short(arguments.teacher)
        recipe = recipes.distillation(arguments.task, name, teacher)
        student.run(
            tasks.get(arguments.task),
            name,
            teacher,
            _changed(recipe, arguments),
            teacher_variant=arguments.teacher_variant,
            **_experiment(arguments),
        )


class _Baseline(_Command):
    """Stage 3: a row that keeps the table honest: the majority class, or a linear model."""

    names = ("task", "baseline")

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        parser.add_argument("--force", action="store_true", help="run even what is up to date")

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import baseline

        baseline.run(
            tasks.get(arguments.task),
            choose("baseline", arguments.baseline, BASELINES),
            recipes.baseline(arguments.task),
            command=arguments.command_line,
            force=arguments.force,
        )


class _Report(_Command):
    """Stage 6: the table and the picture, from the results alone."""

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        del parser, known

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import report

        report.run(tasks.get(arguments.task))


class _Plan(_Command):
    """Prints what `run_all.sh` runs for a task: teachers, students, and the students there are."""

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        del parser, known

    def run(self, arguments: argparse.Namespace) -> None:
        for what, names in recipes.plan(arguments.task).as_dict().items():
            print(what, *names)
        print("known", *STUDENTS)


class _Fetch(_Command):
    """Fetches an encoder into `data/encoders` and checks it."""

    names = ("teacher",)

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        del parser, known

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery import encoders

        print(encoders.locate(arguments.teacher))


class _Predict(_Command):
    """Gives label and probability of texts: arguments, lines of a file, or lines of stdin."""

    names = ()

    def add(self, parser: argparse.ArgumentParser, known: argparse.Namespace) -> None:
        parser.add_argument("model", type=Path, help="folder of a saved student or teacher")
        parser.add_argument("text", nargs="*", help="texts; none: lines of --file or of stdin")
        parser.add_argument("--file", type=Path, metavar="FILE", help="a text per line, UTF-8")

    def run(self, arguments: argparse.Namespace) -> None:
        from distillery.stages import predict

        predict.run(arguments.model, arguments.text, arguments.file)


_COMMANDS: dict[str, Callable[[], _Command]] = {
    "data": _Data,
    "teacher": _Teacher,
    "record": _Record,
    "student": _Student,
    "baseline": _Baseline,
    "distil": _Distil,
    "report": _Report,
    "predict": _Predict,
    "fetch": _Fetch,
    "plan": _Plan,
}

_HELP = {
    "task": "data set, such as imdb, demo, smoke, or the name of your own",
    "teacher": "bert, minilm, a hub id (owner/name) or a folder",
    "student": ", ".join(STUDENTS),
    "baseline": ", ".join(BASELINES),
}


def _summary(command: Callable[[], _Command]) -> str:
    return (command.__doc__ or "").strip()


def _usage() -> str:
    lines = [f"  {name:9} {_summary(command)}" for name, command in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: distillery COMMAND [OPTION...]",
            "",
            "From a fine-tuned BERT to a small, fast model, in numbered stages.",
            "",
            *lines,
            "",
            "distillery COMMAND --help tells a command's options and their values.",
        ]
    )


def parse(argv: Sequence[str]) -> tuple[_Command, argparse.Namespace]:
    """The command and its arguments. The names come first: the recipe's options depend on them."""
    name = choose("command", argv[0], _COMMANDS)
    for word in argv:
        if not word.isprintable():
            raise UserError(f"argument {word!r} holds what cannot be printed")
    command = _COMMANDS[name]()
    first = _Parser(prog=f"distillery {name}", add_help=False)
    for option in command.names:
        first.add_argument(f"--{option}")
    known, rest = first.parse_known_args(argv[1:])
    if getattr(known, "task", None):
        paths.checked_name("task", known.task)
    parser = _Parser(prog=f"distillery {name}", description=_summary(_COMMANDS[name]))
    for option in command.names:
        parser.add_argument(
            f"--{option}", required=True, metavar=option.upper(), help=_HELP[option]
        )
    command.add(parser, known)
    arguments = parser.parse_args(argv[1:])
    names = {option: getattr(arguments, option) for option in command.names}
    options_given = [word for word in rest if word != "--force"]
    arguments.command_line = " ".join(
        [paths.command(name, names), *map(shlex.quote, options_given)]
    )
    return command, arguments


class _AboveBars(logging.Handler):
    """Writes lines to stderr without tearing the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def _quiet() -> None:
    """Our own lines and bars only; of several processes, those of the first."""
    first = os.environ.get("RANK", "0") == "0"
    level = logging.INFO if first else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", handlers=[_AboveBars()])
    for noisy in (
        "httpx",
        "datasets",
        "huggingface_hub",
        "transformers",
        "accelerate",
        "matplotlib",
    ):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    import transformers

    transformers.utils.logging.disable_progress_bar()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; 0 where it worked, 2 after a one-line error, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0] in ("-h", "--help"):
        print(_usage())
        return 0 if given else 2
    try:
        command, arguments = parse(given)
        _quiet()
        from distillery.training import machine

        machine.keep_memory()
        command.run(arguments)
    except UserError as error:
        return _refuse(str(error))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _refuse(f"{error.strerror or error}{where}")
    except SafetensorError as error:  # how a full disk looks to the writer of weights
        return _refuse(str(error))
    except KeyboardInterrupt:
        tqdm.write("distillery: stopped; the same command goes on where it was", file=sys.stderr)
        return 130
    return 0


def _refuse(reason: str) -> int:
    """Says the one line, of several processes once, and gives the exit status."""
    if os.environ.get("RANK", "0") == "0":
        tqdm.write(f"distillery: {reason}", file=sys.stderr)
    return 2
