"""`python -m distillery` is the command line."""

from __future__ import annotations  # older Pythons read it too, to say that they are old

import os
import sys
from typing import Any

from distillery import PYTHON, packages, paths
from distillery.errors import reason


def main() -> int:
    """Runs the command line; where Python is too old or a package missing or broken, says so in
    one line."""
    if sys.stderr is None:  # closed by the caller: lines meant for it go nowhere
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):  # not where it is closed
        stdout.reconfigure(errors="backslashreplace")  # for terminals that lack some letters
    if sys.version_info < PYTHON:
        needed = ".".join(map(str, PYTHON))
        return _refuse(f"Python {sys.version.split()[0]} is too old: {needed} or newer is needed")
    try:
        from distillery.cli import main as run

        return run()
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError):
            if (error.name or "distillery").startswith("distillery"):
                raise
            package = packages.package_of(error.name or "")
            return _refuse(f"package {package} is missing", packages.install(package))
        return _refuse(f"a package is broken ({reason(error)})")


def _refuse(why: str, remedy: str | None = None) -> int:
    """Says why nothing runs. The doctor does, from the oldest Python on that can read it."""
    if sys.argv[1:2] == ["doctor"] and sys.version_info >= (3, 8):
        from distillery import doctor

        return doctor.run()
    print(f"distillery: {why}: {remedy or f'{paths.program()} doctor helps'}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
