"""The names a user types: students and the teachers with a short name."""

from dataclasses import dataclass

# Students of our own: name -> (architecture, layers). An architecture is one file in `models` and
# one line in its registry; a depth is one line here.
OWN_STUDENTS: dict[str, tuple[str, int]] = {
    "bilstm": ("bilstm", 1),
    "bilstm2": ("bilstm", 2),
    "bigru": ("bigru", 1),
    "bigru2": ("bigru", 2),
    "attention": ("attention", 1),
    "attention2": ("attention", 2),
    "transformer": ("transformer", 1),
    "transformer2": ("transformer", 2),
    "bag": ("bag", 1),
}

# Architectures whose matmuls can take their inputs' ranges from calibration rows.
STATIC = ("attention", "transformer", "bert")
UNPRUNED = ("bag",)  # students without units: stage 5 exports and quantizes them


@dataclass(frozen=True)
class BertShape:
    """Sizes of a BERT. inner: width inside a feed-forward block."""

    layers: int
    width: int
    heads: int
    inner: int

    def __str__(self) -> str:
        return (
            f"{self.layers} layers of width {self.width} and {self.inner} inside,"
            f" {self.heads} heads"
        )


# Students of BERT's shape, in the sizes of published checkpoints (`encoders.CHECKPOINTS`).
BERT_STUDENTS: dict[str, BertShape] = {
    "bert_tiny": BertShape(2, 128, 2, 512),
    "bert_mini": BertShape(4, 256, 4, 1024),
    "bert_small": BertShape(4, 512, 8, 2048),
    "tinybert4": BertShape(4, 312, 12, 1200),
    "distilbert": BertShape(6, 768, 12, 3072),
}

STUDENTS: dict[str, tuple[str, int]] = {
    **OWN_STUDENTS,
    **{name: ("bert", shape.layers) for name, shape in BERT_STUDENTS.items()},
}

TEACHERS = ("bert", "minilm")
BASELINES = ("majority", "tfidf", "nbsvm")
