"""The command line: parse, call one function, print."""

import argparse
import contextlib
import importlib
import logging
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from distillery import commands, paths, progress, recipes
from distillery.commands import COMMANDS, NAMES, Command
from distillery.errors import UserError, choose, one_line
from distillery.recipes import options
from distillery.students import BASELINES, STUDENTS


class _Parser(argparse.ArgumentParser):
    """Errors are one line, options are never abbreviated."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def print_help(self, file: Any = None) -> None:
        super().print_help(file)
        if sys.stdout:
            sys.stdout.flush()  # here, where a closed pipe is expected

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


_THEN = "--then"  # between commands that run in one process
_OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory")  # PyTorch's, GPU and CPU


def _usage() -> str:
    program = paths.program()
    rows = "\n".join(f"  {name:9} {command.help}" for name, command in COMMANDS.items())
    return f"""\
usage: {program} COMMAND [OPTION...]

From a fine-tuned BERT to a small, fast model, in numbered stages.

{rows}

{program} COMMAND --help lists a command's options and their values.
{program} COMMAND ... {_THEN} COMMAND ... runs several in one process,
until one fails."""


def parse(argv: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """The command and its arguments. The names come first: the recipe's options depend on them."""
    name = choose("command", argv[0], COMMANDS)
    for word in argv:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(f"argument {word!r} is not UTF-8") from None
    command = COMMANDS[name]
    program = f"{paths.program()} {name}"
    first = _Parser(prog=program, add_help=False)
    for option in command.names:
        first.add_argument(f"--{option}", default="")
    known, rest = first.parse_known_args(argv[1:])
    if getattr(known, "task", ""):
        paths.checked_name("task", known.task)
    for option, allowed in (("student", STUDENTS), ("baseline", (*BASELINES, "all"))):
        if getattr(known, option, ""):
            choose(option, getattr(known, option), allowed)
    parser = _Parser(prog=program, description=command.help)
    for option in command.names:
        parser.add_argument(
            f"--{option}", required=True, metavar=option.upper(), help=NAMES[option]
        )
    commands.add_options(command, parser, known)
    arguments = parser.parse_intermixed_args(argv[1:])
    names = {option: getattr(arguments, option) for option in command.names}
    options_given = [word for word in rest if word != "--force"]
    arguments.command_line = " ".join(
        [paths.command(name, names), *map(shlex.quote, options_given)]
    )
    return command, arguments


def run(command: Command, arguments: argparse.Namespace) -> int:
    """Calls the command's function; returns the exit status.

    The function gets those of these that the command has: the task, the recipe with the user's
    options applied, and `arguments`: the options by name, always including `DEFAULTS` (seeds as a
    list) and `command_line`, which results record. With `--search`, the module's `prepare` is
    called the same way for each recipe.
    """
    module_name, function_name = command.function.split(":")
    module: Any = importlib.import_module(f"distillery.{module_name}")
    if "--seeds SEEDS" in command.options:
        arguments.seeds = _seeds(arguments)
    given: list[Any] = []
    if "task" in command.names:
        from distillery import tasks

        given.append(arguments.task if command.new_task else tasks.get(arguments.task))
    if command.recipe:
        planned = command.recipe(arguments)
        recipe = options.apply(planned, arguments)
        given.append(recipe)
        variant = arguments.variant
        if arguments.search:
            from distillery.experiments import search

            if variant or arguments.force:
                raise UserError("a search makes no result: leave out --variant and --force")
            tried = options.grid(recipe, arguments.search)
            stages = [module.prepare(given[0], each, arguments) for each in tried]
            search.run(stages, planned, arguments)
            return 0
        if "--variant NAME" in command.options and recipe != planned and not variant:
            raise UserError("recipe options make another experiment: give it a name with --variant")
        if variant and recipe == planned:
            raise UserError(f"variant '{variant}' changes nothing: give a recipe option")
    if command.options or set(command.names) - {"task"}:
        given.append(arguments)
    status: int | None = getattr(module, function_name)(*given)
    return status or 0


