"""Splits: nothing leaks, nothing repeats, dev has the labels in their shares."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import UserError
from distillery.preprocessing import keys, splits
from distillery.preprocessing.task import Example
from distillery.recipes import DataRecipe


def rows(*labels: int) -> list[splits.Row]:
    return splits.cleaned(Example(n, f"text {n}", label=label) for n, label in enumerate(labels))


def examples(count: int, name: str = "text") -> list[Example]:
    return [Example(n, f"{name} {n}", label=n % 2) for n in range(count)]


def counts(found: list[splits.Row]) -> Counter[int]:
    return Counter(row.label for row in found)


def test_stratified_takes_exact_shares() -> None:
    picked, rest = splits.stratified(rows(*[0] * 60, *[1] * 30, *[2] * 10), 20, seed=0)
    assert counts(picked) == {0: 12, 1: 6, 2: 2}
    assert counts(rest) == {0: 48, 1: 24, 2: 8}


def test_stratified_gives_what_is_left_to_the_largest_rests() -> None:
    # Shares of 5 of 10 rows: 3.5, 1.0 and 0.5; the one left over goes to the lower label.
    picked, _ = splits.stratified(rows(*[0] * 7, *[1] * 2, *[2] * 1), 5, seed=0)
    assert counts(picked) == {0: 4, 1: 1}


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_stratified_parts_keep_order_and_lose_nothing(
    labels: list[int], share: float, seed: int
) -> None:
    every, count = rows(*labels), round(share * len(labels))
    picked, rest = splits.stratified(every, count, seed)
    assert len(picked) == count
    assert sorted(picked + rest) == every
    assert picked == sorted(picked)
    assert rest == sorted(rest)
    for label, size in counts(every).items():
        assert abs(counts(picked)[label] - count * size / len(every)) < 1


def test_stratified_is_fixed_by_its_seed() -> None:
    every = rows(*[0, 1] * 50)
    assert splits.stratified(every, 20, 3) == splits.stratified(every, 20, 3)
    assert splits.stratified(every, 20, 3) != splits.stratified(every, 20, 4)


def hand_made() -> dict[str, list[Example]]:
    train = [
        *examples(20, "train"),
        Example(20, "Train 0!", label=0),  # repeats a row under the same label
        Example(21, "train <br /> 0", label=0),  # once more
        Example(22, "train 1", label=0),  # contradicts row 1: both go
        Example(23, "test 3", label=1),  # leaks from test
    ]
    test = [*examples(10, "test"), Example(10, "test 0", label=1)]  # stays, though it repeats
    unlabeled = [
        *(Example(n, f"unlabeled {n}") for n in range(5)),
        Example(5, "UNLABELED 0"),  # repeats
        Example(6, "test 5"),  # leaks
        Example(7, "train 2"),  # in train or dev
        Example(8, "train 4"),
        Example(9, "train 1"),  # its train row went as contradictory: here it is welcome
    ]
    return {"train": train, "test": test, "unlabeled": unlabeled}


def test_what_leaks_repeats_or_contradicts_is_dropped_and_counted() -> None:
    made, dropped = splits.make(hand_made(), DataRecipe(dev_rows=4))
    assert dropped == {
        "train rows under two labels": 2,
        "train rows that repeat another": 2,
        "train rows also in test": 1,
        "unlabeled rows that repeat another": 1,
        "unlabeled rows also in test": 1,
        "unlabeled rows also in train or dev": 2,
    }
    # 24 rows of train, less 2 contradictory, 2 repeats, 1 leak, of which 4 are dev.
    assert {name: len(split) for name, split in made.items()} == {
        "train": 15,
        "dev": 4,
        "test": 11,
        "unlabeled": 6,
    }


def test_official_test_stays_whole_and_in_order() -> None:
    made, _ = splits.make(hand_made(), DataRecipe(dev_rows=4))
    assert [(row.row, row.text, row.label) for row in made["test"]] == [
        (example.row, example.text, example.label) for example in hand_made()["test"]
    ]


def test_no_id_is_in_two_splits() -> None:
    made, _ = splits.make(hand_made(), DataRecipe(dev_rows=4))
    ids = {name: {row.id for row in split} for name, split in made.items()}
    assert sum(map(len, ids.values())) == len(set().union(*ids.values()))


def test_dev_has_the_labels_in_their_shares() -> None:
    made, _ = splits.make(
        {"train": examples(100), "test": examples(10, "test")}, DataRecipe(dev_rows=30)
    )
    assert counts(made["dev"]) == {0: 15, 1: 15}


def test_dev_is_a_tenth_unless_the_recipe_says_more() -> None:
    made, _ = splits.make({"train": examples(100), "test": examples(9, "test")}, DataRecipe())
    assert len(made["dev"]) == 10


def test_test_is_carved_where_there_is_none() -> None:
    made, dropped = splits.make({"train": examples(100)}, DataRecipe(test_share=0.25))
    assert {name: len(split) for name, split in made.items()} == {
        "train": 68,
        "dev": 7,
        "test": 25,
        "unlabeled": 0,
    }
    assert set(dropped.values()) == {0}


def test_splits_are_the_same_each_time_and_change_with_the_seed() -> None:
    every = {"train": examples(100)}
    first, second, other = (splits.make(every, DataRecipe(split_seed=s))[0] for s in (0, 0, 1))
    assert first == second
    assert first["dev"] != other["dev"]
    assert first["test"] != other["test"]


@pytest.mark.parametrize(("size", "dev_rows"), [(3, 0), (9, 0), (40, 40), (40, 32), (0, 1)])
def test_too_few_rows_are_refused(size: int, dev_rows: int) -> None:
    with pytest.raises(UserError, match="too few for train, dev and test"):
        splits.make({"train": examples(size)}, DataRecipe(dev_rows=dev_rows))


def test_official_test_without_rows_is_refused() -> None:
    with pytest.raises(UserError, match="too few"):
        splits.make({"train": examples(40), "test": []}, DataRecipe())


def test_label_counts_name_every_label() -> None:
    assert splits.label_counts(rows(0, 0, 2), ("a", "b", "c")) == {"a": 2, "b": 0, "c": 1}
    assert splits.label_counts([], ("a", "b")) == {}


def test_a_pair_turned_round_leaks_too() -> None:
    def pair(row: int, first: str, second: str) -> Example:
        return Example(row, first, second, label=row % 2)

    train = [pair(n, f"first {n}", f"second {n}") for n in range(40)]
    train += [pair(40 + n, f"second {n}", f"first {n}") for n in range(40)]
    test = [pair(0, "second 3", "First 3!"), pair(1, "a", "b")]
    more = [pair(n, row.text_pair or "", row.text) for n, row in enumerate([*train, *test])]
    made, dropped = splits.make(
        {"train": train, "test": test, "unlabeled": more}, DataRecipe(dev_rows=10)
    )
    assert dropped["train rows also in test"] == 2
    ids = {row.id for row in (*made["train"], *made["unlabeled"])}
    for row in (*made["test"], *made["dev"]):
        assert keys.example_id(keys.key(row.text_pair or "", row.text)) not in ids
    turned = 80 - 2 - 10 - len(made["train"])
    assert dropped["train rows that turn a pair of dev round"] == turned > 0
