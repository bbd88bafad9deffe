"""IMDB: Large Movie Review Dataset v1.0 (Maas et al. 2011), polarity of film reviews."""

import re
from collections.abc import Iterator

from distillery.data.task import Example, Hub, Task

_REVIEW = re.compile(r"(train|test)/(neg|pos|unsup)/(\d+)_\d+\.txt")


def parse(path: str, content: bytes) -> Iterator[tuple[str, Example]]:
    """`train/pos/12_9.txt` is row 12 of the positive reviews of train."""
    match = _REVIEW.fullmatch(path)
    if match:
        split, label, number = match.groups()
        labels = {"neg": 0, "pos": 1, "unsup": None}
        row = int(number) + (12500 if label == "pos" else 0)
        yield (
            "unlabeled" if label == "unsup" else split,
            Example(row, content.decode("utf-8"), label=labels[label]),
        )


TASK = Task(
    name="imdb",
    labels=("negative", "positive"),
    hub=Hub(
        id="stanfordnlp/imdb",
        revision="e6281661ce1c48d982bc483cf8a173c1bbeb5d31",
        splits={"train": "train", "test": "test", "unlabeled": "unsupervised"},
    ),
    parse=parse,
    top_folder="aclImdb",
    counts={"train": (12500, 12500), "test": (12500, 12500), "unlabeled": (50000,)},
)
