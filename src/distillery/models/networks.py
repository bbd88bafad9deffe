"""The students' networks in plain PyTorch, one architecture per file.

`predict` loads these with PyTorch alone, since importing transformers takes longer than importing
PyTorch. `models.pretrained` makes models of transformers from them.
"""

from distillery.models import attention, bag, rnn, transformer
from distillery.models.heads import Classifier as Classifier

CLASSIFIERS: dict[str, type[Classifier]] = {  # `model_type` of a configuration -> class
    "distillery_bilstm": rnn.LSTMClassifier,
    "distillery_bigru": rnn.GRUClassifier,
    "distillery_attention": attention.AttentionClassifier,
    "distillery_transformer": transformer.TransformerClassifier,
    "distillery_bag": bag.BagClassifier,
}
