"""distillery: from a fine-tuned BERT to a small, fast model.

Importing this package loads neither torch nor transformers. `import distillery.models` registers
the students with transformers, before or after transformers itself is imported; then
`AutoModelForSequenceClassification.from_pretrained` and `pipeline` load a saved student.
"""

__version__ = "0.1.0"
PYTHON = (3, 11)  # the oldest that runs it
