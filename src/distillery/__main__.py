"""`python -m distillery` is the command line."""

import sys
from typing import Any

from distillery import PYTHON
from distillery.errors import reason


def main() -> int:
    """Runs the command line; where Python is too old or a package missing or broken, says so in
    one line."""
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
            return _refuse(f"package {error.name} is missing")
        return _refuse(f"a package is broken ({reason(error)})")


def _refuse(why: str) -> int:
    """Says why nothing runs. The doctor does, from the oldest Python on that can read it."""
    if sys.argv[1:2] == ["doctor"] and sys.version_info >= (3, 8):
        from distillery import doctor

        return doctor.run()
    print(f"distillery: {why}: scripts/distillery doctor helps", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
