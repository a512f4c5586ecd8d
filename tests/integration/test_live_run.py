"""A live run as a process: signals, reload, restart, rotation, sinks and metrics together, over real HTTP streams."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
import yaml

from pipeline.export.schema import lines_schema

ROOT = Path(__file__).resolve().parent.parent.parent
FPS, CYCLE = 10, 40
COLOURS = ((40, 40, 220), (220, 60, 40))


def boxes(frame: int) -> list[tuple[int, int, int, int]]:
    """Two people cross the picture in ``CYCLE`` frames, again and again, with a pause in which nobody is there."""
    step = frame % CYCLE
    return [] if step >= CYCLE - 8 else [(10 + 5 * step, 20, 34 + 5 * step, 84), (180 - 5 * step, 90, 204 - 5 * step, 154)]


def jpeg(frame: int) -> bytes:
    image = np.random.default_rng(frame).integers(90, 130, (160, 240, 3)).astype(np.uint8)
    for (x0, y0, x1, y1), colour in zip(boxes(frame), COLOURS, strict=False):
        image[y0:y1, max(x0, 0) : max(x1, 0)] = colour
    return cv2.imencode(".jpg", image)[1].tobytes()


class Cameras:
    """An HTTP server whose every path is a camera (MJPEG)."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):
                    for frame in range(1_000_000):
                        picture = jpeg(frame)
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                        self.wfile.write(head.encode() + picture + b"\r\n")
                        time.sleep(1 / FPS)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    served = Cameras()
    yield served
    served.close()


