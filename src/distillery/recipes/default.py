"""The recipes of a task that has no file of its own: a user's data."""

from distillery.recipes.base import (
    SOURCE_SPLITS,
    AugmentationRecipe,
    DataRecipe,
    Losses,
    Phase,
    Plan,
    Recipe,
)
from distillery.recipes.models import (
    BagRecipe,
    BaselineRecipe,
    BertStudentRecipe,
    InferenceRecipe,
    NbsvmRecipe,
    PretrainingRecipe,
    PruningRecipe,
    QuantizationRecipe,
    SequenceRecipe,
    StudentRecipe,
    TeacherRecipe,
)
from distillery.students import STUDENTS

DATA = DataRecipe()
# Public data sets hold near copies of their own texts, in test too: blanks, case and marks differ.
PUBLIC_DATA = DataRecipe(clean="spaces", same_text="letters")
PLAN = Plan(teachers=("minilm",), students=("bilstm", "attention"), compressed=("bilstm",))
AUGMENTATION = AugmentationRecipe()
INFERENCE = InferenceRecipe()
QUANTIZATION = QuantizationRecipe()

# As `truncation=True` of transformers cuts long texts: a teacher, loaded into a plain `pipeline`,
# then gives the answers of `predict`. Teacher and students of a task read the same part of a text.
HEAD = 1.0

LABELS: Losses = (("labels", 1.0, {}),)
LOGITS: Losses = (("mse", 1.0, {}),)


def baseline(name: str) -> Recipe:
    found: dict[str, Recipe] = {
        "majority": Recipe(),
        "mean": Recipe(),
        "tfidf": BaselineRecipe(),
        "ridge": BaselineRecipe(inverse_regularization=(0.0001, 0.001, 0.01, 0.1, 1.0)),
        "nbsvm": NbsvmRecipe(),
    }
    return found[name]


def pretraining(name: str) -> PretrainingRecipe:
    return PretrainingRecipe(learning_rate=3e-4 if name == "minilm" else 1e-4)


def teacher(name: str) -> TeacherRecipe:
    """A small encoder takes a larger step than one of BERT base's size."""
    return TeacherRecipe(epochs=3, learning_rate=8e-5 if name == "minilm" else 3e-5)


def student(name: str) -> StudentRecipe:
    """From labels alone. Word embeddings are initialized from the encoder's, which every user has,
    so the gain of distilling cannot come from the teacher's."""
    phase = Phase(splits=("train",), losses=LABELS, epochs=6)
    if name == "bag":
        bag = BagRecipe(phases=(phase,), dropout=0.0, precision="fp32")
        return bag.changed(learning_rate=1e-2)
    return SequenceRecipe(phases=(phase,), embeddings="encoder", dropout=0.3)


def distillation(name: str, teacher: str) -> StudentRecipe:
    """From the teacher's logits, over the labelled and the unlabeled rows."""
    recipe = student(name).changed(splits=SOURCE_SPLITS, losses=LOGITS)
    if isinstance(recipe, SequenceRecipe):
        return recipe.changed(embeddings="teacher", dropout=0.1)
    return recipe


def pruning(phases: tuple[Phase, ...]) -> PruningRecipe:
    """phases: how the student was distilled."""
    return PruningRecipe(phases=phases)


def bert_student(name: str) -> BertStudentRecipe:
    """From labels alone; the wider a student, the smaller its step, and so with one that starts
    from pretrained layers."""
    shape, encoder = STUDENTS[name].shape, STUDENTS[name].encoder
    rate = 5e-4 if shape and shape.width < 768 else 1e-4
    phase = Phase(splits=("train",), losses=LABELS, epochs=6, learning_rate=rate)
    return BertStudentRecipe(phases=(phase,), tokenizer=encoder or "minilm")


def bert_distillation(name: str, teacher: str) -> BertStudentRecipe:
    """TinyBERT's two stages (arXiv:1909.10351, sec. 3.2): the teacher's layers, then its logits."""
    recipe = bert_student(name)
    logits = recipe.phases[0].changed(splits=SOURCE_SPLITS, losses=LOGITS)
    layers = logits.changed(losses=bert_layers(name), epochs=3)
    return recipe.changed(phases=(layers, logits))


def bert_layers(name: str) -> Losses:
    """Losses on layers: TinyBERT's in a student with the 12 heads of `bert` and `minilm`, to which
    attention is compared head by head; value relations in one with another number. Of encoders of
    any architecture only states can be compared."""
    states: Losses = (("embeddings", 1.0, {}), ("hidden", 1.0, {}))
    shape = STUDENTS[name].shape
    if not shape:
        return states
    relations: Losses = (("value_relations", 1.0, {"heads": float(shape.heads)}),)
    return (*states, *((("attention", 1.0, {}),) if shape.heads == 12 else relations))
