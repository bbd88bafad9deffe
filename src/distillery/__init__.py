"""distillery: from a fine-tuned BERT to a small, fast model.

Importing the package registers the students with the Auto classes of transformers, so that
`AutoModelForSequenceClassification.from_pretrained` and `pipeline` load a saved student.
"""

from importlib.util import find_spec

__version__ = "0.1.0"

if find_spec("torch") and find_spec("transformers"):  # else `distillery doctor` says so
    from distillery.models import register

    register()
