"""What the package needs and what it brings: ranges, extras, and imports that cost nothing."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from distillery import doctor, paths

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [Requirement(text) for text in PROJECT["dependencies"]]
OF_EXTRA = {
    extra: [Requirement(text) for text in texts]
    for extra, texts in PROJECT["optional-dependencies"].items()
}


def test_every_pin_is_in_the_range_of_its_package() -> None:
    ranges = {need.name: need for need in [*NEEDED, *sum(OF_EXTRA.values(), [])]}
    assert set(ranges) == set(doctor.pins())
    for name, version in doctor.pins().items():
        assert ranges[name].specifier.contains(version), name


def test_messages_name_the_extra_that_brings_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {need.name for need in NEEDED} == set(doctor.RUNTIME)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    for extra, needs in OF_EXTRA.items():
        for need in needs:
            assert doctor.install_command(need.name).endswith(
                f" '.[{extra}]', in a clone of distillery"
            )
    assert doctor.install_command().endswith(" '.[train]', in a clone of distillery")
    assert doctor.install_command("numpy").endswith(" ., in a clone of distillery")
    assert doctor.package_of("sklearn.linear_model") == "scikit-learn"


def test_every_import_is_of_a_package_that_is_asked_for() -> None:
    known = {need.name for need in [*NEEDED, *sum(OF_EXTRA.values(), [])]}
    found = set()
    for path in (paths.ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    top = {name.partition(".")[0] for name in found} - {*sys.stdlib_module_names, "distillery"}
    assert {*map(doctor.package_of, top), "tensorboard"} == known  # which torch.utils imports


def test_importing_distillery_loads_nothing_heavy() -> None:
    code = "import sys, distillery; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(paths.ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"torch", "transformers", "numpy"} & set(done.stdout.split())


def test_type_hints_come_with_the_package() -> None:
    assert (paths.ROOT / "src/distillery/py.typed").is_file()
