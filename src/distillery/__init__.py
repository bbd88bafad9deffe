"""distillery: from a fine-tuned BERT to a small, fast model.

Importing the package registers the students with the Auto classes of transformers, so that
`AutoModelForSequenceClassification.from_pretrained` and `pipeline` load a saved student.
"""

from distillery.models import register

__version__ = "0.1.0"

register()
