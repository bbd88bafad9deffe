"""Clean splits from raw rows: what leaks or repeats is dropped, dev is carved from train.

All decisions are made on keys and labels, as arrays; texts stay on disk (`spool`).
"""

import random
from collections import Counter
from typing import NamedTuple

import numpy as np

from distillery.data import phrases
from distillery.data.spool import Spool
from distillery.errors import UserError
from distillery.recipes import DataRecipe


class Chosen(NamedTuple):
    """The rows of a split: the places (n,) they have in a source."""

    source: Spool
    places: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        found: np.ndarray = self.source.labels[self.places]
        return found

    @property
    def keys(self) -> np.ndarray:
        found: np.ndarray = self.source.keys[self.places]
        return found

    @property
    def turned(self) -> np.ndarray:
        """Keys of the pairs with their texts swapped; none for single texts."""
        found: np.ndarray = self.source.turned[self.places if self.source.paired else []]
        return found


def _shares(counts: dict[int, int], count: int) -> dict[int, int]:
    """How many of `count` rows each label gets: its share, what is left to the largest rests."""
    total = sum(counts.values())
    shares = {label: count * rows / total for label, rows in counts.items()}
    take = {label: int(share) for label, share in shares.items()}
    by_rest = sorted(shares, key=lambda label: (take[label] - shares[label], label))
    for label in by_rest[: count - sum(take.values())]:
        take[label] += 1
    return take


