"""`python -m distillery` is the command line."""

from __future__ import annotations  # older Pythons read it too, to say that they are old

import os
import sys
from typing import Any

PYTHON = (3, 11)  # the oldest that runs distillery


def main() -> int:
    """Runs the command line; one line if Python is too old or a package missing or broken."""
    if sys.stderr is None:  # closed by the caller: lines meant for it go nowhere
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):  # not where it is closed
        stdout.reconfigure(errors="backslashreplace")  # for terminals that lack some letters
    if sys.version_info < PYTHON:
        needed = ".".join(map(str, PYTHON))
        return _fail(f"Python {sys.version.split()[0]} is too old: {needed} or newer is needed")
    from distillery import doctor, paths
    from distillery.errors import reason

    try:
        from distillery.cli import main as run

        return run()
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        if missing and (error.name or "distillery").startswith("distillery"):
            raise
        if sys.argv[1:2] == ["doctor"]:
            return doctor.run()
        if not missing:
            return _fail(f"a package is broken ({reason(error)}): {paths.program()} doctor helps")
        package = doctor.package_of(error.name or "")
        return _fail(f"package {package} is missing: {doctor.install_command(package)}")


def _fail(why: str) -> int:
    print(f"distillery: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
