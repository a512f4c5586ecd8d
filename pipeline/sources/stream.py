"""One connection to a live camera through FFmpeg: RTSP, RTSPS, HTTP/MJPEG, HLS, RTMP, UDP and local devices.

Every blocking call has a timeout. Pictures come with the times needed to tell when they were taken; which are PyAV's
side data ``prft``, FFmpeg's reckoning of the last RTCP sender report (``rtcp_sr``) for each packet.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av

from pipeline.config import LiveConfig
from pipeline.sources.catch_up import CatchUp
from pipeline.sources.site_clock import SITE_CLOCK

BACKLOG_S = 1.0
READY_S = 0.004
DAMAGED_S = 3.0
TIMES_KEPT = 64
PRFT = struct.Struct("<qi")
REFUSALS = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
"""Answers that will not change by asking again soon."""

av.logging.set_level(av.logging.PANIC)  # FFmpeg's own lines name no camera and show credentials


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    Attributes:
        frame: PyAV's ``VideoFrame``.
        media_s: presentation time in the stream.
        camera_s: the camera's wall clock when it was taken, epoch seconds, where it says so.
        arrival_s: site time right after it was read.
        is_backlog: it had been waiting when the connection was made, so ``arrival_s`` says nothing.
    """

    frame: Any
    media_s: float
    camera_s: float | None
    arrival_s: float
    is_backlog: bool


class Stream:
    """An open connection.

    Attributes:
        frames_skipped: packets and pictures that could not be decoded.
        frames_passed: pictures not decoded because the reader had fallen behind.

    Raises:
        av.FFmpegError, OSError: it cannot be opened.
    """

    def __init__(self, source: str, live: LiveConfig, closed: threading.Event) -> None:
        self.frames_skipped = 0
        self._live = live
        self._closed = closed
        name, form = _location(source)
        timeouts = (live.open_timeout_s, live.read_timeout_s)
        options = _options(source, live)
        self._container: Any = av.open(name, format=form, options=options, timeout=timeouts)
        if not self._container.streams.video:
            self.close()
            raise OSError("the stream has no video")
        self._video = self._container.streams.video[0]
        self._video.codec_context.thread_count = 1  # many cameras share the cores; more threads add latency
        self._is_paced = "hls" in self._container.format.name
        self._first: tuple[float, float] | None = None
        self._catch_up = CatchUp()
        self._whole = time.monotonic()

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return str(self._video.codec_context.name)

    @property
    def frames_passed(self) -> int:
        return self._catch_up.passed

    def pictures(self) -> Iterator[Picture]:
        """Pictures until the stream ends or is closed.

        Raises:
            av.FFmpegError, OSError: the stream broke, hangs, or only sends what cannot be decoded.
        """
        opened = last = time.monotonic()
        camera_times: dict[int, float] = {}
        is_backlog = not self._is_paced
        for packet, waited_s in self._packets():
            arrival_s, now = SITE_CLOCK.now_s(), time.monotonic()
            is_backlog = is_backlog and waited_s < READY_S and now - opened < BACKLOG_S
            if packet.pts is not None and (camera_s := _producer_time_s(packet)) is not None:
                camera_times[packet.pts] = camera_s
            if self._is_passed_over(packet, now):
                last = now
                continue
            for frame in self._decoded(packet):
                if frame.pts is None:
                    continue  # before a stream's first time stamp
                media_s, last = float(frame.pts * frame.time_base), now
                arrival_s = self._paced(media_s, arrival_s)
                yield Picture(frame, media_s, camera_times.pop(frame.pts, None), arrival_s, is_backlog)
            for pts in sorted(camera_times)[:-TIMES_KEPT]:
                del camera_times[pts]
            if now - last > self._live.read_timeout_s:
                raise OSError(f"no picture for {self._live.read_timeout_s:g} s")

    def _packets(self) -> Iterator[tuple[Any, float]]:
        """Packets and the seconds each was waited for."""
        packets = self._container.demux(self._video)
        while not self._closed.is_set():
            began = time.monotonic()
            packet = next(packets, None)
            if packet is None or self._closed.is_set():
                return
            yield packet, time.monotonic() - began

    def _is_passed_over(self, packet: Any, now: float) -> bool:
        if self._is_paced or packet.pts is None:
            return False
        media_s = float(packet.pts * packet.time_base)
        return self._catch_up.passes_over(media_s, now, is_key=packet.is_keyframe)

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self.frames_skipped += 1
            return []
        shown = [frame for frame in frames if self._is_fit(frame)]
        self.frames_skipped += len(frames) - len(shown)
        return shown

    def _is_fit(self, frame: Any) -> bool:
        """Damaged pictures are not shown, unless there are no others: some cameras never send a whole key frame."""
        now = time.monotonic()
        if not frame.is_corrupt:
            self._whole = now
            return True
        return now - self._whole >= DAMAGED_S

    def _paced(self, media_s: float, arrival_s: float) -> float:
        """HLS arrives a segment at a time: play it out at its own pace; this gives the moment of playing."""
        if not self._is_paced:
            return arrival_s
        if self._first is None or arrival_s > self._first[0] + media_s - self._first[1]:
            self._first = arrival_s, media_s
        due_s = self._first[0] + media_s - self._first[1]
        self._closed.wait(min(max(0.0, due_s - arrival_s), self._live.read_timeout_s))
        return due_s

    def close(self) -> None:
        self._container.close()


def reason_of(error: Exception) -> str:
    """Why a stream cannot be opened or broke, in words, without the address that FFmpeg repeats."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error)


def _location(source: str) -> tuple[str, str | None]:
    """FFmpeg's name and input format of a source: devices need their format named."""
    return (source, "v4l2") if source.startswith("/dev/") else (source, None)


def _options(source: str, live: LiveConfig) -> dict[str, str]:
    """FFmpeg's options for a source. RTSP needs no probing: the description names the codec, the decoder finds the rest,
    and half a second of probing would be half a second more without a camera."""
    scheme = source.split("://", 1)[0].lower()
    if scheme in ("rtsp", "rtsps"):
        return {
            "rtsp_transport": live.transport,
            "allowed_media_types": "video",  # a second stream would have FFmpeg shift the first one's times
            "analyzeduration": "1",
            "probesize": "32",
            "fpsprobesize": "0",
        }
    if source.split("?", 1)[0].lower().endswith((".m3u8", ".m3u")):
        return {"live_start_index": "-1"}
    # MJPEG over HTTP and devices have no useful times of their own.
    return {"use_wallclock_as_timestamps": "1"} if scheme in ("http", "https") or source[0] == "/" else {}


def _producer_time_s(packet: Any) -> float | None:
    """Wall clock of the camera for this packet (AVProducerReferenceTime, microseconds since 1970), or None."""
    if not packet.has_sidedata("prft"):
        return None
    microseconds, _flags = PRFT.unpack_from(bytes(packet.get_sidedata("prft")))
    return float(microseconds) / 1e6
