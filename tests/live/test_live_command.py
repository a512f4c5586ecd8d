"""The program itself on live cameras, one of them dead from the start, one guarded by a password."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.live.servers import RtspServer, free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_main_job_on_live_cameras_until_it_is_told_to_end(
    tmp_path: Path, shared_data: Path, serve: Callable[..., RtspServer]
):
    weights = shared_data / "weights" / "yolox_nano.onnx"
    if not weights.exists():
        pytest.skip(f"{weights.name} is not in the shared data")
    guarded, open_ = serve("a=320x240@5", user="viewer", password="s3/cr@t"), serve("a=320x240@5")
    dead = f"rtsp://viewer:${{PASSWORD}}@127.0.0.1:{free_port()}/a"
    sources = {"guarded": guarded.url("a", "viewer:${PASSWORD}"), "open": open_.url("a"), "dead": dead}
    plain = {
        "cameras": [{"id": name, "source": source} for name, source in sources.items()],
        "detector": {"backend": "yolox", "weights": str(weights), "classes": ["person"]},
        "association": {"mode": "online"},
        "run": {"max_lateness_s": 1.5},
        "serve": None,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(plain))
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "-v",
        "run",
        str(tmp_path / "run.yaml"),
        "--output",
        str(out),
    ]
    environment = {**os.environ, "PASSWORD": "s3%2Fcr%40t", "OMP_NUM_THREADS": "1"}
    program = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        wait_for_frames(out / "trajectories.jsonl", {"guarded", "open"}, program)
        program.send_signal(signal.SIGTERM)
        began = time.monotonic()
        told, _ = program.communicate(timeout=60)
        assert time.monotonic() - began < 30
    finally:
        program.kill()
    cameras = {
        camera["id"]: camera for camera in json.loads((out / "trajectories.json").read_text())["cameras"]
    }
    assert set(cameras) == set(sources)
    assert b"camera dead: stream lost (Connection refused)" in told
    written = told + b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for secret in (b"s3/cr", b"s3%2F", b"cr%40t", b"cr@t"):
        assert secret not in written


def wait_for_frames(path: Path, cameras: set[str], program: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90
    while True:
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        seen = {record["camera"] for record in map(json.loads, whole) if record["type"] == "frame"}
        if seen >= cameras:
            return
        assert program.poll() is None, program.stdout.read() if program.stdout else ""
        assert time.monotonic() < until, seen
        time.sleep(0.5)
