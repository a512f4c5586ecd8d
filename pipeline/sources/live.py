"""Live cameras through FFmpeg: RTSP, RTSPS, HTTP/MJPEG, HLS, UDP and local devices; they come back by themselves.

A lost, hanging or refused stream is opened again for ever, with exponential back-off and jitter. Every blocking
call has a timeout. Frames carry the time they were taken, not the time we got round to them.
"""

from __future__ import annotations

import logging
import random
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import av

from pipeline.config import CameraConfig
from pipeline.packets import Frame
from pipeline.secrets import masked
from pipeline.sources.source import SourceInfo
from pipeline.sources.stream_clock import StreamClock
from pipeline.sources.watchdog import PictureWatchdog
from tracking.types import FrameRef

FIRST_WAIT_S = 0.5
STEADY_S = 10.0
PRFT = struct.Struct("<qi")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class StreamHealth:
    """What is to be known of one live stream at any moment; read by metrics and the status table."""

    state: Literal["connecting", "live", "frozen", "black", "lost"] = "connecting"
    reconnects: int = 0
    last_error: str = ""
    last_frame_s: float = 0.0
    clock: str = "arrival"
    clock_error_s: float = 0.0
    clock_jumps: int = 0
    drift_ppm: float = 0.0


class LiveSource:
    """One live camera. Opening never fails: a camera that is down is one that has not come back yet."""

    def __init__(self, camera: CameraConfig) -> None:
        self.camera_id = camera.id
        self.info = SourceInfo(width=0, height=0, fps=camera.max_fps, frames_declared=None, is_live=True)
        self.frames_skipped = 0
        self.truncated = False
        self.health = StreamHealth()
        self._camera = camera
        self._clock = StreamClock(latency_s=camera.live.latency_s, max_error_s=camera.live.max_clock_error_s)
        self._watchdog = PictureWatchdog(camera.live.freeze_s)
        self._closed = threading.Event()
        self._frame_index = -1
        self._due_s = float("-inf")

    def __iter__(self) -> Iterator[Frame]:
        wait_s = FIRST_WAIT_S
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                yield from self._connection()
            except (av.FFmpegError, OSError, ValueError) as error:
                self._lost(error)
            if time.monotonic() - began > STEADY_S:
                wait_s = FIRST_WAIT_S
            self._closed.wait(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, self._camera.live.max_backoff_s)

    def _lost(self, error: Exception) -> None:
        if self._closed.is_set():
            return
        reason = masked(str(getattr(error, "strerror", None) or error))
        if reason != self.health.last_error or self.health.state != "lost":
            log.warning("camera %s: stream lost (%s); trying again", self.camera_id, reason)
        self.health.last_error, self.health.state = reason, "lost"
        self.health.reconnects += 1

    def _connection(self) -> Iterator[Frame]:
        """Frames until the stream breaks, hangs, ends or shows nothing new for too long."""
        self._clock.restart()
        self._watchdog.restart()
        container = self._open()
        try:
            for picture, camera_s, arrival_s in self._pictures(container):
                frame = self._frame(picture, camera_s, arrival_s)
                if frame is not None:
                    yield frame
                self._refuse_dead_picture()
        finally:
            container.close()
        raise OSError("the stream ended")

    def _open(self) -> Any:
        live = self._camera.live
        options = {"rtsp_transport": live.transport, "fflags": "nobuffer", "rw_timeout": str(int(live.read_timeout_s * 1e6))}
        timeouts = (live.open_timeout_s, live.read_timeout_s)
        source, form = _location(self._camera.source)
        return av.open(source, format=form, options=options, timeout=timeouts)

    def _pictures(self, container: Any) -> Iterator[tuple[Any, float | None, float]]:
        """Decoded pictures with the camera's wall clock, where it gives one, and the time of arrival."""
        camera_times: dict[int, float] = {}
        for packet in container.demux(container.streams.video[0]):
            arrival_s = time.time()
            if self._closed.is_set():
                return
            if packet.pts is not None and (camera_s := _producer_time_s(packet)) is not None:
                camera_times[packet.pts] = camera_s
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                self.frames_skipped += 1
                continue
            for picture in pictures:
                yield picture, camera_times.pop(picture.pts, None), arrival_s
            if len(camera_times) > 64:
                camera_times.clear()

    def _frame(self, picture: Any, camera_s: float | None, arrival_s: float) -> Frame | None:
        media_s = arrival_s if picture.time is None else float(picture.time)
        time_s = self._clock.site_time_s(media_s, arrival_s, camera_s)
        self._frame_index += 1
        if self._frame_index % self._camera.every_nth or time_s < self._due_s - 1e-3:
            return None
        if self._camera.max_fps:
            self._due_s = max(self._due_s, time_s - 1 / self._camera.max_fps) + 1 / self._camera.max_fps
        image = picture.to_ndarray(format="bgr24")
        self._note(image, time_s)
        return Frame(FrameRef(self.camera_id, self._frame_index, time_s), image)

    def _note(self, image: Any, time_s: float) -> None:
        health, clock = self.health, self._clock
        if health.state == "lost":
            log.info("camera %s: stream is back", self.camera_id)
        health.state = self._watchdog.look(image, time.monotonic())
        health.last_frame_s = time_s
        health.clock, health.clock_error_s, health.drift_ppm = clock.kind, clock.error_s, clock.drift_ppm
        if clock.jumps != health.clock_jumps:
            log.warning("camera %s: its clock jumped; corrected", self.camera_id)
            health.clock_jumps = clock.jumps

    def _refuse_dead_picture(self) -> None:
        if self.health.state in ("frozen", "black") and self._camera.live.reopen_frozen:
            raise OSError(f"the picture is {self.health.state} for {self._camera.live.freeze_s:g} s")

    def close(self) -> None:
        self._closed.set()


def _location(source: str) -> tuple[str, str | None]:
    """FFmpeg's name and input format of a source: devices need their format named."""
    return (source, "v4l2") if source.startswith("/dev/video") else (source, None)


def _producer_time_s(packet: Any) -> float | None:
    """Wall clock of the camera for this packet (FFmpeg's AVProducerReferenceTime, microseconds), or None."""
    if not packet.has_sidedata("prft"):
        return None
    microseconds, _flags = PRFT.unpack_from(bytes(packet.get_sidedata("prft")))
    return float(microseconds) / 1e6
