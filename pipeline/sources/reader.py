"""One thread per camera: decodes ahead into a bounded buffer.

Recorded sources block while the buffer is full, so nothing is lost; live ones drop the oldest frame and count it. The
thread always ends with its camera's :class:`CameraEnd`, whatever happened, and no call blocks without a timeout.
"""

from __future__ import annotations

import logging
import queue
import threading
import time

from pipeline.errors import SourceError
from pipeline.packets import CameraEnd, Frame
from pipeline.sources.source import Source, SourceInfo

POLL_S = 0.2

log = logging.getLogger(__name__)


class Reader:
    """Runs ``source`` in a thread; ``next`` gives its frames in order and its end last."""

    def __init__(self, source: Source, buffer_frames: int, stop: threading.Event) -> None:
        self.camera_id = source.camera_id
        self.info: SourceInfo = source.info
        self.decode_s = 0.0
        self.frames_dropped = 0
        self.frames_decoded = 0
        self._source = source
        self._stop = stop
        self._buffer: queue.Queue[Frame | CameraEnd] = queue.Queue(maxsize=buffer_frames)
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"reader-{source.camera_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def next(self, timeout_s: float) -> Frame | CameraEnd | None:
        """The next frame or the end; None where nothing came in time."""
        try:
            return self._buffer.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def join(self, timeout_s: float = 10.0) -> None:
        """Wait for the thread; the stop event must be set, or the end have been read."""
        if self.info.is_live:
            self._source.close()  # it may be waiting for its camera; a recording is only ever closed by its thread
        self._thread.join(timeout_s)
        if self._thread.is_alive():
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
            self._put(self.end())

    def _read(self) -> None:
        frames = iter(self._source)
        while not self._stop.is_set():
            began = time.perf_counter()
            frame = next(frames, None)
            self.decode_s += time.perf_counter() - began
            if frame is None:
                return
            self.frames_decoded += 1
            self._put(frame)

    def _put(self, item: Frame | CameraEnd) -> None:
        while True:
            try:
                self._buffer.put(item, timeout=POLL_S)
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
        interrupted = self._stop.is_set()
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