class Running:
    """A run as a process, asked over HTTP how it stands."""

    def __init__(self, config: Path) -> None:
        self.told = ""
        command = [sys.executable, "-m", "pipeline", "run", str(config)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        )
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: "metrics at http://" in self.told, 90)
        self._address = re.search(r"metrics at (http://\S+)/metrics", self.told).group(1)  # type: ignore[union-attr]

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.told += line

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self._address + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """A sample by its name with labels, 0 where it is not there."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.ask("/metrics")[1], re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def frames(self, camera: str) -> float:
        return self.metric(f'crosscam_camera_frames_out_total{{camera="{camera}"}}')

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come about in time"
        time.sleep(0.1)


@pytest.fixture
def site(tmp_path: Path, cameras: Cameras, colour_network: Callable[[Path], None]) -> Callable[..., Path]:
    """Writes the configuration with the given cameras; what is stored in place of a detector knows a, b and c."""
    colour_network(tmp_path / "colour.onnx")
    rows = [
        f"{frame + 1},-1,{x0},{y0},{x1 - x0},{y1 - y0},0.9\n" for frame in range(4000) for x0, y0, x1, y1 in boxes(frame)
    ]
    for camera in "abc":
        (tmp_path / f"{camera}.txt").write_text("".join(rows))

    def write(*names: str, **changes: Any) -> Path:
        plain = {
            "cameras": [{"id": name, "source": cameras.url(name), **changes.pop(name, {})} for name in names],
            "detector": {"backend": "replay", "detections": str(tmp_path / "{camera}.txt")},
            "tracker": {"min_hits": 2, "max_lost_s": 0.5},
            "crops": {"k": 2, "every_s": 0.3},
            "embedder": {"backend": "onnx", "weights": str(tmp_path / "colour.onnx"), "image_size": [32, 16]},
            "association": {"mode": "online", "state": str(tmp_path / "ids.sqlite"), "rules": {"max_gap_s": 5}},
            "run": {"max_lateness_s": 1.0},
            "output": {"folder": str(tmp_path / "out"), "save_embeddings": True},
            "serve": {"port": 0},
            **changes,
        }
        path = tmp_path / "live.yaml"
        path.write_text(yaml.safe_dump(plain))
        return path

    return write


@pytest.fixture
def start() -> Iterator[Callable[[Path], Running]]:
    running: list[Running] = []

    def make(config: Path) -> Running:
        running.append(Running(config))
        return running[-1]

    yield make
    for one in running:
        one.kill()


def records(folder: Path) -> list[dict[str, Any]]:
    text = "".join(path.read_text() for path in sorted(folder.glob("trajectories*.jsonl")))
    return [json.loads(line) for line in text.splitlines()]


def new_ids(folder: Path) -> list[int]:
    return [one["global_id"] for one in records(folder) if one["type"] == "event" and one["kind"] == "new"]


@pytest.mark.slow
def test_cameras_come_go_and_change_while_the_others_run(
    site: Callable[..., Path], start: Callable[[Path], Running], tmp_path: Path
):
    run = start(site("a", "b"))
    until(lambda: run.ask("/readyz")[0] == 200 and run.frames("a") > 20 and run.frames("b") > 20)
    assert run.ask("/healthz")[0] == 200

    site("a", "c")  # b goes, c comes
    run.signal(signal.SIGHUP)
    until(lambda: run.frames("c") > 20 and run.metric('crosscam_camera_state{camera="b",state="ended"}') == 1)
    at_b = run.frames("b")

    site("a", "c", c={"max_fps": 5})  # c changes
    run.signal(signal.SIGHUP)
    until(lambda: "camera c changes" in run.told and run.told.count("camera c comes") == 2)
    before = run.frames("c")
    until(lambda: run.frames("c") > before + 20)

    (tmp_path / "live.yaml").write_text("cameras: [{id: a, sorce: x}]\n")  # broken: nothing happens
    run.signal(signal.SIGHUP)
    until(lambda: "the run goes on as it was" in run.told)
    before = run.frames("a")
    until(lambda: run.frames("a") > before + 20)
    assert run.frames("b") == at_b
    assert run.metric('crosscam_camera_reconnects_total{camera="a"}') == 0

    began = time.monotonic()
    run.signal(signal.SIGTERM)
    assert run.wait(30) == 0, run.told
    assert time.monotonic() - began < 20, "seconds; on a machine that is not shared it is one or two"
    assert "Traceback" not in run.told

    lines = records(tmp_path / "out")
    times = [one["time_s"] for one in lines if one["type"] == "frame" and one["camera"] == "a"]
    assert np.diff(sorted(times)).max() < 10.0, "a never stood still for the others; a busy machine is slow, though"
    seen = {(one["frame"], one["time_s"]) for one in lines if one["type"] == "frame" and one["camera"] == "c"}
    assert len(seen) == len({frame for frame, _ in seen}), "nor did a frame's number"
    finals = [(one["camera"], one["local_id"]) for one in lines if one["type"] == "tracklet" and one["final"]]
    assert len(finals) == len(set(finals)), "no tracklet's name came twice, though c came twice"
    assert {camera for camera, _ in finals} == {"a", "b", "c"}
    document = json.loads((tmp_path / "out/trajectories.json").read_text())
    assert (document["complete"], document["reason"]) == (True, None)
    assert [camera["id"] for camera in document["cameras"]] == ["a", "b", "c"]
    assert document["trajectories"]
    assert {path.name for path in (tmp_path / "out/embeddings").rglob("*.jsonl")} == {
        "a.jsonl",
        "b.jsonl",
        "c.jsonl",
        "c~2.jsonl",
    }


def rules(max_gap_s: float) -> dict[str, Any]:
    return {"mode": "online", "state": "ids.sqlite", "rules": {"max_gap_s": max_gap_s}}


@pytest.mark.slow
def test_a_restart_continues_the_ids_and_keeps_the_lines(
    site: Callable[..., Path], start: Callable[[Path], Running], tmp_path: Path
):
    config = site("a", "b", association=rules(max_gap_s=0.5))  # a process needs longer than that to start
    run = start(config)
    until(lambda: len(new_ids(tmp_path / "out")) >= 2)
    run.kill()
    first = new_ids(tmp_path / "out")
    again = start(config)
    until(lambda: len(new_ids(tmp_path / "out")) >= len(first) + 2)
    again.signal(signal.SIGTERM)
    assert again.wait(20) == 0
    every = new_ids(tmp_path / "out")
    assert every[: len(first)] == first, "the lines of the killed run are there"
    assert min(every[len(first) :]) > max(first)
    assert len(set(every)) == len(every)


@pytest.mark.slow
def test_who_was_seen_before_a_restart_is_known_after_it(
    site: Callable[..., Path], start: Callable[[Path], Running], tmp_path: Path
):
    def told() -> list[int]:
        return [one["global_id"] for one in records(tmp_path / "out") if one["type"] == "event"]

    config = site("a", "b", association=rules(max_gap_s=600))
    run = start(config)
    until(lambda: len(set(told())) == 2 and len(told()) >= 4)
    run.kill()
    before = len(told())
    again = start(config)
    until(lambda: len(told()) >= before + 4)
    again.signal(signal.SIGTERM)
    assert again.wait(20) == 0
    assert new_ids(tmp_path / "out") == [1, 2], "nobody new: the same two people cross the picture again and again"
    assert set(told()[before:]) == {1, 2}


@pytest.mark.slow
def test_a_sink_gets_what_the_lines_hold_and_sigterm_flushes_it(
    site: Callable[..., Path], start: Callable[[Path], Running], tmp_path: Path
):
    pytest.importorskip("httpx")
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.extend(json.loads(line) for line in self.rfile.read(int(self.headers["Content-Length"])).splitlines())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sink = {"kind": "webhook", "url": f"http://127.0.0.1:{server.server_address[1]}/", "records": ["event", "tracklet"]}
    output = {"folder": str(tmp_path / "out"), "sinks": [sink], "rotate": {"max_mib": 0.01}}
    run = start(site("a", "b", output=output))
    until(lambda: len(got) > 10)
    run.signal(signal.SIGTERM)
    assert run.wait(20) == 0
    server.shutdown()
    server.server_close()
    lines = [one for one in records_in_order(tmp_path / "out") if one["type"] in ("event", "tracklet")]
    validator = jsonschema.Draft202012Validator(lines_schema())
    for record in [*got, *records_in_order(tmp_path / "out")]:
        validator.validate(record)
    assert [record.pop("seq") for record in got] == list(range(1, len(got) + 1))
    assert got == lines, "one schema: the sink's records are the lines"
    assert len(list((tmp_path / "out").glob("trajectories.0*.jsonl"))) > 1


def records_in_order(folder: Path) -> list[dict[str, Any]]:
    paths = [*sorted(folder.glob("trajectories.0*.jsonl")), folder / "trajectories.jsonl"]
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]
