"""distillery: from a fine-tuned BERT to a small, fast model.

Importing the package registers the students with the Auto classes of transformers, so that
`AutoModelForSequenceClassification.from_pretrained` and `pipeline` load a saved student.
"""

import contextlib
import itertools
import sys
from importlib.util import find_spec

__version__ = "0.1.0"
PYTHON = (3, 11)  # the oldest that runs it


def _is_command_line() -> bool:
    """Whether `python -m distillery` is about to run, which registers them where it computes:
    `--help` need not wait for torch."""
    words = sys.orig_argv
    return sys.argv[:1] == ["-m"] and ("-m", "distillery") in itertools.pairwise(words)


if (
    sys.version_info >= PYTHON
    and not _is_command_line()
    and find_spec("torch")
    and find_spec("transformers")
):
    # Where a package is broken, the doctor says so, and whatever needs it.
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        from distillery.models import register

        register()
