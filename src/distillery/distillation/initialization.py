"""A student's weights before training: from a checkpoint, its teacher, an encoder, or random."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch.nn.functional import pad

from distillery import encoders, files
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation.layers import mapping, of_teacher
from distillery.distillation.signals import Teacher
from distillery.errors import UserError
from distillery.models import auto, bert, registry, tokenization
from distillery.models.base import WORD_STD
from distillery.models.heads import HEADS
from distillery.models.saved import load_network
from distillery.recipes import BertStudentRecipe, SequenceRecipe, StudentRecipe
from distillery.students import STUDENTS, BertShape

POSITIONS = 512  # of a random BERT, unless its texts are longer


@dataclass(frozen=True)
class Initialization:
    """Where a student's weights come from.

    kind: hub, encoder, teacher or random. folder: of the checkpoint, else of the teacher, else of
    the encoder; the student has its tokenizer. inputs: what a result depends on, file -> sha256; a
    teacher is an input anyway.
    """

    student: str
    kind: str
    folder: Path
    inputs: dict[str, str]

    def tokenizer(self, task: Task) -> Any:
        return tokenization.load(self.folder, store.cleaning(task.name))

    def build(self, task: Task, recipe: StudentRecipe, tokenizer: Any) -> tuple[Any, str | None]:
        """The student, and where its weights come from if the recipe leaves that open."""
        if not isinstance(recipe, BertStudentRecipe):
            return self._own(task, recipe, tokenizer), None
        if STUDENTS[self.student].shape:
            model, origin = self._bert(task, recipe, tokenizer)
        else:
            model, origin = self._encoder(task, recipe)
        auto.hide_token_types(model)
        longest = encoders.longest(model.config)
        if recipe.max_length > longest:
            raise UserError(
                f"max_length {recipe.max_length} is impossible: {self.folder} reads {longest}"
            )
        return model, origin

    def _own(self, task: Task, recipe: StudentRecipe, tokenizer: Any) -> Any:
        """A student of our own."""
        model = registry.create(
            self.student,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            pairs=store.read_split(task.name, "dev").paired,
            **recipe.shape(),
            **HEADS[task.kind.name].config(task.labels),
        )
        if isinstance(recipe, SequenceRecipe) and self.kind != "random":
            weight, matrix = model.encoder.word_embeddings.weight, word_embeddings(self.folder)
            with torch.no_grad():
                weight.copy_(principal(matrix, recipe.embedding_size)[: len(weight)])
                weight[tokenizer.pad_token_id] = 0
        return model

    def _bert(self, task: Task, recipe: BertStudentRecipe, tokenizer: Any) -> tuple[Any, str]:
        """A student of BERT's shape."""
        row, head = STUDENTS[self.student], HEADS[task.kind.name].config(task.labels)
        assert row.shape and row.checkpoint
        if self.kind == "hub":
            model = bert.load(self.folder, row.shape, dropout=recipe.dropout, head=head)
            return model, f"hub {row.checkpoint[0]}"
        if self.kind == "random":
            model = bert.create(
                row.shape,
                vocab_size=len(tokenizer),
                positions=max(POSITIONS, recipe.max_length),
                pad_token_id=tokenizer.pad_token_id,
                dropout=recipe.dropout,
                head=head,
            )
            return model, "random"
        if self.kind == "teacher":
            other = load_network(self.folder)
        else:
            other = bert.load(self.folder, bert.shape_of(self.folder), dropout=0.0, head=head)
        model, origin = from_bert(
            row.shape, other, recipe.start_layers, dropout=recipe.dropout, head=head
        )
        return model, origin.format(self.kind)

    def _encoder(self, task: Task, recipe: BertStudentRecipe) -> tuple[Any, str]:
        """A student of an encoder's own architecture, with fewer layers."""
        if self.kind == "teacher":
            whole = load_network(self.folder)
        else:
            whole = HEADS[task.kind.name].load(self.folder, task.labels)
        layers = chosen_layers(
            recipe.start_layers, STUDENTS[self.student].layers, whole.config.num_hidden_layers
        )
        copied = self.kind != "random"
        model = auto.with_layers(whole, layers, recipe.dropout, copied)
        return model, f"{self.kind} layers {_listed(layers)}" if copied else "random"


def choose(student: str, recipe: StudentRecipe, teacher: Teacher | None) -> Initialization:
    """Where the recipe says the weights come from; UserError where they can't be had."""
    row, own_encoder = STUDENTS[student], STUDENTS[student].encoder
    if own_encoder and recipe.tokenizer != own_encoder:
        raise UserError(
            f"tokenizer {recipe.tokenizer} is impossible: student {student} reads the word pieces"
            f" of {own_encoder}"
        )
    kind = _kind(student, recipe, teacher)
    if kind == "hub":
        if not row.checkpoint:
            raise UserError(f"start hub is impossible: student {student} has no checkpoint")
        read = (encoders.WEIGHTS, "config.json", "tokenizer.json", "vocab.txt")
        return Initialization(student, kind, *_located(student, read))
    if teacher and kind == "encoder" and not own_encoder:
        raise UserError("a start from the encoder is for students without teacher: use teacher")
    if teacher and kind != "encoder":
        needs_bert = kind == "teacher" and row.shape
        if needs_bert and "values" not in of_teacher(teacher.name, teacher.folder).gives:
            raise UserError(
                f"start teacher needs a BERT, and {teacher.name} is none:"
                " --start hub and --start random do not"
            )
        if own_encoder and not _same_sizes(own_encoder, teacher.folder):
            raise UserError(
                f"start {kind} is impossible: student {student} has the architecture of"
                f" {own_encoder}, which is not that of teacher {teacher.name}"
            )
        return Initialization(student, kind, teacher.folder, {})
    spec = own_encoder or recipe.tokenizer
    with_weights = kind == "encoder" or own_encoder is not None
    read = ("tokenizer.json", *((encoders.WEIGHTS,) if with_weights else ()))
    folder, inputs = _located(spec, read)
    for name in read:
        if not (folder / name).is_file():
            raise UserError(f"tokenizer '{spec}': {folder} has no {name}")
    return Initialization(student, kind, folder, inputs)


