"""`python -m distillery` is the command line."""

import sys


def main() -> int:
    """Runs the command line; where a package is missing, says so in one line."""
    try:
        from distillery.cli import main as run

        return run()
    except ModuleNotFoundError as error:
        if (error.name or "distillery").startswith("distillery"):
            raise
        if sys.argv[1:2] == ["doctor"]:
            from distillery import doctor

            return doctor.run()
        print(
            f"distillery: package {error.name} is missing: scripts/distillery doctor helps",
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
