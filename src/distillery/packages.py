"""Which packages are needed for what, and the command that installs them."""

from __future__ import annotations  # the doctor reads it with older Pythons

import shlex
import sys

from distillery import paths

RUNTIME = ("numpy", "onnxruntime", "tokenizers")
EXTRAS = {  # package -> extra of pyproject.toml, and what it is for; all others are of `train`
    "datasets": ("hub", "data sets from the hub"),
    "nltk": ("nltk", "augmentation by parts of speech, sentences of unlabeled text"),
    "tensorboard": ("tensorboard", "curves of the training in TensorBoard"),
}
_OTHER_NAMES = {"sklearn": "scikit-learn"}  # import -> package


def package_of(module: str) -> str:
    """The package that a module belongs to."""
    top = module.partition(".")[0]
    return _OTHER_NAMES.get(top, top)


def install(package: str | None = None) -> str:
    """The command that installs a package with the others of its extra; without one, everything
    the stages need."""
    if paths.in_clone():
        if sys.prefix == sys.base_prefix:
            return "make install"
        requirements = f"{paths.ROOT}/requirements.txt"
        return shlex.join([sys.executable, "-m", "pip", "install", "-r", requirements])
    extra = "" if package in RUNTIME else f"[{EXTRAS.get(package or '', ('train',))[0]}]"
    command = shlex.join([sys.executable, "-m", "pip", "install", f".{extra}"])
    return f"{command}, in a clone of distillery"  # which is not on PyPI yet
