"""The students and the baselines, a row each.

At the bottom of the package and free of torch, since `--help`, recipes and the report read it.
"""

from dataclasses import dataclass


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


@dataclass(frozen=True)
class Student:
    """What there is to know about a student.

    architecture: a key of `models.networks.NETWORKS`, bert: transformers' own in a `shape`, or
    encoder: that of an `encoder` (short name or hub id), with fewer layers and its weights.
    layers: its depth. checkpoint: hub id and revision of published weights it can start from.
    static: whether its matmuls can be quantized with input ranges from calibration rows. prunes:
    whether it has units that pruning can remove.
    """

    architecture: str
    layers: int
    shape: BertShape | None = None
    encoder: str | None = None
    checkpoint: tuple[str, str] | None = None
    static: bool = False
    prunes: bool = True

    @property
    def own(self) -> bool:
        """Whether its layers are our own; others are transformers' and read texts as a teacher."""
        return self.architecture not in ("bert", "encoder")


def _bert(shape: BertShape, hub: str, revision: str) -> Student:
    return Student("bert", shape.layers, shape, checkpoint=(hub, revision), static=True)


STUDENTS: dict[str, Student] = {
    "bilstm": Student("bilstm", 1),
    "bilstm2": Student("bilstm", 2),
    "bigru": Student("bigru", 1),
    "bigru2": Student("bigru", 2),
    "attention": Student("attention", 1, static=True),
    "attention2": Student("attention", 2, static=True),
    "transformer": Student("transformer", 1, static=True),
    "transformer2": Student("transformer", 2, static=True),
    "bag": Student("bag", 1, prunes=False),
    "bert_tiny": _bert(
        BertShape(2, 128, 2, 512),
        "google/bert_uncased_L-2_H-128_A-2",
        "30b0a37ccaaa32f332884b96992754e246e48c5f",
    ),
    "bert_mini": _bert(
        BertShape(4, 256, 4, 1024),
        "google/bert_uncased_L-4_H-256_A-4",
        "387825ce42dbb39b87911cdf8e383ee3b25184f8",
    ),
    "bert_small": _bert(
        BertShape(4, 512, 8, 2048),
        "google/bert_uncased_L-4_H-512_A-8",
        "main",
    ),
    "tinybert4": _bert(
        BertShape(4, 312, 12, 1200),
        "huawei-noah/TinyBERT_General_4L_312D",
        "34707a33cd59a94ecde241ac209bf35103691b43",
    ),
    "distilbert": _bert(
        BertShape(6, 768, 12, 3072),
        "distilbert/distilbert-base-uncased",
        "12040accade4e8a0f71eabdb258fecc2e7e948be",
    ),
    "minilm3": Student("encoder", 3, encoder="minilm", static=True),
}

OWN = tuple(name for name, row in STUDENTS.items() if row.own)


@dataclass(frozen=True)
class Baseline:
    """A model without a neural network. title: its name in tables. kinds: the kinds of tasks that
    it fits."""

    title: str
    kinds: tuple[str, ...]


BASELINES: dict[str, Baseline] = {
    "majority": Baseline("majority class", ("classification",)),
    "tfidf": Baseline("TF-IDF + logistic regression", ("classification",)),
    "nbsvm": Baseline("NBSVM on bigrams", ("classification",)),
    "mean": Baseline("mean of train", ("regression",)),
    "ridge": Baseline("TF-IDF + ridge regression", ("regression",)),
}