def _seeds(arguments: argparse.Namespace) -> list[int]:
    """`--seeds 3` means the seeds 0, 1, 2; `4,7` the seeds 4 and 7. By default a variant or a
    search runs one, and other experiments as many as the task's plan says."""
    text = arguments.seeds
    if text is None:
        model = arguments.student or commands.first_teacher(arguments)
        planned = recipes.plan(arguments.task).seeds.get(model, 1)
        text = "1" if arguments.variant or arguments.search else str(planned)
    try:
        numbers = [int(item) for item in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and 0 < numbers[0] <= 1000:
        return list(range(numbers[0]))
    if len(set(numbers)) < max(2, len(numbers)) or not 0 <= min(numbers) <= max(numbers) < 2**32:
        raise UserError(f"--seeds {text} is impossible: a number, or different seeds 'A,B,...'")
    return numbers


class _AboveBars(logging.Handler):
    """Writes lines to stderr without tearing the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        _write(self.format(record))


def _write(line: str) -> None:
    """Writes a line to stderr, above the progress bars where there are some."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm:
        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def _in_thread(raised: threading.ExceptHookArgs) -> None:
    """Hides a disk error of TensorBoard's thread, which it raises in the main thread too."""
    if not issubclass(raised.exc_type, OSError):
        threading.__excepthook__(raised)


def _quiet() -> None:
    """Shows our own log lines and progress bars only, and those of the main process alone."""
    level = logging.INFO if progress.is_main_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", handlers=[_AboveBars()])
    noisy = ("httpx", "datasets", "huggingface_hub", "transformers", "accelerate", "matplotlib")
    for name in noisy:
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():  # there a library's bar would be a line per redraw
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    threading.excepthook = _in_thread


@contextlib.contextmanager
def _prepared() -> Iterator[None]:
    """Loads torch and transformers, which takes seconds, and sets them up."""
    import torch
    import transformers

    import distillery.models.registry  # noqa: F401  registers the students
    from distillery.kernels import hardware

    transformers.utils.logging.disable_progress_bar()
    hardware.prepare()
    try:
        yield
    finally:  # restore denormals for a caller that embeds `main`
        torch.set_flush_denormal(False)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which containers, schedulers and `kill` send to stop a process."""


def _terminate(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the exit
    raise _Terminated


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Returns its exit status: 0 if it worked, 2 after a one-line error, 130 after
    Ctrl-C, 143 after SIGTERM."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(argv)
    except KeyboardInterrupt as stop:
        _say(str(stop) or "stopped")
        return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(argv: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if not given or given[0] in ("-h", "--help"):
            print(_usage(), flush=True)
            return 0 if given else 2
        if _THEN in (given[: given.index("--")] if "--" in given else given):
            return _run_each(given)
        command, arguments = parse(given)
        _quiet()
        if command.writes and not paths.in_clone():
            logging.info("data in %s, results in %s", paths.data(), paths.results(local=False))
        with _prepared() if command.computes else contextlib.nullcontext():
            try:
                status = run(command, arguments)
            except KeyboardInterrupt as stop:
                if command.writes:
                    stop.args = ("stopped; run the same command again to resume",)
                raise
        if sys.stdout:
            sys.stdout.flush()  # here, where a closed pipe is expected
        return status
    except BrokenPipeError:  # the reader, such as `head`, closed the pipe
        with contextlib.suppress(OSError, ValueError):  # nothing is left to flush at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except UserError as error:
        return _refuse(str(error))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _refuse(f"{error.strerror or error}{where}")
    except RuntimeError as error:
        if not _OUT_OF_MEMORY.search(str(error)):
            raise
        return _refuse("memory is full: free some, or train with a smaller batch (see --help)")


def _run_each(given: list[str]) -> int:
    """Runs the commands separated by `_THEN`, which share one import of torch."""
    while given:
        end = given.index(_THEN) if _THEN in given else len(given)
        command, given = given[:end], given[end + 1 :]
        _write(one_line(f"== distillery {' '.join(command)}"))
        if status := _run(command):
            return status
    return 0


def _refuse(reason: str) -> int:
    _say(one_line(reason))
    return 2


def _say(line: str) -> None:
    """Prints one line, from the main process alone."""
    if progress.is_main_process():
        _write(f"distillery: {line}")
