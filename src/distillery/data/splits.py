"""Clean splits from raw rows: what leaks or repeats is dropped, dev is carved from train.

All decisions are made on keys and labels, as arrays; texts stay on disk (`spool`).
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from distillery import progress
from distillery.data import keys
from distillery.data.spool import Spool
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.recipes import DataRecipe


@dataclass
class Rows:
    """Some rows of a source: the places (n,) that they have there.

    dropped: how many rows of any source were dropped, by the reason.
    """

    source: Spool
    places: np.ndarray
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def labels(self) -> np.ndarray:
        result: np.ndarray = self.source.labels[self.places]
        return result

    @property
    def groups(self) -> np.ndarray:
        result: np.ndarray = self.source.groups[self.places]
        return result

    @property
    def keys(self) -> np.ndarray:
        result: np.ndarray = self.source.keys[self.places]
        return result

    @property
    def turned(self) -> np.ndarray:
        """Keys of the pairs with their texts swapped; none for single texts."""
        return self.source.turned[self.places if self.source.paired else []]

    def drop(self, reason: str, rows: np.ndarray) -> None:
        """Drops the rows (n,) bool."""
        self.dropped[reason] += int(rows.sum())
        self.places = self.places[~rows]

    def drop_known(self, reason: str, *known: np.ndarray) -> None:
        """Drops the rows whose keys are among the known ones."""
        self.drop(reason, np.isin(self.keys, np.concatenate(known)))

    def drop_repeats(self, reason: str) -> None:
        """Drops all rows of a key but the first."""
        repeats = np.ones(len(self.places), bool)
        repeats[np.unique(self.keys, return_index=True)[1]] = False
        self.drop(reason, repeats)


def _shares(counts: dict[int, int], count: int) -> dict[int, int]:
    """How many of `count` rows each group gets: its share, rounded by the largest remainders."""
    total = sum(counts.values())
    shares = {group: count * rows / total for group, rows in counts.items()}
    take = {group: int(share) for group, share in shares.items()}
    by_remainder = sorted(shares, key=lambda group: (take[group] - shares[group], group))
    for group in by_remainder[: count - sum(take.values())]:
        take[group] += 1
    return take


def _rows_by_group(groups: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(groups, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def stratified(groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(N,) bool: `count` rows, with every group in its share."""
    shuffle = random.Random(seed)
    chosen = np.zeros(len(groups), bool)
    for group, rows in sorted(_shares(_rows_by_group(groups), count).items()):
        places = np.flatnonzero(groups == group)
        chosen[places[shuffle.sample(range(len(places)), rows)]] = True
    return chosen


def _contradictory(source: Spool) -> np.ndarray:
    """(N,) bool: rows whose text has rows with a contradicting label too."""
    unique, first, number = np.unique(source.keys, return_index=True, return_inverse=True)
    firsts = source.labels[first][number]
    several = np.zeros(len(unique), bool)
    several[number[source.kind.contradicts(source.labels, firsts)]] = True
    return several[number]


def make(
    sources: dict[str, Spool], recipe: DataRecipe, task: Task
) -> tuple[dict[str, Rows], Counter[str]]:
    """Official splits -> train, dev, test, unlabeled, and how many rows were dropped and why.

    An official test split stays whole. Dropped from train: texts with two labels, repeats, and
    what stands in test. Then dev is carved; with `dev_from` sentences, phrases that occur only in
    sentences of dev or test are dropped as well. Dropped from unlabeled: repeats and what stands
    in any other split. A pair also counts as standing in test or dev with its texts swapped.
    UserError where too few rows, or rows with the same label alone, are left.
    """
    source = sources["train"]
    train = Rows(source, np.arange(len(source)))
    train.drop("train rows with two labels", _contradictory(source))
    train.drop_repeats("train rows that repeat another")
    if "test" in sources:
        test = Rows(sources["test"], np.arange(len(sources["test"])))
    elif recipe.dev_from == "sentences":
        raise UserError("dev_from sentences needs test rows of their own: name --test-data FILE")
    else:
        count = round(recipe.test_share * len(train.places))
        picked = stratified(train.groups, count, recipe.split_seed)
        test, train.places = Rows(source, train.places[picked]), train.places[~picked]
    train.drop_known("train rows also in test", test.keys, test.turned)
    labelled = train.keys
    if recipe.dev_from == "rows":
        dev = _carve(train, train.places, test, recipe)
    else:
        dev = _carve_sentences(train, test, recipe)
    if source.paired:
        train.drop_known("train rows that swap a pair of dev", dev.turned)
    splits = {"train": train, "dev": dev, "test": test}
    _refuse_equal_labels(splits, task)

    if "unlabeled" not in sources:
        return {**splits, "unlabeled": Rows(source, np.zeros(0, np.int64))}, train.dropped
    unlabeled = Rows(
        sources["unlabeled"], np.arange(len(sources["unlabeled"])), dropped=train.dropped
    )
    unlabeled.drop_repeats("unlabeled rows that repeat another")
    unlabeled.drop_known("unlabeled rows also in test", test.keys, test.turned)
    unlabeled.drop_known("unlabeled rows also in train or dev", labelled, dev.turned)
    return {**splits, "unlabeled": unlabeled}, train.dropped


