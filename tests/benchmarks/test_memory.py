"""Does a long run's memory stay flat? 20,000 decoded frames with people coming and going all the time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

FRAMES = 20_000
STAY = 60


def left_of(frame: int) -> int:
    return 4 + 3 * (frame % STAY)


def pictures() -> Iterator[np.ndarray]:
    for frame in range(FRAMES):
        image = np.full((160, 240, 3), 120, np.uint8)
        image[40:110, left_of(frame) : left_of(frame) + 26] = np.array([frame // STAY * 37 % 200, 90, 160])
        yield image


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def configuration(folder: Path, mode: str) -> Path:
    rows = (
        f"{frame + 1},-1,{left_of(frame)},40,26,70,0.9" for frame in range(FRAMES) if frame % STAY < STAY - 12
    )
    (folder / "a.txt").write_text("\n".join(rows) + "\n")
    plain = {
        "cameras": [{"id": "a", "source": str(folder / "a.mp4")}],
        "detector": {"backend": "replay", "detections": str(folder / "{camera}.txt")},
        "embedder": {"backend": "onnx", "weights": str(folder / "colour.onnx"), "image_size": [32, 16]},
        "association": {"mode": mode, "rules": {"max_gap_s": 20}},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(plain))
    return folder / "run.yaml"


def watched(process: subprocess.Popen[str], lines: Path) -> list[tuple[int, float]]:
    """Resident memory against lines written, sampled while the process runs."""
    samples = []
    while process.poll() is None:
        time.sleep(0.5)
        try:
            samples.append((lines.read_bytes().count(b'"type":"frame"'), resident_mb(process.pid)))
        except (OSError, StopIteration):
            continue
    return samples


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_memory_is_flat(
    tmp_path: Path, make_clip: Callable[..., Path], colour_network: Callable[[Path], None], mode: str
):
    make_clip(tmp_path / "a.mp4", pictures(), 10, preset="ultrafast")
    colour_network(tmp_path / "colour.onnx")
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        str(configuration(tmp_path, mode)),
        "--output",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    drain = threading.Thread(target=lambda: process.stderr and process.stderr.read(), daemon=True)
    drain.start()
    samples = [one for one in watched(process, tmp_path / "out/trajectories.jsonl") if one[0] > 0]
    assert process.returncode == 0
    total = samples[-1][0]
    early = [memory for done, memory in samples if 0.1 * total < done < 0.3 * total]
    late = [memory for done, memory in samples if 0.8 * total < done <= 0.97 * total]
    summary = json.loads((tmp_path / "out/run.json").read_text())
    growth = float(np.median(late) - np.median(early))
    print(
        f"\n{mode}: {summary['frames']} frames at {summary['fps']} fps: "
        f"{np.median(early):.0f} MB early, {np.median(late):.0f} MB late"
    )
    assert summary["frames"] == FRAMES
    assert growth < 25, samples[:: max(1, len(samples) // 20)]
