"""distillery: from a fine-tuned BERT to a small, fast model.

Importing this package loads neither torch nor transformers. Where transformers is used, before or
after, `AutoModelForSequenceClassification.from_pretrained` and `pipeline` load a saved student.
"""

from distillery.registration import register_with_transformers

__version__ = "0.1.0"

register_with_transformers()