def _carve(train: Rows, pool: np.ndarray, test: Rows, recipe: DataRecipe) -> Rows:
    """Takes dev out of train: its share of the places in `pool`."""
    rows = recipe.dev_rows or min(2500, len(pool) // 10)
    if not len(test.places) or not 0 < rows < len(pool):
        kind = "labelled rows" if recipe.dev_from == "rows" else "sentences among the labelled rows"
        read = f"{len(train.source)} rows were read"
        for reason, count in train.dropped.items():
            read += f", {count} dropped: {reason}" if count else ""
        raise UserError(f"{len(pool)} {kind} are too few for train, dev and test ({read})")
    picked = stratified(train.source.groups[pool], rows, recipe.split_seed)
    dev = Rows(train.source, pool[picked])
    train.places = train.places[~np.isin(train.places, dev.places)]
    return dev


def _refuse_equal_labels(splits: dict[str, Rows], task: Task) -> None:
    """UserError where a split has one label only; for dev it names a number of rows that works."""
    for name, split in splits.items():
        if len(np.unique(split.labels)) > 1:
            continue
        every = np.concatenate([rows.labels for rows in splits.values()])
        pool = np.concatenate([splits["train"].groups, splits["dev"].groups])
        enough = _enough_for_dev(_rows_by_group(pool)) if name == "dev" else None
        remedy = f"; --dev-rows {enough} works" if enough else ""
        described = task.kind.describe(task.kind.summary(every, task.labels))
        raise UserError(
            f"{name} would have one {task.kind.label_word} only: the labelled rows are"
            f" {described}{remedy}"
        )


def _enough_for_dev(pool: dict[int, int]) -> int | None:
    """The smallest dev_rows, rounded up to two digits, that gives two groups a row in dev and in
    train; None if there are too few rows."""
    for count in range(2, sum(pool.values())):
        step: int = 10 ** max(0, len(str(count)) - 2)
        rounded = -(-count // step) * step
        taken = _shares(pool, rounded)
        kept = {group: pool[group] - rows for group, rows in taken.items()}
        if all(sum(map(bool, some.values())) > 1 for some in (taken, kept)):
            return rounded
    return None


def sentences_of(texts: Sequence[str]) -> list[set[int]]:
    """For each text the places of the sentences that hold it as a run of whole words.

    A sentence is a text that is a part of no other; it holds itself alone. Words are those of
    `keys.words`; texts have distinct keys. Time goes with the cube of a text's words, so this is
    for short ones.
    """
    words = [keys.words(text) for text in texts]
    place = {run: index for index, run in enumerate(words)}
    holders: list[set[int]] = [set() for _ in words]
    longest_first = sorted(range(len(words)), key=lambda index: -len(words[index]))
    for index in progress.bar(longest_first, desc="finding phrases", unit=" rows"):
        if holders[index]:
            continue
        run = words[index]
        for start in range(len(run)):
            for end in range(start + 1, len(run) + 1):
                part = place.get(run[start:end])
                if part is not None:
                    holders[part].add(index)
    return holders


def _carve_sentences(train: Rows, test: Rows, recipe: DataRecipe) -> Rows:
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
        for name, places in zip(names, sentences_of([*text_of.values()]), strict=True)
    }
    is_sentence = np.array([key in holders[key] for key in train.keys.tolist()], bool)
    dev = _carve(train, train.places[is_sentence], test, recipe)
    out = {*test.keys.tolist(), *dev.keys.tolist()}
    only_theirs = np.array([not holders[key] - out for key in train.keys.tolist()], bool)
    train.drop("train rows that are phrases of dev or test alone", only_theirs)
    return dev
