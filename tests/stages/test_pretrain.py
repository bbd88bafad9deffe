"""Further pretraining: which places are masked, and what is to be named there."""

import torch

from distillery.models.masked_language import padding
from distillery.stages.pretrain import NONE, _masking

PAD, CLS, MASK = 0, 1, 2
IDS = torch.tensor([[CLS, 7, MASK, 8, 9], [CLS, 10, 11, PAD, PAD]])


def test_every_masked_place_has_its_word_and_a_mask_of_the_text_has_none() -> None:
    torch.manual_seed(0)
    batch = {"input_ids": IDS, "attention_mask": (IDS != PAD).long()}
    found = _masking(torch.tensor([PAD, CLS, MASK]), MASK, share=1.0)(batch)
    assert found["input_ids"].tolist() == [[CLS, MASK, MASK, MASK, MASK], [CLS, MASK, MASK, 0, 0]]
    words = [7, NONE, 8, 9, 10, 11]
    assert found["masked"].tolist() == words + [NONE] * padding(len(words))
