"""Where the weights of a student start: a checkpoint, its teacher or an encoder, or at
random."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from distillery import encoders, files
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation import bert_start, embeddings
from distillery.distillation.layers import of_teacher
from distillery.distillation.teacher import Teacher
from distillery.errors import UserError
from distillery.models import auto, bert, registry, tokenization
from distillery.models.saved import load_network
from distillery.recipes import BertStudentRecipe, SequenceRecipe, StudentRecipe
from distillery.students import STUDENTS

POSITIONS = 512  # of a BERT without another to take them from, unless its texts are longer


@dataclass(frozen=True)
class Start:
    """Where a student's weights come from.

    kind: hub, encoder, teacher or random. folder: of the checkpoint, else of the teacher,
    else of the encoder whose word pieces are read. inputs: what of it a result depends on, file ->
    sha256; a teacher is an input anyway.
    """

    student: str
    kind: str
    folder: Path
    inputs: dict[str, str]

    def tokenizer(self, task: Task) -> Any:
        """The word pieces of the folder."""
        return tokenization.load(self.folder, store.cleaning(task.name))

    def build(self, task: Task, recipe: StudentRecipe, tokenizer: Any) -> tuple[Any, str | None]:
        """The student at its start; and where that is from, if the recipe leaves it open."""
        labels = dict(enumerate(task.labels))
        if not isinstance(recipe, BertStudentRecipe):
            paired = store.read_split(task.name, "dev").paired
            return self._own(recipe, tokenizer, labels, paired), None
        model, said = self._bert(recipe, tokenizer, labels)
        auto.hide_token_types(model)
        longest = encoders.longest(model.config)
        if recipe.max_length > longest:
            raise UserError(
                f"max_length {recipe.max_length} is impossible: {self.folder} reads {longest}"
            )
        return model, said

    def _own(
        self, recipe: StudentRecipe, tokenizer: Any, labels: dict[int, str], paired: bool
    ) -> Any:
        model = registry.create(
            self.student,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            pairs=paired,
            **recipe.shape(),
            id2label=labels,
            label2id={label: index for index, label in labels.items()},
        )
        if isinstance(recipe, SequenceRecipe) and self.kind in ("encoder", "teacher"):
            weight = model.encoder.word_embeddings.weight
            matrix = embeddings.word_embeddings(self.folder)
            with torch.no_grad():
                weight.copy_(embeddings.principal(matrix, recipe.embedding_size)[: len(weight)])
                weight[tokenizer.pad_token_id] = 0
        return model

    def _bert(
        self, recipe: BertStudentRecipe, tokenizer: Any, labels: dict[int, str]
    ) -> tuple[Any, str]:
        row = STUDENTS[self.student]
        shape = row.shape
        assert shape
        if self.kind == "hub" and row.checkpoint:
            model = bert.load(self.folder, shape, dropout=recipe.dropout, labels=labels)
            return model, f"hub {row.checkpoint[0]}"
        if self.kind in ("encoder", "teacher"):
            other = load_network(self.folder) if self.kind == "teacher" else self._encoder(labels)
            return bert_start.from_other(
                shape, other, self.kind, dropout=recipe.dropout, labels=labels
            )
        model = bert.create(
            shape,
            vocab_size=len(tokenizer),
            positions=max(POSITIONS, recipe.max_length),
            pad_token_id=tokenizer.pad_token_id,
            dropout=recipe.dropout,
            labels=labels,
        )
        return model, "random"

    def _encoder(self, labels: dict[int, str]) -> Any:
        """The encoder in the folder, with a classifier's random weights."""
        return bert.load(self.folder, bert.shape_of(self.folder), dropout=0.0, labels=labels)


def choose(student: str, recipe: StudentRecipe, teacher: Teacher | None) -> Start:
    """What the recipe says of the start, as it is meant here. UserError where it cannot be had."""
    kind = _kind(student, recipe, teacher)
    if kind == "hub":
        read = (encoders.WEIGHTS, "config.json", "tokenizer.json", "vocab.txt")
        return Start(student, kind, *_encoder(student, read))
    inputs: dict[str, str] = {}
    if teacher:
        folder = teacher.folder
        if kind == "encoder":
            raise UserError("a start from the encoder is for students without teacher: use teacher")
        if kind == "teacher" and isinstance(recipe, BertStudentRecipe):
            _refuse_other_than_bert(teacher)
    else:
        read = ("tokenizer.json", *((encoders.WEIGHTS,) if kind == "encoder" else ()))
        folder, inputs = _encoder(recipe.tokenizer, read)
        for name in read:
            if not (folder / name).is_file():
                raise UserError(f"tokenizer '{recipe.tokenizer}': {folder} has no {name}")
    return Start(student, kind, folder, inputs)


def _kind(student: str, recipe: StudentRecipe, teacher: Teacher | None) -> str:
    if isinstance(recipe, SequenceRecipe):
        return recipe.embeddings
    if not isinstance(recipe, BertStudentRecipe):
        return "random"
    if recipe.start != "auto":
        return recipe.start
    if encoders.at_hand(student):
        return "hub"
    return "teacher" if teacher else "encoder"


def _encoder(name: str, read: tuple[str, ...]) -> tuple[Path, dict[str, str]]:
    """The folder of an encoder, and the checksums of those files of it that are there."""
    folder = encoders.locate(name)
    found = [file for file in read if (folder / file).is_file()]
    return folder, {f"encoders/{name}/{file}": files.sha256(folder / file) for file in found}


def _refuse_other_than_bert(teacher: Teacher) -> None:
    if "values" not in of_teacher(teacher.name, teacher.folder).gives:
        raise UserError(
            f"start teacher needs a BERT, and {teacher.name} is none:"
            " --start hub and --start random do not"
        )
