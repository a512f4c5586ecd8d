"""One thread per camera: decodes ahead into a bounded buffer.

Recorded sources block while the buffer is full, so nothing is lost; live ones drop the oldest frame and count it, and
frames that waited for too long are never given. The thread always ends with its camera's :class:`CameraEnd`, whatever
happened, and no call blocks without a timeout.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import replace
from typing import Protocol, runtime_checkable

from pipeline.errors import SourceError
from pipeline.packets import CameraEnd, Frame
from pipeline.sources.health import CameraHealth, RateMeter
from pipeline.sources.site_clock import SITE_CLOCK
from pipeline.sources.source import Source, SourceInfo

POLL_S = 0.2

log = logging.getLogger(__name__)


@runtime_checkable
class _Live(Protocol):
    """What a live source can do beyond others."""

    share: float
    frames_shed: int

    def health(self) -> CameraHealth: ...


class Reader:
    """Runs ``source`` in a thread; ``next`` gives its frames in order and its end last.

    Args:
        buffer_frames: decoded frames waiting at most.
        stop: ends this reader and all others.
    """

    def __init__(self, source: Source, buffer_frames: int, stop: threading.Event) -> None:
        self.camera_id = source.camera_id
        self.came = 0.0
        self.decode_s = 0.0
        self.frames_dropped = 0
        self.frames_decoded = 0
        self.frames_late = 0
        self.frames_used = 0
        self._source = source
        self._stop = stop
        self._left = threading.Event()
        self._arrived = threading.Event()
        self._max_wait_s = float("inf")
        self._buffer: queue.Queue[tuple[Frame | CameraEnd, float]] = queue.Queue(maxsize=buffer_frames)
        self._meter = RateMeter()
        self._last_used_s: float | None = None
        self._has_ended = self._is_given_up = False
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"reader-{source.camera_id}", daemon=True)

    @property
    def info(self) -> SourceInfo:
        """What the source says of itself; a live one knows its size from the first frame on."""
        return self._source.info

    def attend(self, arrived: threading.Event, max_wait_s: float) -> None:
        """Set ``arrived`` whenever something can be taken; live frames that waited longer than that are dropped."""
        self._arrived = arrived
        self._max_wait_s = max_wait_s if self.info.is_live else float("inf")

    def start(self) -> None:
        """Begin reading; once."""
        if self._thread.ident is None:
            self._thread.start()

    def next(self, timeout_s: float) -> Frame | CameraEnd | None:
        """The next frame or the end; None where nothing came in time."""
        try:
            item, put_s = self._buffer.get(timeout=timeout_s) if timeout_s else self._buffer.get_nowait()
            while isinstance(item, Frame) and time.monotonic() - put_s > self._max_wait_s:
                self.frames_dropped += 1
                item, put_s = self._buffer.get_nowait()
        except queue.Empty:
            return None
        if isinstance(item, Frame):
            self.came = put_s
            self.frames_used += 1
            self._last_used_s = item.ref.timestamp_s
        return item

    @property
    def frames_offered(self) -> int:
        """Frames that came and were wanted, whatever became of them."""
        shed = self._source.frames_shed if isinstance(self._source, _Live) else 0
        return self.frames_used + self.frames_late + self.frames_dropped + shed + self._buffer.qsize()

    def late(self) -> None:
        """The frame just given came too late and is not used after all."""
        self.frames_late += 1
        self.frames_used -= 1

    def shed(self, share: float) -> None:
        """Live: use only ``share`` of the frames from now on, evenly spread."""
        if isinstance(self._source, _Live):
            self._source.share = share

    def leave(self) -> None:
        """End this camera alone; its end comes as if the source had run out."""
        self._left.set()
        self.hurry()

    def hurry(self) -> None:
        """Do not let it wait for its camera any more; a recording is only ever closed by its own thread."""
        if self.info.is_live:
            self._source.close()

    def health(self) -> CameraHealth:
        """This camera's counters now; any thread may ask."""
        live, now_s = self._source, time.monotonic()
        if isinstance(live, _Live):
            health = live.health()
            dropped = health.frames_dropped + self.frames_dropped
            lag_s = 0.0 if self._last_used_s is None else max(0.0, SITE_CLOCK.now_s() - self._last_used_s)
        else:
            health = CameraHealth(
                self.camera_id,
                "live",
                is_live=False,
                frames_in=self.frames_decoded,
                frames_skipped=self._source.frames_skipped,
                fps_in=self._meter.per_second(now_s),
                width=self.info.width,
                height=self.info.height,
                clock_kind="recorded",
            )
            dropped, lag_s = self.frames_dropped, 0.0
        return replace(
            health,
            state="ended" if self._has_ended else health.state,
            frames_used=self.frames_used,
            frames_dropped=dropped,
            frames_late=self.frames_late,
            queued=self._buffer.qsize(),
            lag_s=lag_s,
        )

    def join(self, timeout_s: float = 10.0) -> None:
        """Wait for the thread; the stop event must be set, or the end have been read."""
        self.hurry()
        if self._thread.ident is None or self._is_given_up:
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._is_given_up = True
            log.warning("camera %s: its reader did not end within %g s", self.camera_id, timeout_s)

    def _run(self) -> None:
        error: str | None = None
        try:
            self._read()
        except SourceError as fault:
            error = str(fault)
        except Exception as fault:  # an edge: whatever a decoder throws ends this camera, not the run
            log.exception("camera %s: its reader failed", self.camera_id)
            error = f"camera {self.camera_id}: {type(fault).__name__}: {fault}"
        finally:
            self._source.close()
            self._error = error
            self._has_ended = True
            self._put(self.end())

    def _read(self) -> None:
        frames = iter(self._source)
        # A live source mostly waits for its camera: only this thread's own work counts as decoding.
        clock = time.thread_time if self.info.is_live else time.perf_counter
        while not self._stop.is_set() and not self._left.is_set():
            began = clock()
            frame = next(frames, None)
            self.decode_s += clock() - began
            if frame is None:
                return
            self.frames_decoded += 1
            self._meter.count(self.frames_decoded, time.monotonic())
            self._put(frame)

    def _put(self, item: Frame | CameraEnd) -> None:
        while True:
            try:
                self._buffer.put((item, time.monotonic()), timeout=0.0 if self.info.is_live else POLL_S)
                self._arrived.set()
                return
            except queue.Full:
                if self.info.is_live or self._stop.is_set():
                    self._drop_oldest()

    def _drop_oldest(self) -> None:
        try:
            self._buffer.get_nowait()
        except queue.Empty:
            return
        self.frames_dropped += 1

    def end(self) -> CameraEnd:
        """How the camera ended; complete once the thread has."""
        interrupted = self._stop.is_set() or self._left.is_set()
        error = self._error
        if error is None and not interrupted and self.frames_decoded == 0:
            error = f"camera {self.camera_id}: not one frame could be decoded"
        return CameraEnd(
            camera_id=self.camera_id,
            frames_decoded=self.frames_decoded,
            frames_declared=self.info.frames_declared,
            frames_skipped=self._source.frames_skipped,
            truncated=self._source.truncated and not interrupted,
            error=error,
        )
