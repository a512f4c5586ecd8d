"""Real servers for live cameras; whatever needs them skips, saying why, where they cannot run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.config import CameraConfig
from pipeline.packets import Frame
from pipeline.sources.health import CameraHealth
from pipeline.sources.live import LiveSource
from tests.live.servers import RtspServer, missing_packages

QUICK = {"open_timeout_s": 5, "read_timeout_s": 2, "max_backoff_s": 1, "freeze_s": 2}
MISSING = missing_packages()


class Watcher:
    """Reads a live camera in a thread and keeps what came."""

    def __init__(self, source: str, **live: Any) -> None:
        self.camera = CameraConfig(id="a", source=source, live={**QUICK, **live})
        self.source = LiveSource(self.camera)
        self.frames: list[Frame] = []
        self.arrivals: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for frame in self.source:
            self.frames.append(frame)
            self.arrivals.append(time.time() - time.monotonic())

    @property
    def health(self) -> CameraHealth:
        return self.source.health()

    def wait_for(self, told: Callable[[Watcher], object], timeout_s: float = 30.0) -> float:
        """Seconds until ``told`` was true."""
        began = time.monotonic()
        while not told(self):
            assert time.monotonic() - began < timeout_s, f"not within {timeout_s:g} s: {self.health}"
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_for_more(self, count: int = 3, timeout_s: float = 30.0) -> float:
        """Seconds until ``count`` more frames have come."""
        known = len(self.frames)
        return self.wait_for(lambda one: len(one.frames) >= known + count, timeout_s)

    def close(self) -> None:
        self.source.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[..., RtspServer]]:
    """Starts RTSP servers; see `servers.RtspServer`."""
    if MISSING is not None:
        pytest.skip(MISSING)
    servers: list[RtspServer] = []

    def start(*mounts: str, **options: Any) -> RtspServer:
        servers.append(RtspServer(*mounts, **options))
        return servers[-1].start()

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def watch() -> Iterator[Callable[..., Watcher]]:
    """Watches cameras; see `Watcher`."""
    watchers: list[Watcher] = []

    def start(source: str, **live: Any) -> Watcher:
        watchers.append(Watcher(source, **live))
        return watchers[-1]

    yield start
    for watcher in watchers:
        watcher.close()
