"""The command line: parse, call one function, print."""

import argparse
import contextlib
import logging
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from distillery import commands, paths, progress
from distillery.commands.base import Command
from distillery.errors import UserError, choose, one_line
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


_HELP = {
    "task": "data set, such as imdb, demo, smoke, or the name of your own",
    "teacher": "bert, minilm, a hub id (owner/name) or a folder",
    "student": ", ".join(STUDENTS),
    "baseline": ", ".join(BASELINES),
    "model": "name of a model's result, such as distil_bilstm_minilm_imdb",
}


_THEN = "--then"  # between commands that run in one process
_OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory")  # PyTorch's, GPU and CPU


def _summary(command: type[Command]) -> str:
    return (command.__doc__ or "").strip()


def _usage() -> str:
    lines = [f"  {name:9} {_summary(commands.find(name))}" for name in commands.COMMANDS]
    return "\n".join(
        [
            f"usage: {paths.program()} COMMAND [OPTION...]",
            "",
            "From a fine-tuned BERT to a small, fast model, in numbered stages.",
            "",
            *lines,
            "",
            f"{paths.program()} COMMAND --help lists a command's options and their values.",
            f"{paths.program()} COMMAND ... {_THEN} COMMAND ... runs several in one process,",
            "until one fails.",
        ]
    )


def parse(argv: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """The command and its arguments. The names come first: the recipe's options depend on them."""
    name = choose("command", argv[0], commands.COMMANDS)
    for word in argv:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(f"argument {word!r} is not UTF-8") from None
    command = commands.find(name)()
    first = _Parser(prog=f"{paths.program()} {name}", add_help=False)
    for option in command.names:
        first.add_argument(f"--{option}")
    known, rest = first.parse_known_args(argv[1:])
    if getattr(known, "task", None):
        paths.checked_name("task", known.task)
    parser = _Parser(prog=f"{paths.program()} {name}", description=_summary(type(command)))
    for option in command.names:
        parser.add_argument(
            f"--{option}", required=True, metavar=option.upper(), help=_HELP[option]
        )
    command.add(parser, known)
    arguments = parser.parse_intermixed_args(argv[1:])
    names = {option: getattr(arguments, option) for option in command.names}
    options_given = [word for word in rest if word != "--force"]
    arguments.command_line = " ".join(
        [paths.command(name, names), *map(shlex.quote, options_given)]
    )
    return command, arguments


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
    """TensorBoard's thread shows an error of the disk that it then raises in the main one too."""
    if not issubclass(raised.exc_type, OSError):
        threading.__excepthook__(raised)


def _quiet() -> None:
    """Our own lines and bars only; of several processes, those of the first."""
    level = logging.INFO if progress.is_main_process() else logging.ERROR
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
    if not sys.stderr.isatty():  # there a library's bar would be a line per redraw
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    threading.excepthook = _in_thread


@contextlib.contextmanager
def _prepared() -> Iterator[None]:
    """What a command that computes needs of torch and transformers, which take seconds to load."""
    import torch
    import transformers

    import distillery.models.registry  # noqa: F401  registers the students
    from distillery.kernels import hardware

    transformers.utils.logging.disable_progress_bar()
    hardware.prepare()
    try:
        yield
    finally:  # who called `main` has his smallest numbers back
        torch.set_flush_denormal(False)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: what a container, a scheduler or `kill` stops a process with."""


def _terminate(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break the way out
    raise _Terminated


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; its exit status, 0 where it worked, 2 after a one-line error, 130 after
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
            where = f"data in {paths.data()}, results in {paths.results(local=False)}"
            logging.info("%s", where)
        with _prepared() if command.computes else contextlib.nullcontext():
            status = _run_resumable(command, arguments)
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


def _run_resumable(command: Command, arguments: argparse.Namespace) -> int:
    """Runs a command; an interrupt says whether it can be resumed."""
    try:
        return command.run(arguments) or 0
    except KeyboardInterrupt as stop:
        if command.writes:
            stop.args = ("stopped; run the same command again to resume",)
        raise


def _run_each(given: list[str]) -> int:
    """Runs commands with `_THEN` between them: they share one import of torch, which takes
    seconds."""
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
    """Says the one line, of several processes once."""
    if progress.is_main_process():
        _write(f"distillery: {line}")
