"""Clean splits from raw rows: what leaks or repeats is dropped, dev is carved from train."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tqdm import tqdm

from distillery.errors import UserError
from distillery.preprocessing import keys, phrases
from distillery.preprocessing.sources import Splits
from distillery.preprocessing.task import Example
from distillery.recipes import DataRecipe


class Row(NamedTuple):
    """A row of a split as it is written. `label` is -1 where there is none."""

    row: int
    id: str
    text: str
    text_pair: str | None
    label: int


def cleaned(examples: Iterable[Example]) -> list[Row]:
    """The rows without markup, each with its id."""
    rows = []
    for row, text, pair, label in tqdm(examples, "cleaning", unit=" rows", leave=False):
        name = keys.example_id(keys.key(text, pair))
        pair = None if pair is None else keys.clean(pair)
        rows.append(Row(row, name, keys.clean(text), pair, -1 if label is None else label))
    return rows


def stratified(rows: list[Row], count: int, seed: int) -> tuple[list[Row], list[Row]]:
    """`count` rows with the labels in their shares, and the rest; both keep the rows' order."""
    by_label: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_label[row.label].append(index)
    shares = {label: count * len(places) / len(rows) for label, places in by_label.items()}
    take = {label: int(share) for label, share in shares.items()}
    by_rest = sorted(shares, key=lambda label: (take[label] - shares[label], label))
    for label in by_rest[: count - sum(take.values())]:
        take[label] += 1
    shuffle = random.Random(seed)
    chosen: set[int] = set()
    for label in sorted(by_label):
        chosen.update(shuffle.sample(by_label[label], take[label]))
    picked = [row for index, row in enumerate(rows) if index in chosen]
    return picked, [row for index, row in enumerate(rows) if index not in chosen]


def _without(rows: list[Row], known: set[str]) -> tuple[list[Row], int, int]:
    """(first of each row not in `known`, how many were in it, how many were repeats)."""
    kept, seen, leaked, repeated = [], set(known), 0, 0
    for row in rows:
        if row.id in known:
            leaked += 1
        elif row.id in seen:
            repeated += 1
        else:
            seen.add(row.id)
            kept.append(row)
    return kept, leaked, repeated


def _contradictory(rows: list[Row]) -> set[str]:
    """Ids that stand under two labels."""
    labels: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        labels[row.id].add(row.label)
    return {name for name, found in labels.items() if len(found) > 1}


def _turned(rows: list[Row]) -> set[str]:
    """The ids of the pairs among the rows with their texts turned round."""
    pairs = ((row.text_pair, row.text) for row in rows if row.text_pair is not None)
    return {keys.example_id(keys.key(first, second)) for first, second in pairs}


def make(splits: Splits, recipe: DataRecipe) -> tuple[dict[str, list[Row]], dict[str, int]]:
    """Official splits -> train, dev, test, unlabeled, and what was dropped and why.

    Test stays whole where it is official. From train goes what stands there under two labels or
    twice, and what stands in test; then dev is carved, and with `dev_from` sentences the phrases
    go that only sentences of dev or test have; from unlabeled goes what stands there twice or in
    any other split. A pair that test or dev has the other way round goes as well.
    """
    dropped: dict[str, int] = {}
    rows = cleaned(splits["train"])
    train, contradictory, repeated = _distinct(rows)
    dropped["train rows under two labels"] = contradictory
    dropped["train rows that repeat another"] = repeated
    if "test" not in splits and recipe.dev_from == "sentences":
        raise UserError("dev_from sentences needs test rows of their own: name --test-data FILE")
    if "test" in splits:
        test = cleaned(splits["test"])
    else:
        test, train = stratified(train, round(recipe.test_share * len(train)), recipe.split_seed)
    in_test = {row.id for row in test} | _turned(test)
    train, leaked, _ = _without(train, in_test)
    dropped["train rows also in test"] = leaked
    in_train = {row.id for row in train}
    if recipe.dev_from == "rows":
        dev, train = _carved(train, recipe, bool(test))
    else:
        holders = _holders([*rows, *test])
        longest = _longest(rows)
        train = [longest[row.id] for row in train]
        sentences = [row for row in train if row.id in holders[row.id]]
        dev, _ = _carved(sentences, recipe, bool(test))
        out = in_test | {row.id for row in dev}
        train, before = [row for row in train if holders[row.id] - out], len(train)
        dropped["train rows that are phrases of dev or test alone"] = before - len(dev) - len(train)
    turned = _turned(dev)
    if turned:
        train, leaked, _ = _without(train, turned)
        dropped["train rows that turn a pair of dev round"] = leaked

    unlabeled = cleaned(splits.get("unlabeled", []))
    if recipe.unlabeled_as == "sentences":
        unlabeled = _sentences(unlabeled)
    unlabeled, _, repeated = _without(unlabeled, set())
    dropped["unlabeled rows that repeat another"] = repeated
    unlabeled, leaked, _ = _without(unlabeled, in_test)
    dropped["unlabeled rows also in test"] = leaked
    unlabeled, leaked, _ = _without(unlabeled, in_train | turned)
    dropped["unlabeled rows also in train or dev"] = leaked
    return {"train": train, "dev": dev, "test": test, "unlabeled": unlabeled}, dropped


def _carved(pool: list[Row], recipe: DataRecipe, tested: bool) -> tuple[list[Row], list[Row]]:
    """(dev, the rest of the pool)."""
    dev_rows = recipe.dev_rows or min(2500, len(pool) // 10)
    if not tested or not 0 < dev_rows < len(pool):
        kind = "labelled rows" if recipe.dev_from == "rows" else "sentences among the labelled rows"
        raise UserError(f"{len(pool)} {kind} are too few for train, dev and test")
    return stratified(pool, dev_rows, recipe.split_seed)


def _longest(rows: list[Row]) -> dict[str, Row]:
    """Of each id the longest row: of a sentence with and without its last mark the one with it."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.id not in found or len(row.text) > len(found[row.id].text):
            found[row.id] = row
    return found


def _holders(rows: list[Row]) -> dict[str, set[str]]:
    """Of each id those of the sentences that hold its text; of a sentence its own alone.

    Of rows that differ in blanks and marks alone, which have one id, the words of the last count.
    """
    if any(row.text_pair is not None for row in rows):
        raise UserError("dev_from sentences is for single texts, and these are pairs")
    texts = {row.id: row.text for row in rows}
    names = [*texts]
    held_by = phrases.sentences_of([*texts.values()])
    return {
        name: {names[place] for place in places}
        for name, places in zip(names, held_by, strict=True)
    }


def _sentences(rows: list[Row]) -> list[Row]:
    """The sentences of the rows, numbered anew."""
    if any(row.text_pair is not None for row in rows):
        raise UserError("unlabeled_as sentences is for single texts, and these are pairs")
    found: list[Row] = []
    for row in tqdm(rows, "cutting", unit=" rows", leave=False):
        for text in phrases.cut(row.text):
            found.append(Row(len(found), keys.example_id(keys.key(text, None)), text, None, -1))
    return found


def _distinct(rows: list[Row]) -> tuple[list[Row], int, int]:
    """(first of each row, how many stood under two labels, how many repeated another)."""
    return _without(rows, _contradictory(rows))


def label_counts(rows: list[Row], labels: tuple[str, ...]) -> dict[str, int]:
    counts = Counter(row.label for row in rows)
    return {name: counts[index] for index, name in enumerate(labels)} if rows else {}
