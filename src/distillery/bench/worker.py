"""A worker process that handles one request at a time."""

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from distillery.errors import UserError


def peak_memory() -> int:
    """The most bytes this process has had in memory (`getrusage` would count its parent's)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel tells no VmHWM")


@dataclass
class Worker:
    """A process that runs `work`: (given, connection), where each message received is a task and
    each message sent its answer, a dict; `error` in it is a line that ends the run.

    Workers share the libraries they load, since they are forked from one process that has imported
    the module of `work`. environment: variables added to that process's. facts: what is known.
    """

    name: str
    work: Callable[[dict[str, Any], Connection], None]
    given: dict[str, Any]
    environment: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload([self.work.__module__])
        self.connection, theirs = context.Pipe()
        arguments = (self.work, self.given, self.environment, theirs)
        self.process = context.Process(target=_run, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def stop(self) -> None:
        """Ends the process, if it was started."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.join()

    def tell(self, **what: Any) -> dict[str, Any]:
        """The worker's answer; UserError if it is an error, or there is none."""
        try:
            self.connection.send(what)
            answer: dict[str, Any] = self.connection.recv()
        except (EOFError, OSError):
            raise UserError(f"{self.name} broke off (its last words stand above)") from None
        if "error" in answer:
            raise UserError(f"{self.name}: {answer['error']}")
        return answer


def _run(
    work: Callable[[dict[str, Any], Connection], None],
    given: dict[str, Any],
    environment: dict[str, str],
    connection: Connection,
) -> None:
    gc.freeze()  # a collection would copy every page of the libraries
    os.environ.update({"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", **environment})
    sys.stdout = sys.stderr
    try:
        work(given, connection)
    except EOFError:  # the driver is gone
        sys.exit(1)
