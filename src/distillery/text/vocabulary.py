"""A vocabulary of words in place of word pieces: the commonest ones of a task's texts."""

from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from distillery.data.store import Split

CHUNK = 2048  # texts read at once
PAD, UNKNOWN, FIRST, LAST, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"


def word_tokenizer(splits: Iterable[Split], words: int) -> Tokenizer:
    """A tokenizer of the `words` commonest words, in small letters, without accents; of equally
    common ones the first in the alphabet. Punctuation marks are words."""
    special = [PAD, UNKNOWN, FIRST, LAST, MASK]
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(
        vocab_size=words + len(special), special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(
        (part for split in splits for parts in split.chunks(CHUNK) for part in parts if part),
        trainer,
    )
    ends = [(token, special.index(token)) for token in (FIRST, LAST)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{FIRST} $A {LAST}", pair=f"{FIRST} $A {LAST} $B:1 {LAST}:1", special_tokens=ends
    )
    return tokenizer
