"""The line a stage ends with names what it made and the command to run next."""

import logging
import re
import shlex
from pathlib import Path

import pytest

from distillery import paths, tasks
from distillery.cli import main
from distillery.experiments import ending

NEXT = [
    ("baseline --baseline majority", "scripts/student/bilstm_smoke.sh"),
    ("teacher --teacher tiny", "scripts/distillation/bilstm_tiny_smoke.sh"),
    ("student --student attention", "scripts/distillation/attention_tiny_smoke.sh"),
    ("distil --teacher tiny --student bilstm", "scripts/compression/compress_bilstm_tiny_smoke.sh"),
    ("distil --teacher tiny --student bag", "scripts/distillery predict {model}"),
]


def last_line(caplog: pytest.LogCaptureFixture, command: str) -> str:
    caplog.clear()
    caplog.set_level(logging.INFO)
    assert main([*command.split(), "--task", "smoke"]) == 0
    return caplog.messages[-1]


@pytest.mark.parametrize(("command", "following"), NEXT)
def test_what_is_up_to_date_names_the_next_command(
    in_smoke_home: Path, caplog: pytest.LogCaptureFixture, command: str, following: str
) -> None:
    line = last_line(caplog, command)
    expected = following.format(model=paths.model("smoke", "distil_bag_tiny_smoke"))
    assert " is up to date (--force runs it anyway); next: " in line
    following = line.partition("; next: ")[2]
    assert following.startswith(expected)
    if following.endswith(".sh"):
        assert (paths.ROOT / following).is_file()
    else:
        assert main(shlex.split(following)[1:]) == 0


@pytest.mark.parametrize("stage", ["student", "distil --teacher tiny"])
def test_a_stage_ends_with_its_metrics_its_folder_and_the_next_command(
    smoke_copy: Path, caplog: pytest.LogCaptureFixture, stage: str
) -> None:
    line = last_line(caplog, f"{stage} --student bag --force")
    name = "bag_smoke" if stage == "student" else "distil_bag_tiny_smoke"
    said, _, following = line.partition("; next: ")
    folder = re.escape(str(paths.model("smoke", name)))
    score = r"accuracy [01]\.\d{4} on test, [01]\.\d{4} on dev"
    assert re.fullmatch(rf"{name}: {score}, in {folder}", said)
    assert following


def test_several_seeds_are_a_mean(smoke_copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert "(mean of 2 seeds)" in last_line(caplog, "student --student bag --seeds 2")


def test_a_student_comes_after_the_teacher_it_will_learn_from(home: Path) -> None:
    task = tasks.get("smoke")
    teacher = "scripts/teacher/tiny_smoke.sh"
    assert ending.next_command(task, "data") == teacher
    assert ending.next_command(task, "student", student="bag") == teacher
    paths.model("smoke", "tiny_smoke").mkdir(parents=True)
    distillation = ending.next_command(task, "student", student="bag")
    assert distillation == "scripts/distillation/bag_tiny_smoke.sh"


def test_a_variant_of_a_teacher_is_named_to_its_student(home: Path) -> None:
    command = ending.next_command(tasks.get("smoke"), "teacher", teacher="tiny", variant="long")
    assert command == "scripts/distillation/bilstm_tiny_smoke.sh --teacher-variant long"
