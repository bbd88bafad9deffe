"""The students' networks in plain PyTorch, one architecture per file and one line here.

`predict` loads these with PyTorch alone, since importing transformers takes longer than importing
PyTorch. `models.registry` makes models of transformers from them.
"""

from distillery.models import attention, bag, rnn, transformer
from distillery.models.heads import Classifier as Classifier

PREFIX = "distillery_"  # comes before the architecture in the `model_type` of a configuration
NETWORKS: dict[str, type[Classifier]] = {
    "bilstm": rnn.LSTMClassifier,
    "bigru": rnn.GRUClassifier,
    "attention": attention.AttentionClassifier,
    "transformer": transformer.TransformerClassifier,
    "bag": bag.BagClassifier,
}


def of(model_type: str) -> type[Classifier] | None:
    """The network of a configuration's `model_type`; None if it is not a student of our own."""
    if not model_type.startswith(PREFIX):
        return None
    return NETWORKS.get(model_type.removeprefix(PREFIX))
