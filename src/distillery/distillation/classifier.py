"""A saved PyTorch classifier, answered as an exported one is."""

from pathlib import Path

import numpy as np
import torch

from distillery.distillation import teacher as teachers
from distillery.runtime.classifier import Classifier


class TorchClassifier(Classifier):
    """Answers in fp32, as `pipeline` of transformers does, on a GPU where there is one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = teachers.load_model(folder).to(self.device).eval()
        if self.config.get("model_type") == "bert":
            from distillery.models import fast_bert

            fast_bert.use_in(self.model)

    def batch_logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            moved = {name: torch.from_numpy(a).to(self.device) for name, a in batch.items()}
            found: np.ndarray = self.model(**moved).logits.float().cpu().numpy()
            return found
