"""Splits: nothing leaks, nothing repeats, dev has the labels in their shares."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.data import keys, splits
from distillery.data.task import Example, Task
from distillery.errors import UserError
from distillery.kinds import REGRESSION
from distillery.recipes import DataRecipe
from tests.splitting import LETTERS, make, spooled


def examples(count: int, name: str = "text") -> list[Example]:
    return [Example(n, f"{name} {n}", label=n % 2) for n in range(count)]


def counts(labels: np.ndarray) -> dict[int, int]:
    return dict(Counter(labels.tolist()))


def test_stratified_takes_exact_shares() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    picked = splits.stratified(labels, 20, seed=0)
    assert counts(labels[picked]) == {0: 12, 1: 6, 2: 2}
    assert counts(labels[~picked]) == {0: 48, 1: 24, 2: 8}


def test_stratified_gives_what_is_left_to_the_largest_rests() -> None:
    # Shares of 5 of 10 rows: 3.5, 1.0 and 0.5; the one left over goes to the lower label.
    labels = np.repeat([0, 1, 2], [7, 2, 1])
    assert counts(labels[splits.stratified(labels, 5, seed=0)]) == {0: 4, 1: 1}


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_stratified_gives_every_label_its_share(labels: list[int], share: float, seed: int) -> None:
    every, count = np.array(labels), round(share * len(labels))
    picked = splits.stratified(every, count, seed)
    assert picked.sum() == count
    for label, size in counts(every).items():
        assert abs((every[picked] == label).sum() - count * size / len(every)) < 1


def test_stratified_is_fixed_by_its_seed() -> None:
    every = np.tile([0, 1], 50)
    first, second, other = (splits.stratified(every, 20, seed) for seed in (3, 3, 4))
    assert (first == second).all()
    assert (first != other).any()


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
    made, dropped = make(hand_made(), LETTERS)
    assert dropped == {
        "train rows with two labels": 2,
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
    made, _ = make(hand_made(), LETTERS)
    assert [(row.row, row.text, row.label) for row in made["test"]] == [
        (example.row, example.text, example.label) for example in hand_made()["test"]
    ]


def test_no_id_is_in_two_splits() -> None:
    made, _ = make(hand_made(), LETTERS)
    ids = {name: {row.id for row in split} for name, split in made.items()}
    assert sum(map(len, ids.values())) == len(set().union(*ids.values()))


def test_dev_has_the_labels_in_their_shares() -> None:
    made, _ = make({"train": examples(100), "test": examples(10, "test")}, DataRecipe(dev_rows=30))
    assert Counter(row.label for row in made["dev"]) == {0: 15, 1: 15}


def test_dev_is_a_tenth_unless_the_recipe_says_more() -> None:
    made, _ = make({"train": examples(100), "test": examples(9, "test")}, DataRecipe())
    assert len(made["dev"]) == 10


def test_test_is_carved_where_there_is_none() -> None:
    made, dropped = make({"train": examples(100)}, DataRecipe(test_share=0.25))
    assert {name: len(split) for name, split in made.items()} == {
        "train": 68,
        "dev": 7,
        "test": 25,
        "unlabeled": 0,
    }
    assert set(dropped.values()) == {0}


def test_splits_are_the_same_each_time_and_change_with_the_seed() -> None:
    every = {"train": examples(100)}
    first, second, other = (make(every, DataRecipe(split_seed=s))[0] for s in (0, 0, 1))
    assert first == second
    assert first["dev"] != other["dev"]
    assert first["test"] != other["test"]


@pytest.mark.parametrize(("size", "dev_rows"), [(3, 0), (9, 0), (40, 40), (40, 32), (0, 1)])
def test_too_few_rows_are_refused(size: int, dev_rows: int) -> None:
    with pytest.raises(UserError, match="too few for train, dev and test"):
        make({"train": examples(size)}, DataRecipe(dev_rows=dev_rows))


def test_official_test_without_rows_is_refused() -> None:
    with pytest.raises(UserError, match="too few"):
        make({"train": examples(40), "test": []}, DataRecipe())


def test_a_pair_turned_round_leaks_too() -> None:
    def pair(row: int, first: str, second: str) -> Example:
        return Example(row, first, second, label=row % 2)

    train = [pair(n, f"first {n}", f"second {n}") for n in range(40)]
    train += [pair(40 + n, f"second {n}", f"first {n}") for n in range(40)]
    test = [pair(0, "second 3", "First 3!"), pair(1, "a", "b")]
    more = [pair(n, row.text_pair or "", row.text) for n, row in enumerate([*train, *test])]
    raw = {"train": train, "test": test, "unlabeled": more}
    made, dropped = make(raw, DataRecipe(same_text="letters", dev_rows=10))
    assert dropped["train rows also in test"] == 2
    known = {keys.letters(row.text, row.text_pair) for row in made["train"] + made["unlabeled"]}
    for row in (*made["test"], *made["dev"]):
        assert keys.letters(row.text_pair or "", row.text) not in known
    turned = 80 - 2 - 10 - len(made["train"])
    assert dropped["train rows that swap a pair of dev"] == turned > 0


def different(*texts: str) -> list[Example]:
    return [Example(n, text, label=n % 2) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    "texts",
    [
        ["I feel \N{GRINNING FACE}", "I feel \N{CRYING FACE}"],
        ["late again :)", "late again :("],
        ["it is +5 today", "it is -5 today"],
        ["I write C", "I write C++", "I write C#"],
        ["\u0915\u093f", "\u0915\u0940"],  # Devanagari ka with two vowel signs
        ["\u0e01\u0e34", "\u0e01\u0e35"],  # the same in Thai
        ["ma\u0301", "ma\u0300"],  # Vietnamese tones, decomposed
        ["Map<A>", "Map<B>"],
        ["if a <b and c> d", "if a d"],
        ["Polish", "polish"],
    ],
)
def test_texts_that_differ_at_all_are_all_kept(texts: list[str]) -> None:
    train = different(*texts, *(f"more {n}" for n in range(20)))
    made, dropped = make({"train": train}, DataRecipe(dev_rows=4))
    assert sum(dropped.values()) == 0
    kept = [row.text for name in ("train", "dev", "test") for row in made[name]]
    assert sorted(kept) == sorted(example.text for example in train)


def test_texts_equal_after_nfc_and_trimming_are_one() -> None:
    train = different(*(f"text {n}" for n in range(20)))
    train += [Example(20, "Ti\u00ean", label=0), Example(21, " Tie\u0302n\n", label=0)]
    made, dropped = make({"train": train}, DataRecipe(dev_rows=4))
    assert dropped["train rows that repeat another"] == 1
    kept = [row.text for name in ("train", "dev", "test") for row in made[name]]
    assert "Ti\u00ean" in kept, "the first one stays as it is"


def test_too_few_rows_say_where_they_went() -> None:
    train = examples(160)
    with pytest.raises(UserError, match=r"160 rows were read, 160 dropped: train rows also in te"):
        make({"train": train, "test": train}, DataRecipe())


def test_a_class_too_rare_for_dev_says_how_many_rows_would_do() -> None:
    train = [Example(n, f"text {n}", label=int(n < 3)) for n in range(643)]
    with pytest.raises(UserError, match=r"common \(640\), rare \(3\); --dev-rows \d+") as error:
        make({"train": train}, DataRecipe(), ("common", "rare"))
    enough = int(str(error.value).split("--dev-rows ")[1].split()[0])
    made, _ = make({"train": train}, DataRecipe(dev_rows=enough), ("common", "rare"))
    for name in ("train", "dev", "test"):
        assert {row.label for row in made[name]} == {0, 1}, name


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    """Keys and labels are held, 40 bytes a row; texts of 2 kB are not."""
    import tracemalloc

    def peak(rows: int) -> int:
        train = (Example(n, f"{n} " * 400, label=n % 2) for n in range(rows))
        recipe = DataRecipe()
        tracemalloc.start()
        sources = spooled({"train": train}, recipe, tmp_path)  # type: ignore[dict-item]
        made, _ = splits.make(sources, recipe, Task("made", ("0", "1")))
        for split in made.values():
            for table in split.source.take(split.places):
                del table
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    small, large = peak(6_000), peak(24_000)
    assert large - small < 18_000 * 200, "200 bytes a row, where a text has 2,000"


def numbers(count: int) -> list[Example]:
    return [Example(n, f"text {n}", label=n / 10) for n in range(count)]


def test_dev_and_test_have_low_and_high_numbers_as_train_has() -> None:
    made, _ = make({"train": numbers(100)}, DataRecipe(dev_rows=20), ("score",), REGRESSION)
    for name, each in (("test", 4), ("dev", 4)):
        fifths = Counter(int(row.label // 2) for row in made[name])
        assert fifths == dict.fromkeys(range(5), each), name
    assert {type(row.label) for row in made["train"]} == {float}


def test_numbers_contradict_each_other_if_they_are_far_apart() -> None:
    train = [*numbers(50), Example(50, "text 0", label=4.9), Example(51, "text 10", label=1.01)]
    made, dropped = make({"train": train}, DataRecipe(dev_rows=5), ("score",), REGRESSION)
    assert dropped["train rows with two labels"] == 2
    assert dropped["train rows that repeat another"] == 1
    kept = {row.text: row.label for name in ("train", "dev", "test") for row in made[name]}
    assert "text 0" not in kept
    assert kept["text 10"] == 1.0, "the first one stays"
