"""Processes that work in turns, so that whatever else a machine does slows all of them alike.

Each contender is a process of its own. All are started, then one at a time is told to go on for
some steps while the others wait.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import IO, Any

import torch

from distillery.bench.worker import peak_memory
from distillery.errors import UserError


class Worker:
    """The contender's side: `step()` before every step, `finish()` at the end.

    Speaks JSON lines over standard input and output; whatever a library prints goes to stderr.
    """

    def __init__(self) -> None:
        self.replies, sys.stdout = sys.stdout, sys.stderr
        self.left, self.since = 0, 0.0

    def step(self) -> None:
        """Waits for its turn where that is over."""
        if self.left == 0:
            if self.since:
                self.reply(seconds=self._now() - self.since)
            self.left = int(self.listen()["steps"])
            self.since = self._now()
        self.left -= 1

    def finish(self, **facts: Any) -> None:
        """Answers for the last turn, then, when asked, tells what came of it all."""
        self.reply(seconds=self._now() - self.since)
        self.listen()
        gpu = torch.cuda.is_available()
        peak = torch.cuda.max_memory_allocated() if gpu else peak_memory()
        self.reply(peak_memory=peak, **facts)

    def _now(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    def listen(self) -> dict[str, Any]:
        """What the driver tells next; whether it is there yet is answered on the way."""
        while line := sys.stdin.readline():
            told: dict[str, Any] = json.loads(line)
            if "ready" not in told:
                return told
            self.reply(ready=True)
        sys.exit(1)  # whoever told the turns is gone

    def reply(self, **facts: Any) -> None:
        """Answers what was told; `error` is a line that ends the run."""
        print(json.dumps(facts), file=self.replies, flush=True)


@dataclass
class Contender:
    """The driver's side of a worker. seconds: of a step, by turns; warm: of the warm-up turn."""

    name: str
    command: list[str]
    warm: float = 0.0
    seconds: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"},
        )
        assert self.process.stdin and self.process.stdout
        self.told: IO[str] = self.process.stdin
        self.answers: IO[str] = self.process.stdout

    def stop(self) -> None:
        """Ends the process, if it was started."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()

    def tell(self, **what: Any) -> dict[str, Any]:
        """The worker's answer; UserError if it is an error, or there is none."""
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


def run(contenders: list[Contender], warm: int, rounds: int, steps: int) -> None:
    """Lets contenders work in turns: `warm` steps that do not count, then `rounds` of `steps`,
    and one more to end with. A contender must have as many steps in all."""
    try:
        for contender in contenders:
            contender.start()
            contender.tell(ready=True)
        for contender in contenders:
            contender.warm = contender.tell(steps=warm)["seconds"]
            each = contender.warm / warm
            print(f"  {contender.name}: {each:.3f} s a step to warm up", file=sys.stderr)
        for number in range(rounds):
            for contender in contenders:
                contender.seconds.append(contender.tell(steps=steps)["seconds"] / steps)
                text = (
                    f"  round {number + 1}, {contender.name}: {contender.seconds[-1]:.3f} s a step"
                )
                print(text, file=sys.stderr)
        for contender in contenders:
            contender.tell(steps=1)  # with what comes after the last step: not counted
            contender.facts = contender.tell(finish=True)
    finally:
        for contender in contenders:
            contender.stop()
