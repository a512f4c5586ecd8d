"""What is deployed names things that exist, and starts without a broker."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.cli import app
from pipeline.config import ServeConfig

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "configs" / "deploy"
UNIT = (DEPLOY / "crosscam.service").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_the_default_is_one_service_without_a_broker():
    assert list(COMPOSE["services"]) == ["crosscam"]
    service = COMPOSE["services"]["crosscam"]
    assert "ports" not in service, "nothing is open to other machines by default"
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_the_image_copies_what_exists_and_asks_the_default_port():
    for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split()), line
    assert f"127.0.0.1:{ServeConfig().port}/healthz" in DOCKERFILE
    extras = re.search(r"'\.\[([\w,]+)\]'", DOCKERFILE)
    assert extras
    known = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(extras.group(1).split(",")) <= set(known)
    assert "USER crosscam" in DOCKERFILE


def test_both_run_a_command_that_exists():
    import typer

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert re.search(r"ExecStart=\S+/crosscam (\w+)", UNIT).group(1) in commands  # type: ignore[union-attr]
    assert re.search(r'CMD \["(\w+)", "/etc', DOCKERFILE).group(1) in commands  # type: ignore[union-attr]


def test_reload_and_stop_are_the_signals_that_are_heeded():
    assert "ExecReload=/bin/kill -HUP $MAINPID" in UNIT
    assert "KillSignal=SIGTERM" in UNIT
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE


def test_systemd_finds_no_fault_in_the_unit():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    told = subprocess.run([program, "verify", str(DEPLOY / "crosscam.service")], capture_output=True, text=True, check=False)
    faults = [line for line in told.stderr.splitlines() if "crosscam.service" in line and "is not executable" not in line]
    assert not faults
