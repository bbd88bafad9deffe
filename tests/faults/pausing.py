"""Runs a command of the project that waits after some calls of a function, to be killed there.

    python tests/faults/pausing.py FILE MODULE:FUNCTION CALLS COMMAND...

After so many calls it makes FILE and waits for a signal. SIGUSR1 makes it go on; others do what
they always do. So a test kills it at the same place, however busy the machine is.
"""

import importlib
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from distillery.cli import main


def _pause_after(calls: int, name: str, file: Path, resumed: threading.Event) -> None:
    module, _, path = name.partition(":")
    *owners, function = path.split(".")
    owner: Any = importlib.import_module(module)
    for attribute in owners:
        owner = getattr(owner, attribute)
    plain = getattr(owner, function)
    left = calls

    def pausing(*args: Any, **options: Any) -> Any:
        nonlocal left
        result = plain(*args, **options)
        left -= 1
        if left == 0:
            file.touch()
            while not resumed.is_set():
                time.sleep(0.01)  # in `Event.wait` Ctrl-C may come while a lock is half taken
        return result

    setattr(owner, function, pausing)


if __name__ == "__main__":
    file, name, calls, *command = sys.argv[1:]
    resumed = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: resumed.set())
    _pause_after(int(calls), name, Path(file), resumed)
    sys.exit(main(command))
