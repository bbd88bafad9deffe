"""Between stages 1 and 2: changed copies of a task's texts, a split for distillation.

A copy has no label, since the change may have altered it. A teacher's outputs for the copies are
recorded as for any other row.
"""

import itertools
import logging
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from distillery import augmentation, files, paths, progress
from distillery.augmentation import Augmenter, Replacement, Tagger, Text
from distillery.data import keys, store
from distillery.data.task import Task
from distillery.experiments import ending
from distillery.recipes import AugmentationRecipe

VERSION = 1  # of the copies: raise it when the same recipe would give other ones
CHUNK = 512  # texts in memory at once
ROWS = 4096  # copies in memory at once

Example = tuple[str, list[Text]]  # what seeds the draws for a row, and its one or two texts


def run(task: Task, recipe: AugmentationRecipe, arguments: Namespace) -> None:
    """Makes the augmented split of a task and, last, its manifest."""
    wanted = {"version": VERSION, "recipe_hash": recipe.hash()}
    what, then = f"augmented split of {task.name}", ending.next_command(task, "data")
    if not arguments.force and store.augmented_is_current(task.name, wanted):
        ending.up_to_date(what, then)
        return
    with files.locked(paths.lock(f"data_{task.name}"), f"making splits of {task.name}"):
        splits = [store.read_split(task.name, name) for name in paths.SPLITS]
        sources = [split for split in splits if split.name in recipe.splits]
        tagger = Tagger() if recipe.p_pos else None
        dropped: Counter[str] = Counter()
        same_text = store.read_manifest(task.name)["recipe"]["same_text"]
        copies = _copies(task, sources, same_text, recipe, tagger)
        rows = _distinct(copies, splits, same_text, dropped)
        facts = {**wanted, "recipe": recipe.as_dict(), "tagger": tagger and tagger.key}
        manifest = store.write_augmented(task, splits, rows, {**facts, "dropped": dropped})
    for reason, count in dropped.items():
        if count:
            logging.info("  dropped %d %s", count, reason)
    place = paths.split(task.name, paths.AUGMENTED)
    ending.done(what, f"{manifest['rows']} rows", place, then)


def _copies(
    task: Task,
    sources: list[store.Split],
    same_text: str,
    recipe: AugmentationRecipe,
    tagger: Tagger | None,
) -> Iterator[store.Row]:
    """The copies of the sources' rows, not yet numbered or checked for repeats."""
    replacement = None
    if tagger:
        replacement = Replacement()
        for split in sources:
            for _, texts in _examples(task, split, same_text, tagger, "tagging"):
                for text in texts:
                    replacement.count(text.parts[1::2], text.tags)
    augmenter = Augmenter(recipe, replacement)
    for split in sources:
        for name, texts in _examples(task, split, same_text, tagger, "augmenting"):
            for first, *pair in augmenter.copies(texts, name):
                second = pair[0] if pair else None
                example_id = keys.example_id(first, second)
                yield store.Row(0, example_id, first, second, task.kind.missing)


def _examples(
    task: Task, split: store.Split, same_text: str, tagger: Tagger | None, doing: str
) -> Iterator[Example]:
    """A split's rows, their words tagged where there is a tagger; with a bar."""
    key = f"{split.name}-{split.sha256[:12]}-{tagger.key if tagger else ''}-{VERSION}"
    folder = paths.tags(task.name, key)
    ids = iter(split.keys(same_text).tolist())
    about = {"desc": f"{doing} {split.name}", "unit": " rows"}
    with progress.bar(total=len(split), **about) as bar:
        for number, (firsts, seconds) in enumerate(split.chunks(CHUNK)):
            sides = zip(firsts, seconds, strict=True) if seconds else zip(firsts, strict=True)
            chunk = [[Text(augmentation.split(text)) for text in side] for side in sides]
            if tagger:
                chunk = _tagged(chunk, tagger, folder / f"{number:06d}.npy")
            for texts in chunk:
                yield f"{next(ids):016x}", texts
                bar.update()


def _tagged(chunk: list[list[Text]], tagger: Tagger, path: Path) -> list[list[Text]]:
    """The texts with tags, which are saved in `path`: a kill loses the tags of one chunk only."""
    found = _saved_tags(path, sum(len(text.parts) // 2 for texts in chunk for text in texts))
    if found is None:
        found = [tag for texts in chunk for text in texts for tag in tagger.tag(text.parts)]
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.array(found, np.uint8))
    tags = iter(found)
    return [
        [Text(text.parts, list(itertools.islice(tags, len(text.parts) // 2))) for text in texts]
        for texts in chunk
    ]


def _saved_tags(path: Path, count: int) -> list[int] | None:
    """The tags saved in `path`, if the file is complete."""
    try:
        tags = np.load(path)
    except (OSError, EOFError, ValueError):  # missing, empty, damaged
        return None
    found: list[int] = tags.tolist()
    return found if len(found) == count else None


def _distinct(
    copies: Iterator[store.Row], splits: list[store.Split], same_text: str, dropped: Counter[str]
) -> Iterator[list[store.Row]]:
    """The copies without repeats and without texts of the splits, numbered; counts what it drops.

    same_text: the task's rule for when two texts count as the same.
    """
    key_of = keys.SAME_TEXT[same_text]
    known = [(f"copies also in {split.name}", np.sort(split.keys(same_text))) for split in splits]
    for reason in (*(reason for reason, _ in known), "copies that repeat another"):
        dropped[reason] = 0
    seen, count = np.zeros(0, np.uint64), 0
    while rows := list(itertools.islice(copies, ROWS)):
        ids = np.array([keys.digest(key_of(row.text, row.text_pair)) for row in rows], np.uint64)
        keep = np.ones(len(rows), bool)
        for reason, others in known:
            there = keep & _among(ids, others)
            dropped[reason] += int(there.sum())
            keep &= ~there
        fresh = np.zeros(len(rows), bool)
        fresh[np.unique(ids, return_index=True)[1]] = True
        fresh &= keep & ~_among(ids, seen)
        dropped["copies that repeat another"] += int(keep.sum() - fresh.sum())
        new = np.sort(ids[fresh])
        seen = np.insert(seen, np.searchsorted(seen, new), new)
        kept = itertools.compress(rows, fresh.tolist())
        yield [row._replace(row=number) for number, row in enumerate(kept, start=count)]
        count += len(new)


def _among(ids: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) bool: which ids are among the sorted `others`."""
    if not len(others):
        return np.zeros(len(ids), bool)
    found: np.ndarray = others[np.searchsorted(others, ids).clip(max=len(others) - 1)] == ids
    return found
