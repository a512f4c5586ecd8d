"""Live cameras: they come back by themselves, and their frames carry the time they were taken.

A lost, hanging, refused, frozen or black stream is opened again for ever, with exponential back-off and jitter.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import av
import cv2
import numpy as np

from pipeline.config import CameraConfig
from pipeline.packets import Frame, Image
from pipeline.secrets import masked
from pipeline.sources.backoff import Backoff
from pipeline.sources.health import CameraHealth, CameraState, RateMeter
from pipeline.sources.pixels import BgrPictures
from pipeline.sources.source import Selection, SourceInfo
from pipeline.sources.stream import REFUSALS, Picture, Stream, reason_of
from pipeline.sources.stream_clock import StreamClock
from pipeline.sources.watchdog import PictureWatchdog
from tracking.types import FrameRef

DRIFT_PPM = 500.0
"""A clock that gains or loses more is told of: crystals do not, so something else is wrong."""

log = logging.getLogger(__name__)


class LiveSource:
    """One live camera. Opening never fails: a camera that is down is one that has not come back yet.

    Args:
        first_frame: number of its first frame: one that comes back to a running run goes on where it left.

    Attributes:
        share: of the wanted frames that is used, in (0, 1]; lowered from outside where the machine is too slow.
        frames_shed: frames not used because of that, or not even decoded because the machine had fallen behind.
    """

    def __init__(self, camera: CameraConfig, first_frame: int = 0) -> None:
        self.camera_id = camera.id
        self.info = SourceInfo(width=0, height=0, fps=camera.max_fps, frames_declared=None, is_live=True)
        self.truncated = False
        self.share = 1.0
        self.frames_shed = 0
        self._camera = camera
        self._clock = StreamClock(latency_s=camera.live.latency_s, max_error_s=camera.live.max_clock_error_s)
        self._watchdog = PictureWatchdog(camera.live.freeze_s)
        self._selection = Selection(camera)
        self._pictures = BgrPictures()
        self._backoff = Backoff(camera.live.max_backoff_s)
        self._closed = threading.Event()
        self._state: CameraState = "connecting"
        self._seen = time.monotonic()
        self._opened_s: float | None = None
        self._meter = RateMeter()
        self._frame_index = first_frame - 1
        self._credit = 1.0
        self._size: tuple[int, int] | None = None
        self._skipped_before = 0
        self._stream: Stream | None = None
        self._reconnects = 0
        self._codec = self._last_error = ""
        self._jumps_told = 0
        self._is_drift_told = False

    # -- the stream

    def __iter__(self) -> Iterator[Frame]:
        asked_for = False
        while not self._closed.is_set():
            began, is_refused, self._opened_s = time.monotonic(), False, None
            self._clock.restart()
            self._watchdog.restart(asked_for=asked_for)
            try:
                yield from self._connection()
                asked_for = self._watchdog.wants_reopening(time.monotonic())
            except (av.FFmpegError, OSError, ValueError) as error:
                asked_for, is_refused = False, isinstance(error, REFUSALS)
                self._lost(reason_of(error))
            except Exception as error:  # an edge: nothing that a decoder throws ends a live camera
                log.debug("camera %s", self.camera_id, exc_info=True)
                asked_for = False
                self._lost(f"{type(error).__name__}: {error}")
            if not asked_for:
                self._pause(began, is_refused)

    def _pause(self, began: float, is_refused: bool) -> None:
        """Wait before the next attempt; the last one began at ``began``."""
        now, opened = time.monotonic(), self._opened_s
        held_s, tried_s = (0.0, now - began) if opened is None else (now - opened, 0.0)
        self._closed.wait(self._backoff.wait_s(held_s, tried_s=tried_s, is_refused=is_refused))

    def _connection(self) -> Iterator[Frame]:
        """Frames until the stream breaks, hangs, ends or shows nothing new for too long."""
        self._stream = stream = Stream(self._camera.source, self._camera.live, self._closed)
        self._codec, self._opened_s = stream.codec, time.monotonic()
        try:
            passed = 0
            for picture in stream.pictures():
                passed = self._passed_over(stream, passed)
                frame = self._frame(picture)
                if frame is not None:
                    yield frame
                if self._camera.live.reopen_frozen and self._watchdog.wants_reopening(time.monotonic()):
                    self._lost(f"the picture is {self._watchdog.state}")
                    return
        finally:
            self._stream = None
            self._skipped_before += stream.frames_skipped
            stream.close()
        if not self._closed.is_set():
            raise OSError("the stream ended")

    def _lost(self, reason: str) -> None:
        if self._closed.is_set():
            return
        reason = masked(reason)
        if reason != self._last_error or self._state != "lost":
            log.warning("camera %s: stream lost (%s); trying again for ever", self.camera_id, reason)
        self._last_error, self._state = reason, "lost"
        self._reconnects += 1

    # -- one picture

    def _frame(self, picture: Picture) -> Frame | None:
        time_s = self._clock.site_time_s(picture.media_s, picture.arrival_s, picture.camera_s)
        if picture.is_backlog:
            return None
        self._arrived()
        if not self._selection.wants(time_s):
            return None
        self._credit += self.share
        if self._credit < 1.0:
            self.frames_shed += 1
            return None
        self._credit = min(self._credit - 1.0, 1.0)
        image = self._sized(self._pictures.of(picture.frame))
        self._look(image)
        return Frame(FrameRef(self.camera_id, self._frame_index, time_s), image)

    def _passed_over(self, stream: Stream, before: int) -> int:
        """Count what the stream passed over since it was ``before``."""
        passed = stream.frames_passed
        self._frame_index += passed - before
        self.frames_shed += passed - before
        return passed

    def _arrived(self) -> None:
        self._frame_index += 1
        self._seen = time.monotonic()
        self._meter.count(self._frame_index + 1, self._seen)
        if self._state != "live":
            if self._state == "lost":
                log.info("camera %s: the stream is back", self.camera_id)
            self._state = "live"
        self._tell_of_the_clock()

    def _tell_of_the_clock(self) -> None:
        clock = self._clock
        if clock.jumps != self._jumps_told:
            self._jumps_told = clock.jumps
            log.warning("camera %s: its clock jumped; its times are corrected", self.camera_id)
        if not self._is_drift_told and self._frame_index % 256 == 0 and abs(clock.drift_ppm) > DRIFT_PPM:
            self._is_drift_told = True
            log.warning("camera %s: its clock drifts by %.0f ppm", self.camera_id, clock.drift_ppm)

    def _sized(self, image: Image) -> Image:
        """The picture in the size of the camera's first one, which regions, calibration and tracks count on."""
        height, width = image.shape[:2]
        if self._size is None:
            self._size = width, height
            self.info = SourceInfo(width, height, self.info.fps, None, is_live=True)
        if (width, height) == self._size:
            return image
        return np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

    def _look(self, image: Image) -> None:
        before = self._watchdog.state
        state = self._watchdog.look(image, time.monotonic())
        if state != before:
            told = "shows something again" if state == "live" else f"the picture is {state}"
            log.warning("camera %s: %s", self.camera_id, told)

    # -- from outside

    @property
    def frames_skipped(self) -> int:
        """Pictures that could not be decoded, over all connections."""
        stream = self._stream
        return self._skipped_before + (stream.frames_skipped if stream is not None else 0)

    def health(self) -> CameraHealth:
        """What the source itself knows; the reader adds what became of its frames."""
        now, clock = time.monotonic(), self._clock
        width, height = self._size or (0, 0)
        return CameraHealth(
            camera_id=self.camera_id,
            state="ended" if self._closed.is_set() else self._state,
            picture=self._watchdog.state,
            frames_in=self._frame_index + 1,
            frames_dropped=self.frames_shed,
            frames_skipped=self.frames_skipped,
            reconnects=self._reconnects,
            silent_s=now - self._seen,
            fps_in=self._meter.per_second(now),
            width=width,
            height=height,
            codec=self._codec,
            clock_kind=clock.kind,
            clock_error_s=clock.error_s,
            clock_jumps=clock.jumps,
            drift_ppm=clock.drift_ppm,
            last_error=self._last_error,
        )

    def close(self) -> None:
        self._closed.set()
