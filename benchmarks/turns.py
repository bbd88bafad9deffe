"""Processes that work in turns, so that whatever else a machine does slows all of them alike.

Each contender is a process of its own. All are started, then one at a time is told to work while
the others wait.
"""

import gc
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from distillery.errors import UserError


def peak_memory() -> int:
    """The most bytes this process has had in memory (`getrusage` would count its parent's)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel tells no VmHWM")


class Worker:
    """The contender's side of the conversation.

    Speaks JSON lines over standard input and output; whatever a library prints goes to stderr.
    """

    def __init__(self) -> None:
        self.replies, sys.stdout = sys.stdout, sys.stderr

    def listen(self) -> dict[str, Any]:
        """What the driver says next. Ends the process if the driver is gone."""
        if not (line := sys.stdin.readline()):
            sys.exit(1)
        told: dict[str, Any] = json.loads(line)
        return told

    def reply(self, **facts: Any) -> None:
        """Answers what was told; `error` is a line that ends the run."""
        print(json.dumps(facts), file=self.replies, flush=True)


@dataclass
class Contender:
    """The driver's side of a worker.

    work: the command of the worker's process; or a function that is called in it with `given`, and
    then all such workers share the libraries they load, since they are forked from one process
    that has imported its module. environment: variables added to the driver's; a function sees
    them once its module is imported. facts: what is known of the contender.
    """

    name: str
    work: list[str] | Callable[[dict[str, Any]], None]
    environment: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        environment = {"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", **self.environment}
        if callable(self.work):
            self._fork(self.work, environment)
            return
        process = subprocess.Popen(
            self.work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert process.stdin and process.stdout
        self.process: Any = process
        self.told: IO[str] = process.stdin
        self.answers: IO[str] = process.stdout

    def _fork(self, work: Callable[[dict[str, Any]], None], environment: dict[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([work.__module__])
        listens, tells = context.Pipe(duplex=False)
        hears, replies = context.Pipe(duplex=False)
        arguments = (work, self.given, environment, listens, replies)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        self.told = os.fdopen(os.dup(tells.fileno()), "w")
        self.answers = os.fdopen(os.dup(hears.fileno()))
        for end in (listens, tells, hears, replies):
            end.close()

    def stop(self) -> None:
        """Ends the process, where it was started."""
        if hasattr(self, "process"):
            self.process.kill()
            (self.process.join if callable(self.work) else self.process.wait)()

    def tell(self, **what: Any) -> dict[str, Any]:
        """The worker's answer; UserError where it is an error, or there is none."""
        try:
            print(json.dumps(what), file=self.told, flush=True)
            line = self.answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise UserError(f"{self.name} broke off (its last words stand above)")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(f"{self.name}: {answer['error']}")
        return answer


def _work(
    work: Callable[[dict[str, Any]], None],
    given: dict[str, Any],
    environment: dict[str, str],
    listens: Connection,
    replies: Connection,
) -> None:
    """In a forked process: what is told and answered goes over standard input and output."""
    gc.freeze()  # a collection would copy every page of the libraries
    os.environ.update(environment)
    os.dup2(listens.fileno(), 0)
    os.dup2(replies.fileno(), 1)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    work(given)
