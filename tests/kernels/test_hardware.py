"""What the hardware decides."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from distillery import paths, results
from distillery.cli import main
from distillery.errors import UserError
from distillery.kernels import hardware
from distillery.runtime.facts import read_facts


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretends that the CPU has some instructions, and that no variable overrides the choice."""
    for name in ("DISTILLERY_PRECISION", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hardware, "device", lambda: torch.device("cpu"))

    def have(*, amx: bool = False, avx512_bf16: bool = False) -> None:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)

    return have


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "expected"),
    [
        (False, False, "fp32"),
        (True, False, "bf16"),
        (False, True, "bf16"),
        (True, True, "bf16"),
    ],
)
def test_auto_is_bf16_where_the_cpu_has_instructions_for_it(
    cpu: Callable[..., None], amx: bool, avx512_bf16: bool, expected: str
) -> None:
    cpu(amx=amx, avx512_bf16=avx512_bf16)
    assert hardware.precision("auto") == expected


@pytest.mark.parametrize("bf16", [False, True])
def test_auto_is_bf16_where_the_gpu_has_it_without_emulation(
    cpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch, bf16: bool
) -> None:
    cpu(amx=not bf16)  # the CPU has no say
    monkeypatch.setattr(hardware, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: bf16 or including_emulation
    )
    assert hardware.precision("auto") == ("bf16" if bf16 else "fp32")


@pytest.mark.parametrize(
    ("isa", "expected"),
    [
        ("AVX2", "fp32"),
        ("avx2", "fp32"),
        ("AVX512_CORE_VNNI", "fp32"),
        ("AVX512_CORE_BF16", "bf16"),
        ("AVX10_1_512_AMX", "bf16"),
        ("DEFAULT", "bf16"),
        ("", "bf16"),
    ],
)
@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_auto_respects_a_cap_on_onednn(
    cpu: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    isa: str,
    expected: str,
) -> None:
    cpu(amx=True, avx512_bf16=True)
    monkeypatch.setenv(variable, isa)
    assert hardware.precision("auto") == expected


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("preferred", ["fp32", "bf16"])
def test_distillery_precision_replaces_auto_alone(
    cpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch, preferred: str, bf16: bool
) -> None:
    cpu(amx=bf16)
    monkeypatch.setenv("DISTILLERY_PRECISION", preferred)
    assert hardware.precision("auto") == preferred
    for wanted in ("fp32", "bf16"):
        assert hardware.precision(wanted) == wanted


@pytest.mark.parametrize("wanted", ["auto", "fp32"])
@pytest.mark.parametrize("bad", ["fp16", "BF16", " "])
def test_bad_distillery_precision_is_refused(
    monkeypatch: pytest.MonkeyPatch, bad: str, wanted: str
) -> None:
    monkeypatch.setenv("DISTILLERY_PRECISION", bad)
    expected = f"unknown DISTILLERY_PRECISION '{bad}': choose from auto, fp32, bf16"
    with pytest.raises(UserError, match=expected):
        hardware.precision(wanted)


def test_a_misspelt_switch_of_the_kernels_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISTILLERY_KERNELS", "of")
    with pytest.raises(UserError, match="unknown DISTILLERY_KERNELS 'of': choose from on, off"):
        hardware.prepare()


def test_auto_leaves_the_precision_to_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISTILLERY_PRECISION", raising=False)
    by_hardware = hardware.precision("auto")
    monkeypatch.setenv("DISTILLERY_PRECISION", "auto")
    assert hardware.precision("auto") == by_hardware


def test_environment_says_where_a_result_was_made() -> None:
    found = hardware.environment("fp32")
    assert found["torch"] == torch.__version__
    assert found["precision"] == "fp32"
    assert all(value not in (None, "") for value in found.values())


def test_autocast_computes_in_the_precision_asked_for() -> None:
    layer = torch.nn.Linear(2, 2).to(hardware.device())
    given = torch.ones(1, 2, device=hardware.device())
    for precision, expected in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with hardware.autocast(precision):
            assert layer(given).dtype == expected


def _sunken_after_a_step() -> int:
    """How many of Adam's means are below 1e-38 and no zero after a step that lowers them there."""
    hardware.prepare()
    weight = torch.nn.Parameter(torch.zeros(2**20))  # enough for every thread
    optimizer = torch.optim.AdamW([weight], lr=1e-3, fused=True)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    mean = optimizer.state[weight]["exp_avg"]
    mean.fill_(1.2e-38)
    optimizer.step()
    return int((mean.view(torch.int32) != 0).sum())  # by their bits


def test_means_that_sink_become_zero_in_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a new process, which starts its own threads; if it cannot start, the test fails."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        assert fresh.submit(_sunken_after_a_step).result() == 0


@pytest.mark.parametrize(
    ("wanted", "preferred", "expected"),
    [("auto", "bf16", "bf16"), ("auto", "fp32", "fp32"), ("bf16", "fp32", "bf16")],
)
def test_a_result_records_the_precision_it_was_trained_in(
    smoke_copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    preferred: str,
    expected: str,
) -> None:
    monkeypatch.setenv("DISTILLERY_PRECISION", preferred)
    student = ["student", "--task", "smoke", "--student", "attention"]
    assert main([*student, "--variant", "other", "--epochs", "1", "--precision", wanted]) == 0
    result = results.read(paths.results(local=True) / "attention_smoke.other.json")
    assert result.environment["precision"] == expected
    assert read_facts(paths.model("smoke", result.name))["precision"] == expected
