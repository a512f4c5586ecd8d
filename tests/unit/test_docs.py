"""What the README says exists, and what exists is in the README."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from pipeline import errors
from pipeline.cli import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _commands(group: typer.Typer) -> set[str]:
    return set(typer.main.get_command(group).commands)  # type: ignore[attr-defined]


def test_every_pipeline_command_is_in_the_readme() -> None:
    missing = {name for name in _commands(app) if not re.search(rf"[`\s|]{name}[`\s|,]", README)}
    assert not missing


def test_every_pipeline_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"python -m pipeline ([a-z-]+)", README))
    assert named
    assert named <= _commands(app)


def test_every_file_the_readme_names_exists() -> None:
    named = set(re.findall(r"`((?:configs|samples)/[\w./-]+)`", README)) | set(re.findall(r"\]\((\w+\.md)\)", README))
    assert len(named) > 5
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_exit_code_of_the_error_tree_is_in_the_readme() -> None:
    line = re.search(r"Exit codes:(.+?)\n\n", README, re.DOTALL)
    assert line
    said = {int(code) for code in re.findall(r"\b(\d+)\b", line.group(1))}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CrosscamError)]
    assert said == {kind.exit_code for kind in kinds if kind is not errors.CrosscamError} | {0, errors.INTERRUPTED}


@pytest.mark.parametrize("module", ["pipeline", "reid", "samples"])
def test_help_comes_without_torch(module: str) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['{module}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('{module}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'cv2', 'ultralytics', 'faiss'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
    assert time.perf_counter() - began < 10  # half a second on a quiet machine; this one may be busy
