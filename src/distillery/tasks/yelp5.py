"""Yelp reviews with one to five stars (Zhang et al. 2015)."""

from distillery.data import tables
from distillery.data.task import Hub, Task


def unescape(text: str) -> str:
    """The files write a new line as `\\n` and a quote as `\\"`."""
    return text.replace("\\n", "\n").replace('\\"', '"')


TASK = Task(
    name="yelp5",
    labels=("1 star", "2 stars", "3 stars", "4 stars", "5 stars"),
    hub=Hub(
        id="Yelp/yelp_review_full",
        revision="c1f9ee939b7d05667af864ee1cb066393154bf85",
        splits={"train": "train", "test": "test"},
    ),
    parse=tables.parser(
        {"train.csv": "train", "test.csv": "test"},
        ("1", "2", "3", "4", "5"),
        columns=("label", "text"),
    ),
    top_folder="yelp_review_full_csv",
    unescape=unescape,
    counts={"train": (130000,) * 5, "test": (10000,) * 5},
)
