"""Progress bars: redrawn in place on a terminal, a line now and then anywhere else."""

import os
import sys
from typing import Any

INTERVAL = 30.0  # seconds between lines where stderr is no terminal
_LINE = "{desc}: {percentage:.0f} % of {total_fmt}{unit}, {rate_fmt}, {remaining} left{postfix}"
_LINE_WITHOUT_TOTAL = "{desc}: {n_fmt}{unit}, {rate_fmt}{postfix}"


def is_main_process() -> bool:
    """Whether this is the only process, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


class _Lines:
    """A stream for tqdm that ends each redraw with a newline in place of overwriting the last."""

    def write(self, text: str) -> None:
        if words := text.split():
            sys.stderr.write(" ".join(words) + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def bar(iterable: Any = None, **options: Any) -> Any:
    """A tqdm bar over `iterable`, or one that is updated by hand; `options` are tqdm's, and it
    is removed at the end unless `leave` says otherwise.

    Of several processes the main one shows it. Where stderr is no terminal it prints a line every
    `INTERVAL` seconds, so nothing of work that is shorter.
    """
    from tqdm import tqdm

    options.setdefault("leave", False)
    if not is_main_process():
        options["disable"] = True
    elif not options.get("disable"):
        options.pop("disable", None)  # tqdm then asks TQDM_DISABLE
    if not sys.stderr.isatty():
        known = options.get("total") is not None or hasattr(iterable, "__len__")
        options |= {
            "file": _Lines(),
            "bar_format": _LINE if known else _LINE_WITHOUT_TOTAL,
            "mininterval": INTERVAL,
            "miniters": 1,
            "delay": INTERVAL,
            "leave": False,
        }
    return tqdm(iterable, **options)
