"""``doctor``: what is told of cameras before a run."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from pipeline.commands.doctor import doctor
from tests.live.servers import RtspServer, free_port


def examined(tmp_path: Path, cameras: list[dict[str, Any]], seconds: float) -> tuple[int, str]:
    """Exit code and what is printed, lines joined where the table or the console broke them."""
    for camera in cameras:
        (tmp_path / f"{camera['id']}.txt").write_text("1,-1,10,10,20,40,0.9\n")
    plain = {
        "cameras": cameras,
        "detector": {"backend": "replay", "detections": str(tmp_path / "{camera}.txt")},
        "embedder": {"backend": "onnx", "weights": "none.onnx", "image_size": [32, 16]},
    }
    path, out = tmp_path / "run.yaml", io.StringIO()
    path.write_text(yaml.safe_dump(plain))
    code = doctor(path, seconds, Console(file=out, width=200))
    return code, out.getvalue()


def test_recordings_and_dead_cameras_are_told_apart_and_credentials_masked(
    tmp_path: Path, make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CAMERA_PASSWORD", "s3cret")
    clip = make_clip(tmp_path / "a.mp4", [np.full((48, 64, 3), 20 * index, np.uint8) for index in range(12)])
    dead = f"rtsp://admin:${{CAMERA_PASSWORD}}@127.0.0.1:{free_port()}/a"
    cameras = [
        {"id": "file", "source": str(clip)},
        {"id": "dead", "source": dead},
        {"id": "gone", "source": "b.mp4"},
    ]
    code, told = examined(tmp_path, cameras, 1.5)
    rows = {line.split("│")[1].strip(): line for line in told.splitlines() if line.startswith("│")}
    assert code == 3
    assert "recorded" in rows["file"]
    assert "64x48" in rows["file"]
    assert "bad" in rows["dead"]
    assert "bad: camera dead: no picture within 1.5 s; Connection refused" in told
    assert "bad: camera gone:" in told
    assert "b.mp4: no such file" in told
    assert "s3cret" not in told


@pytest.mark.slow
def test_live_cameras_are_told_with_clock_rate_codec_and_picture(
    tmp_path: Path, serve: Callable[..., RtspServer]
):
    server = serve("a=320x240@10", "b=640x360@5")
    server.tell("black b")
    live = {"freeze_s": 2, "reopen_frozen": False}
    cameras = [{"id": name, "source": server.url(name), "live": live} for name in ("a", "b")]
    code, told = examined(tmp_path, cameras, 8)
    rows = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")]
        for line in told.splitlines()
        if "│" in line
    }
    assert code == 0
    assert rows["a"][2:5] == ["live", "h264", "320x240"]
    assert float(rows["a"][5]) == pytest.approx(10, abs=1.5)
    assert rows["a"][6] == "rtcp"
    assert rows["b"][9] == "black"
    assert "note: camera b: the picture is black" in told
