"""Smoke: a few generated rows, so that tests run every stage in seconds. SYNTHETIC."""

import random

from distillery.data.task import Example, Task

_OPINIONS = (
    ("awful", "boring", "bad", "weak", "poor"),
    ("great", "lovely", "good", "strong", "fine"),
)
_SUBJECTS = ("film", "plot", "cast", "music", "scene", "story")
_FILLER = ("the", "was", "we", "saw", "it", "and", "then", "at", "home", "with", "a", "friend")
WORDS = (*_OPINIONS[0], *_OPINIONS[1], *_SUBJECTS, *_FILLER)
_ROWS = {"train": (80, 80), "test": (48, 48), "unlabeled": (160,)}


def generate() -> dict[str, list[Example]]:
    """The splits; no text occurs twice."""
    chance = random.Random(0)
    seen: set[str] = set()

    def text(label: int) -> str:
        while True:
            filler = " ".join(chance.choices(_FILLER, k=chance.randint(2, 12)))
            made = (
                f"the {chance.choice(_SUBJECTS)} was {chance.choice(_OPINIONS[label])} and the"
                f" {chance.choice(_SUBJECTS)} was {chance.choice(_OPINIONS[label])}, {filler}"
            )
            if made not in seen:
                seen.add(made)
                return made

    splits = {}
    for split, counts in _ROWS.items():
        labels = [row % 2 for row in range(sum(counts))]
        splits[split] = [
            Example(row, text(label), label=None if split == "unlabeled" else label)
            for row, label in enumerate(labels)
        ]
    return splits


TASK = Task(
    name="smoke",
    labels=("negative", "positive"),
    generate=generate,
    counts=_ROWS,
    local=True,
    synthetic=True,
)