def _kind(student: str, recipe: StudentRecipe, teacher: Teacher | None) -> str:
    row = STUDENTS[student]
    if isinstance(recipe, SequenceRecipe):
        return recipe.embeddings
    if not isinstance(recipe, BertStudentRecipe):
        return "random"
    if recipe.start != "auto":
        return recipe.start
    if row.checkpoint and encoders.at_hand(student):
        return "hub"
    if teacher and (not row.encoder or _same_sizes(row.encoder, teacher.folder)):
        return "teacher"
    return "encoder"


def _same_sizes(encoder: str, folder: Path) -> bool:
    """Whether the model in a folder differs from an encoder in its number of layers at most."""
    names = ("model_type", "vocab_size", "hidden_size", "num_attention_heads")
    one, other = auto.read_config(encoders.locate(encoder)), auto.read_config(folder)
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _located(name: str, read: tuple[str, ...]) -> tuple[Path, dict[str, str]]:
    """The folder of an encoder, and the checksums of those files of it that are there."""
    folder = encoders.locate(name)
    found = [file for file in read if (folder / file).is_file()]
    return folder, {f"encoders/{name}/{file}": files.sha256(folder / file) for file in found}


def chosen_layers(rule: str, student: int, teacher: int) -> list[int]:
    """The teacher's layer that each layer of a student starts from (`layers.mapping`)."""
    pairs = sorted(mapping(rule, student, teacher))
    if [mine for mine, _ in pairs] != [*range(1, student + 1)]:
        raise UserError(
            f"start_layers {rule} is impossible: name each of the student's {student} layers once"
        )
    return [theirs for _, theirs in pairs]


@torch.no_grad()
def from_bert(
    shape: BertShape, other: Any, rule: str, *, dropout: float, head: dict[str, Any]
) -> tuple[Any, str]:
    """A BERT classifier that starts from another, and how: {} stands for what the other is.

    Where width, heads and feed-forward blocks agree, it takes the other's embeddings, head and the
    layers chosen by `rule`. Otherwise its embeddings are the first principal components of the
    other's, rotated alike for words, positions and token types, so that their sums keep their
    meaning, and its layers are random.
    """
    config = other.config
    student = bert.create(
        shape,
        vocab_size=config.vocab_size,
        positions=config.max_position_embeddings,
        token_types=config.type_vocab_size,
        pad_token_id=config.pad_token_id,
        dropout=dropout,
        head=head,
        activation=config.hidden_act,
        norm_eps=config.layer_norm_eps,
    )
    theirs = (config.hidden_size, config.num_attention_heads, config.intermediate_size)
    ours = (shape.width, shape.heads, shape.inner)
    if ours == theirs and shape.layers <= config.num_hidden_layers:
        layers = chosen_layers(rule, shape.layers, config.num_hidden_layers)
        auto.copy_layers(other, student, layers)
        return student, f"{{}} layers {_listed(layers)}"
    mine, other_embeddings = student.bert.embeddings, other.bert.embeddings
    axes = directions(other_embeddings.word_embeddings.weight, shape.width)
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        table = getattr(other_embeddings, name).weight
        rotated = (table - table.mean(dim=0)) @ axes
        getattr(mine, name).weight.copy_(pad(rotated, (0, shape.width - axes.shape[1])))
    return student, "PCA of the {}'s embeddings"


def _listed(layers: Sequence[int]) -> str:
    return ",".join(map(str, layers))


def word_embeddings(folder: Path) -> torch.Tensor:
    """The word embedding matrix (V, H) of the model saved in a folder."""
    with safe_open(folder / encoders.WEIGHTS, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            if name.endswith("embeddings.word_embeddings.weight"):
                matrix: torch.Tensor = file.get_tensor(name)
                return matrix.float()
    raise UserError(f"the model in {folder} has no word embeddings to start from")


def directions(matrix: torch.Tensor, width: int) -> torch.Tensor:
    """(V, H) -> (H, min(width, H)): the principal axes of the rows, of falling variance."""
    centred = matrix - matrix.mean(dim=0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # eigenvalues rise
    result: torch.Tensor = vectors.flip(1)[:, :width]
    return result


def principal(matrix: torch.Tensor, width: int) -> torch.Tensor:
    """(V, H) -> (V, width): the first principal components, scaled like a random initialization.

    Where the matrix is narrower than `width`, the rest of the columns is zero.
    """
    components = (matrix - matrix.mean(dim=0)) @ directions(matrix, width)
    components = components * (WORD_STD / components.std())
    return pad(components, (0, width - components.shape[1]))
