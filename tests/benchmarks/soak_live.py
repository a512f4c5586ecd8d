"""Days on end, in short: eight RTSP cameras, servers that die and hang, and what that does to memory, threads and latency.

    python tests/benchmarks/soak_live.py --minutes 45 --folder /tmp/soak

Four servers with two cameras each play drawn walks (640x360, 10 fps, H.264, RTCP) in a loop. Every picture carries its number
in the loop as black and white blocks, by which a detector of the benchmark replays the walkers' boxes; everything
else is the program as it is: ``run`` with online association, in a process of its own. Every few minutes one
server is killed or halted for a while. Written into the folder: ``status.jsonl`` (twice a second: memory, threads,
descriptors, every camera's health), ``returns.jsonl`` (first frames after a silence), ``latency.jsonl`` and ``summary.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

WIDTH, HEIGHT, FPS, LOOP = 640, 360, 10, 300
CELL, BITS = 20, 10
SERVERS, CAMERAS_EACH = 4, 2
MAX_BACKOFF_S, ALLOWED_S = 5.0, 2.0
SETTLED_S = 300.0
SILENT_S = 1.0


# -- the footage


def walks(camera: int) -> list[list[tuple[int, int, int, int]]]:
    """By frame of the loop, the boxes of the walkers: about three at a time, each crosses in about ten seconds."""
    rng = random.Random(camera)
    frames: list[list[tuple[int, int, int, int]]] = [[] for _ in range(LOOP)]
    for start in range(0, LOOP - 40, 30):
        top, speed, side = rng.randrange(80, HEIGHT - 140), rng.randrange(5, 9), rng.choice((-1, 1))
        for step in range(min((WIDTH - 40) // speed, LOOP - start - 10)):
            left = step * speed if side > 0 else WIDTH - 40 - step * speed
            frames[start + step].append((left, top, left + 40, top + 110))
    return frames


def write_loop(path: Path, camera: int) -> None:
    """The camera's access units, each after its length, as ``tests/live/rtsp_server.py`` plays them."""
    import av

    rng = np.random.default_rng(camera)
    ground = rng.integers(60, 140, (HEIGHT // 8, WIDTH // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, FPS)
    codec.options = {"preset": "veryfast", "tune": "zerolatency", "crf": "26", "g": "20",
                     "x264-params": "sliced-threads=0:threads=1:annexb=1:repeat-headers=1"}  # fmt: skip
    with path.open("wb") as file:
        for number, boxes in enumerate(walks(camera)):
            image = ground.copy()
            for order, (left, top, right, bottom) in enumerate(boxes):
                image[top:bottom, left:right] = (50 + 60 * order % 200, 40, 220 - 50 * order % 200)
            for bit in range(BITS):
                image[:CELL, bit * CELL : (bit + 1) * CELL] = 235 if number >> bit & 1 else 16
            for packet in codec.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                data = bytes(packet)
                file.write(struct.pack(">I", len(data)) + data)


class NumberedDetector:
    """Reads the number in each picture and gives the walkers' boxes of that frame of the loop."""

    def __init__(self, cameras: Sequence[str]) -> None:
        self._walks = {name: walks(number) for number, name in enumerate(cameras)}

    def detect(self, frames: Sequence[Any]) -> list[Any]:
        from tracking.types import Detections

        found = []
        for frame in frames:
            blocks = frame.image[CELL // 4 : 3 * CELL // 4, : BITS * CELL, 1].reshape(CELL // 2, BITS, CELL)
            lit = blocks[:, :, CELL // 4 : 3 * CELL // 4].mean(axis=(0, 2)) > 127
            number = sum(int(on) << bit for bit, on in enumerate(lit))
            boxes = np.asarray(self._walks[frame.ref.camera_id][number % LOOP], np.float32).reshape(-1, 4)
            found.append(
                Detections(boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int64))
            )
        return found


# -- the program under test, in its own process


def child(config_path: Path) -> None:
    """Run the configuration with the benchmark's detector, and take notes."""
    import pipeline.build as build
    from pipeline.__main__ import main
    from pipeline.export.writer import RunWriter
    from pipeline.sources.live import LiveSource
    from pipeline.sources.site_clock import SITE_CLOCK

    cameras = [camera["id"] for camera in yaml.safe_load(config_path.read_text())["cameras"]]
    build._detector = lambda config, stored: (NumberedDetector(cameras), None)
    latency: dict[str, list[float]] = {"frame": [], "event": []}
    newest: dict[str, float] = {}
    wrote_frame, wrote_event, built = RunWriter.frame, RunWriter.event, build.Shard
    took_in = LiveSource._arrived
    returns = (config_path.parent / "returns.jsonl").open("w", buffering=1)

    def arrived(self: LiveSource) -> None:
        silent_s = time.monotonic() - self._seen
        if silent_s > SILENT_S:
            returns.write(
                json.dumps({"camera": self.camera_id, "at": time.time(), "silent_s": silent_s}) + "\n"
            )
        took_in(self)

    def frame(self: RunWriter, tracked: Any) -> None:
        wrote_frame(self, tracked)
        camera_id, time_s = tracked.frame.camera_id, tracked.frame.timestamp_s
        if time_s > newest.get(camera_id, 0.0):  # not those given again when a track was confirmed
            newest[camera_id] = time_s
            latency["frame"].append(SITE_CLOCK.now_s() - time_s)

    def event(self: RunWriter, one: Any) -> None:
        wrote_event(self, one)
        if one.kind in ("new", "update", "revision"):
            latency["event"].append(SITE_CLOCK.now_s() - one.at_s)

    def shard(*arguments: Any, **named: Any) -> Any:
        made = built(*arguments, **named)
        threading.Thread(target=take_notes, args=(made, latency, config_path.parent), daemon=True).start()
        return made

    RunWriter.frame, RunWriter.event, build.Shard = frame, event, shard  # type: ignore[method-assign,assignment,misc]
    LiveSource._arrived = arrived  # type: ignore[method-assign]
    sys.argv = ["crosscam", "run", str(config_path)]
    main()


def take_notes(shard: Any, latency: dict[str, list[float]], folder: Path) -> None:
    from dataclasses import asdict

    with (folder / "status.jsonl").open("w") as status, (folder / "latency.jsonl").open("w") as waits:
        while True:
            time.sleep(0.5)
            taken = {kind: values[:] for kind, values in latency.items()}
            for kind, values in taken.items():
                del latency[kind][: len(values)]
            waits.write(
                json.dumps({kind: [round(one, 4) for one in values] for kind, values in taken.items()}) + "\n"
            )
            note = {
                "at": time.time(),
                **process_state(os.getpid()),
                "share": shard.load.share,
                "load": shard.load.load,
            }
            note["cameras"] = [asdict(reader.health()) for reader in shard.readers]
            status.write(json.dumps(note) + "\n")
            status.flush()
            waits.flush()


def process_state(pid: int) -> dict[str, float]:
    """Resident memory in MiB (its anonymous part is what can leak), threads and open descriptors."""
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return {
        "rss_mb": int(lines["VmRSS"].split()[0]) / 1024,
        "anon_mb": int(lines["RssAnon"].split()[0]) / 1024,
        "threads": int(lines["Threads"]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
    }


# -- the trouble


def soak(folder: Path, minutes: float, seed: int, peace_s: float) -> None:
    from tests.live.servers import RtspServer, missing_packages

    reason = missing_packages()
    if reason is not None:
        sys.exit(reason)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"cam{number}" for number in range(SERVERS * CAMERAS_EACH)]
    for number, name in enumerate(names):
        if not (folder / f"{name}.au").exists():
            write_loop(folder / f"{name}.au", number)
    groups = [names[start : start + CAMERAS_EACH] for start in range(0, len(names), CAMERAS_EACH)]
    servers = [
        RtspServer(*(f"{name}={folder}/{name}.au@{FPS}" for name in group)).start() for group in groups
    ]
    config = folder / "soak.yaml"
    config.write_text(yaml.safe_dump(configuration(folder, groups, servers)))
    program = subprocess.Popen([sys.executable, __file__, "--child", str(config)], cwd=ROOT)
    try:
        faults = trouble(
            servers, groups, time.monotonic() + 60 * minutes, random.Random(seed), program, peace_s
        )
        program.terminate()
        began = time.monotonic()
        code = program.wait(60)
        ended_s = time.monotonic() - began
    finally:
        program.kill()
        for server in servers:
            server.kill()
    (folder / "faults.json").write_text(json.dumps(faults))
    told = summary(folder, faults) | {"exit_code": code, "seconds_from_SIGTERM_to_exit": round(ended_s, 2)}
    (folder / "summary.json").write_text(json.dumps(told, indent=2))
    print(json.dumps(told, indent=2))


def configuration(folder: Path, groups: Sequence[Sequence[str]], servers: Sequence[Any]) -> dict[str, Any]:
    live = {"read_timeout_s": 5, "open_timeout_s": 5, "max_backoff_s": MAX_BACKOFF_S}
    return {
        "cameras": [
            {"id": name, "source": server.url(name), "live": live}
            for group, server in zip(groups, servers, strict=True)
            for name in group
        ],
        "detector": {"backend": "yolox", "weights": "replaced by the benchmark", "classes": ["person"]},
        "association": {"mode": "online", "rules": {"max_gap_s": 30.0}},
        "output": {"folder": str(folder / "out"), "rotate": {"max_mib": 2, "keep": 3}},
    }


def trouble(
    servers: Sequence[Any],
    groups: Sequence[Sequence[str]],
    until: float,
    rng: random.Random,
    program: Any,
    peace_s: float,
) -> list[dict[str, Any]]:
    """Kill or halt one server after the other, for 2 to 25 s, with peace in between."""
    faults: list[dict[str, Any]] = []
    time.sleep(60)
    while time.monotonic() < until - 90 and program.poll() is None:
        number, kind = len(faults) % len(servers), ("kill", "kill", "halt")[len(faults) % 3]
        down_s = rng.uniform(2, 25)
        fault = {
            "kind": kind,
            "cameras": list(groups[number]),
            "began": time.time(),
            "down_s": round(down_s, 1),
        }
        servers[number].kill() if kind == "kill" else servers[number].halt()
        time.sleep(down_s)
        servers[number].start() if kind == "kill" else servers[number].resume()
        faults.append(fault | {"back": time.time()})
        time.sleep(peace_s)
    while time.monotonic() < until and program.poll() is None:
        time.sleep(1)
    return faults


# -- what came of it


def summary(folder: Path, faults: Sequence[dict[str, Any]]) -> dict[str, Any]:
    notes = [json.loads(line) for line in (folder / "status.jsonl").read_text().splitlines()]
    waits = [json.loads(line) for line in (folder / "latency.jsonl").read_text().splitlines()]
    returns = [json.loads(line) for line in (folder / "returns.jsonl").read_text().splitlines()]
    settled = [note for note in notes if note["at"] - notes[0]["at"] > SETTLED_S] or notes
    return {
        "minutes": round((notes[-1]["at"] - notes[0]["at"]) / 60, 1),
        "memory_mb": {kind: growth([note[kind] for note in settled]) for kind in ("rss_mb", "anon_mb")},
        "threads": growth([note["threads"] for note in settled]),
        "descriptors": growth([note["descriptors"] for note in settled]),
        "latency_s": {
            kind: percentiles([one for wait in waits for one in wait[kind]]) for kind in ("frame", "event")
        },
        "cameras": {camera["camera_id"]: counters(camera) for camera in notes[-1]["cameras"]},
        "share_least": min(note["share"] for note in notes),
        "faults": [fault | recovery(returns, fault) for fault in faults],
        "others": others(notes, faults),
    }


def growth(values: Sequence[float]) -> dict[str, float]:
    """Medians of the first and the last minute, and the change in percent; ``most`` is the peak."""
    first, last = float(np.median(values[:120])), float(np.median(values[-120:]))
    percent = 100 * (last / first - 1)
    return {
        "first": round(first, 1),
        "last": round(last, 1),
        "most": max(values),
        "growth_percent": round(percent, 2),
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {
        "p50": round(p50, 3),
        "p95": round(p95, 3),
        "p99": round(p99, 3),
        "most": round(max(values), 3),
        "count": len(values),
    }


def counters(camera: dict[str, Any]) -> dict[str, Any]:
    shown = (
        "frames_in",
        "frames_used",
        "frames_dropped",
        "frames_late",
        "frames_skipped",
        "reconnects",
        "clock_kind",
    )
    return {name: camera[name] for name in shown}


def recovery(returns: Sequence[dict[str, Any]], fault: dict[str, Any]) -> dict[str, Any]:
    """Seconds from the server's return to each of its cameras' first frame, against the longest back-off and two."""
    first_s = {}
    for name in fault["cameras"]:
        after = [one["at"] for one in returns if one["camera"] == name and one["at"] > fault["back"]]
        first_s[name] = round(min(after) - fault["back"], 2) if after else None
    is_met = all(one is not None and one <= MAX_BACKOFF_S + ALLOWED_S for one in first_s.values())
    return {"recovered_s": first_s, "within_backoff_and_2_s": is_met}


def others(notes: Sequence[dict[str, Any]], faults: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Frames per second of the cameras without a fault, during faults and in peace: the same, if nothing leaks across.

    ``in``: read from the stream; ``used``: worked off, which also depends on what else the machine does.
    """
    spans = [(fault["began"], fault["back"] + MAX_BACKOFF_S, set(fault["cameras"])) for fault in faults]
    rates: dict[str, list[float]] = {}
    for before, after in zip(notes[120::10], notes[130::10], strict=False):
        touching = [names for began, ended, names in spans if before["at"] < ended and after["at"] > began]
        ill = set().union(*touching) if touching else set()
        for camera in after["cameras"]:
            if camera["camera_id"] in ill:
                continue
            for kind in ("in", "used"):
                new = camera[f"frames_{kind}"] - camera_of(before, camera["camera_id"])[f"frames_{kind}"]
                name = f"fps_{kind}_{'during_faults' if touching else 'in_peace'}"
                rates.setdefault(name, []).append(new / (after["at"] - before["at"]))
    return {name: round(float(np.mean(values)), 3) for name, values in sorted(rates.items())}


def camera_of(note: dict[str, Any], name: str) -> dict[str, Any]:
    return next(camera for camera in note["cameras"] if camera["camera_id"] == name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--child", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("out/soak"))
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peace", type=float, default=120, help="seconds between two faults")
    parser.add_argument("--again", action="store_true", help="only sum up what --folder holds")
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.child)
        sys.exit()
    if arguments.again:
        told = json.loads((arguments.folder / "faults.json").read_text())
        print(json.dumps(summary(arguments.folder, told), indent=2))
        sys.exit()
    soak(arguments.folder.absolute(), arguments.minutes, arguments.seed, arguments.peace)