def _rows_by_label(labels: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def stratified(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(N,) bool: `count` rows, with every label in its share."""
    shuffle = random.Random(seed)
    chosen = np.zeros(len(labels), bool)
    for label, rows in sorted(_shares(_rows_by_label(labels), count).items()):
        places = np.flatnonzero(labels == label)
        chosen[places[shuffle.sample(range(len(places)), rows)]] = True
    return chosen


def _first(keys: np.ndarray) -> np.ndarray:
    """(N,) bool: the first row of each key."""
    found = np.zeros(len(keys), bool)
    found[np.unique(keys, return_index=True)[1]] = True
    return found


def _contradictory(keys: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) bool: rows whose key has rows under another label too."""
    unique, first, number = np.unique(keys, return_index=True, return_inverse=True)
    several = np.zeros(len(unique), bool)
    several[number[labels != labels[first][number]]] = True
    found: np.ndarray = several[number]
    return found


class _Dropping:
    """Rows of a source that are left, and how many were dropped for which reason."""

    def __init__(self, source: Spool, dropped: Counter[str]) -> None:
        self.source, self.dropped = source, dropped
        self.places = np.arange(len(source))

    @property
    def keys(self) -> np.ndarray:
        found: np.ndarray = self.source.keys[self.places]
        return found

    def drop(self, reason: str, rows: np.ndarray) -> None:
        """Drops the rows (n,) bool of those left."""
        self.dropped[reason] += int(rows.sum())
        self.places = self.places[~rows]

    def drop_known(self, reason: str, *known: np.ndarray) -> None:
        """Drops the rows whose keys are among the known ones."""
        self.drop(reason, np.isin(self.keys, np.concatenate(known)))


def make(
    sources: dict[str, Spool], recipe: DataRecipe, names: tuple[str, ...]
) -> tuple[dict[str, Chosen], Counter[str]]:
    """Official splits -> train, dev, test, unlabeled, and how many rows were dropped and why.

    An official test split stays whole. Dropped from train: texts with two labels, repeats, and
    what stands in test. Then dev is carved; with `dev_from` sentences, phrases that occur only in
    sentences of dev or test are dropped as well. Dropped from unlabeled: repeats and what stands
    in any other split. A pair also counts as standing in test or dev with its texts swapped.
    names: the labels, in order. UserError where too few rows, or rows of one class, are left.
    """
    dropped: Counter[str] = Counter()
    source = sources["train"]
    train = _Dropping(source, dropped)
    train.drop("train rows with two labels", _contradictory(train.keys, source.labels))
    train.drop("train rows that repeat another", ~_first(train.keys))
    if "test" in sources:
        test = Chosen(sources["test"], np.arange(len(sources["test"])))
    elif recipe.dev_from == "sentences":
        raise UserError("dev_from sentences needs test rows of their own: name --test-data FILE")
    else:
        count = round(recipe.test_share * len(train.places))
        picked = stratified(source.labels[train.places], count, recipe.split_seed)
        test, train.places = Chosen(source, train.places[picked]), train.places[~picked]
    train.drop_known("train rows also in test", test.keys, test.turned)
    labelled = train.keys
    if recipe.dev_from == "rows":
        dev = _carve(train, train.places, test, recipe)
    else:
        dev = _carve_sentences(train, test, recipe)
    if source.paired:
        train.drop_known("train rows that swap a pair of dev", dev.turned)
    splits = {"train": Chosen(source, train.places), "dev": dev, "test": test}
    _refuse_one_class(splits, names)

    if "unlabeled" not in sources:
        return {**splits, "unlabeled": Chosen(source, np.zeros(0, np.int64))}, dropped
    unlabeled = _Dropping(sources["unlabeled"], dropped)
    unlabeled.drop("unlabeled rows that repeat another", ~_first(unlabeled.keys))
    unlabeled.drop_known("unlabeled rows also in test", test.keys, test.turned)
    unlabeled.drop_known("unlabeled rows also in train or dev", labelled, dev.turned)
    return {**splits, "unlabeled": Chosen(unlabeled.source, unlabeled.places)}, dropped


def _carve(train: _Dropping, pool: np.ndarray, test: Chosen, recipe: DataRecipe) -> Chosen:
    """Takes dev out of train: its share of the places in `pool`."""
    rows = recipe.dev_rows or min(2500, len(pool) // 10)
    if not len(test.places) or not 0 < rows < len(pool):
        kind = "labelled rows" if recipe.dev_from == "rows" else "sentences among the labelled rows"
        read = f"{len(train.source)} rows were read"
        for reason, count in train.dropped.items():
            read += f", {count} dropped: {reason}" if count else ""
        raise UserError(f"{len(pool)} {kind} are too few for train, dev and test ({read})")
    dev = Chosen(train.source, pool[stratified(train.source.labels[pool], rows, recipe.split_seed)])
    train.places = train.places[~np.isin(train.places, dev.places)]
    return dev


def _refuse_one_class(splits: dict[str, Chosen], names: tuple[str, ...]) -> None:
    """UserError where a split has one class only; for dev it names a number of rows that works."""
    for name, split in splits.items():
        if len(_rows_by_label(split.labels)) > 1:
            continue
        labelled, pool = (
            _rows_by_label(np.concatenate([splits[each].labels for each in some]))
            for some in (("train", "dev", "test"), ("train", "dev"))
        )
        counts = ", ".join(f"{names[label]} ({rows})" for label, rows in labelled.items())
        enough = _enough_for_dev(pool) if name == "dev" else None
        remedy = f"; --dev-rows {enough} works" if enough else ""
        raise UserError(f"{name} would have one class only: the labelled rows are {counts}{remedy}")


def _enough_for_dev(pool: dict[int, int]) -> int | None:
    """The smallest dev_rows, rounded up to two digits, that gives two classes a row in dev and in
    train; None if there are too few rows."""
    for count in range(2, sum(pool.values())):
        step: int = 10 ** max(0, len(str(count)) - 2)
        rounded = -(-count // step) * step
        taken = _shares(pool, rounded)
        kept = {label: pool[label] - rows for label, rows in taken.items()}
        if all(sum(map(bool, some.values())) > 1 for some in (taken, kept)):
            return rounded
    return None


def _carve_sentences(train: _Dropping, test: Chosen, recipe: DataRecipe) -> Chosen:
    """Takes dev out of train's sentences, and drops their phrases from train.

    Of rows with one key, such as a sentence with and without its full stop, the longest stays.
    """
    if train.source.paired or test.source.paired:
        raise UserError("dev_from sentences is for single texts, and these are pairs")
    texts = train.source.texts()
    longest: dict[int, int] = {}
    for place, key in enumerate(train.source.keys.tolist()):
        if key not in longest or len(texts[place]) > len(texts[longest[key]]):
            longest[key] = place
    train.places = np.array([longest[key] for key in train.keys.tolist()], np.int64)
    text_of = dict(zip(train.source.keys.tolist(), texts, strict=True))
    text_of |= dict(zip(test.source.keys.tolist(), test.source.texts(), strict=True))
    names = list(text_of)
    holders = {
        name: {names[place] for place in places}
        for name, places in zip(names, phrases.sentences_of([*text_of.values()]), strict=True)
    }
    is_sentence = np.array([key in holders[key] for key in train.keys.tolist()], bool)
    dev = _carve(train, train.places[is_sentence], test, recipe)
    out = {*test.keys.tolist(), *dev.keys.tolist()}
    only_theirs = np.array([not holders[key] - out for key in train.keys.tolist()], bool)
    train.drop("train rows that are phrases of dev or test alone", only_theirs)
    return dev


def label_counts(labels: np.ndarray, names: tuple[str, ...]) -> dict[str, int]:
    """How many rows have which label."""
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True)) if len(labels) else {}
