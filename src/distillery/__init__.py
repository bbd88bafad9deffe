"""distillery: from a fine-tuned BERT to a small, fast model.

Importing the package registers the students with the Auto classes of transformers, so that
`AutoModelForSequenceClassification.from_pretrained` and `pipeline` load a saved student.
"""

import contextlib
import sys
from importlib.util import find_spec

__version__ = "0.1.0"
PYTHON = (3, 11)  # the oldest that runs it

if sys.version_info >= PYTHON and find_spec("torch") and find_spec("transformers"):
    # Where a package is broken, the doctor says so, and whatever needs it.
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        from distillery.models import register

        register()
