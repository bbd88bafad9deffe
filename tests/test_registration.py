"""transformers knows the students whatever is imported first, each time in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distillery import paths


@pytest.mark.parametrize(
    "imports",
    [
        "import distillery",
        "from transformers import BertModel\nimport distillery",
        "import distillery\nfrom transformers import BertModel",
        "import importlib.util, distillery\nimportlib.util.find_spec('transformers.trainer')",
    ],
)
def test_a_configuration_alone_is_known(tmp_path: Path, imports: str) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "distillery_bilstm"}')
    code = f"""
{imports}
from transformers import AutoConfig
print(type(AutoConfig.from_pretrained({str(tmp_path)!r})).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(paths.ROOT / "src"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["LSTMConfig"]
