"""Video files through PyAV (FFmpeg): the only importer of ``av`` that decodes.

Times are the container's own presentation times as exact fractions, never ``frame / int(fps)``. FFmpeg ends a cut-off
file exactly like a complete one, so what the container declares is held against what was read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.config import CameraConfig
from pipeline.errors import SourceError
from pipeline.packets import Frame, Image
from pipeline.sources.lead_in import ONE_PICTURE_EACH, lead_in
from pipeline.sources.pixels import BgrPictures
from pipeline.sources.source import Selection, SourceInfo, site_origin_s
from tracking.types import FrameRef

RAW_FORMATS = {"h264", "hevc", "m4v", "mjpeg", "av1", "obu", "ivf_raw"}
"""Formats without a clock: their frame rate must be configured."""

log = logging.getLogger(__name__)
av.logging.set_level(av.logging.PANIC)  # FFmpeg's own lines name no camera; we count and report instead


class VideoSource:
    """One video file: MP4, AVI, MKV, raw .264 and whatever else FFmpeg reads.

    Raises:
        SourceError: the file is missing, empty, not a video, or a raw stream without a configured ``fps``.
    """

    def __init__(self, camera: CameraConfig) -> None:
        self.camera_id = camera.id
        self.frames_skipped = 0
        self.truncated = False
        self._path = Path(camera.source)
        self._origin_s = site_origin_s(camera)
        self._selection = Selection(camera)
        self._container = self._open()
        self._stream = self._video_stream()
        self._fps = self._frame_rate(camera.fps)
        self._is_even = self._has_clock and self._stream.base_rate == self._stream.average_rate
        self._bgr = BgrPictures()
        self._first_s: float | None = None
        self._packets = 0
        self._pictures_out = 0
        self._broke_off = False
        self._key_pts: int | None = None
        codec = self._stream.codec_context
        self._turns = self._quarter_turns()
        size = (codec.height, codec.width) if self._turns % 2 else (codec.width, codec.height)
        self.info = SourceInfo(
            width=size[0],
            height=size[1],
            fps=self._selection.rate(float(self._fps)),
            frames_declared=self._selection.expected(self._frames_in_header(), float(self._fps)),
        )

    def _fault(self, what: str) -> SourceError:
        return SourceError(f"camera {self.camera_id}: {self._path}: {what}")

    def _open(self) -> Any:
        if not self._path.is_file():
            raise self._fault("no such file")
        if self._path.stat().st_size == 0:
            raise self._fault("the file is empty (0 bytes)")
        try:
            return av.open(str(self._path), options={"fflags": "+genpts"})
        except (av.FFmpegError, ValueError) as error:
            raise self._fault(f"not a readable video ({_reason(error)})") from error

    def _video_stream(self) -> Any:
        if not self._container.streams.video:
            raise self._fault("holds no video stream")
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            raise self._fault("FFmpeg has no decoder for its video stream")
        return stream

    def _frame_rate(self, configured: float | None) -> Fraction:
        """The configured rate for a raw stream, else what the container declares; only a fallback for times."""
        self._has_clock = self._container.format.name not in RAW_FORMATS
        if not self._has_clock:
            if configured is None:
                raise self._fault("a raw stream has no clock: give the camera's fps")
            return Fraction(configured).limit_denominator(100_000)
        declared = self._stream.average_rate or self._stream.guessed_rate
        return Fraction(declared) if declared else Fraction(configured or 25).limit_denominator(100_000)

    def _quarter_turns(self) -> int:
        """How often pictures are turned left to stand upright: phones film sideways and say so with each picture."""
        if not self._has_clock:
            return 0
        with self._open() as container:
            try:
                picture = next(container.decode(video=0), None)
            except av.FFmpegError:
                return 0  # iterating will tell
        return 0 if picture is None else round(picture.rotation / 90) % 4

    def _frames_in_header(self) -> int | None:
        """Frames the whole file declares: a count where there is one, else its duration times its rate."""
        if self._stream.frames:
            return int(self._stream.frames)
        seconds = self._declared_duration_s()
        return None if seconds is None else round(seconds * self._fps)

    def _declared_duration_s(self) -> float | None:
        if self._stream.duration:
            return float(self._stream.duration) * float(self._stream.time_base)
        if self._container.duration and self._has_clock:
            return float(self._container.duration) / int(av.time_base)
        return None

    def __iter__(self) -> Iterator[Frame]:
        packets = self._from_start()
        index, position_s = self._pictures_out - 1, -1.0
        for picture in self._pictures(packets):
            position_s = self._position_s(picture, index, position_s)
            index = self._index(index, position_s)
            if self._selection.is_over(position_s):
                return
            if picture is not None and self._selection.wants(position_s):
                ref = FrameRef(self.camera_id, index, self._origin_s + position_s)
                yield Frame(ref, self._upright(self._bgr.of(picture)))
        self.frames_skipped += max(0, self._packets - self._pictures_out)
        self.truncated = self._is_short(position_s)

    def _upright(self, image: Image) -> Image:
        return np.ascontiguousarray(np.rot90(image, self._turns)) if self._turns else image

    def _position_s(self, picture: Any | None, previous: int, previous_s: float) -> float:
        """Seconds since the first picture; ascending even where the file's clock stands still or jumps back."""
        step_s = float(1 / self._fps)
        if not self._has_clock:
            return round(float((previous + 1) / self._fps), 6)
        time_s = None if picture is None else picture.time
        if time_s is None:
            return round(max(previous_s, -step_s) + step_s, 6) if previous >= 0 else 0.0
        if self._first_s is None:
            self._first_s = time_s - max(previous + 1, 0) * step_s
        position_s = round(time_s - self._first_s, 6)
        return position_s if position_s > previous_s + 1e-6 else round(previous_s + step_s, 6)

    def _index(self, previous: int, position_s: float) -> int:
        """The frame's number: by its time where frames are evenly spaced, so that a damaged one leaves a gap."""
        if not self._is_even:
            return previous + 1
        return max(previous + 1, round(position_s * float(self._fps)))

    def _from_start(self) -> Iterator[Any]:
        """Packets from the last key frame at or before ``start_s``, those before it counted; from the first where in doubt."""
        start_s = self._selection.start_s
        if start_s == 0 or not self._has_clock or self._stream.codec_context.name not in ONE_PICTURE_EACH:
            return self._demuxed()
        packets = self._demuxed()
        way = lead_in(packets, start_s)
        if way is None or not way.held:
            self._container.close()
            self._container, self._packets, self._broke_off = self._open(), 0, False
            self._stream = self._video_stream()
            return self._demuxed()
        self._pictures_out, self._key_pts = way.pictures_before, way.key_pts
        self._first_s = float(way.first_pts * self._stream.time_base)
        return chain(way.held, packets)

    def _is_before_key(self, pts: int | None) -> bool:
        return self._key_pts is not None and pts is not None and pts < self._key_pts

    def _pictures(self, packets: Iterator[Any]) -> Iterator[Any | None]:
        """Decoded pictures in presentation order; None is one that cannot be decoded. Both are counted."""
        for packet in packets:
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                pictures = [] if self._is_before_key(packet.pts) else [None]
            for picture in pictures:
                if picture is not None and self._is_before_key(picture.pts):
                    continue
                self._pictures_out += 1
                is_bad = picture is None or bool(picture.is_corrupt)
                self.frames_skipped += is_bad
                yield None if is_bad else picture

    def _demuxed(self) -> Iterator[Any]:
        """Packets, the flushing empty one last even where the file breaks off in the middle of one."""
        try:
            for packet in self._container.demux(self._stream):
                self._packets += packet.size > 0 and not packet.is_discard
                yield packet
        except av.FFmpegError as error:
            log.warning("camera %s: %s: reading stopped: %s", self.camera_id, self._path, _reason(error))
            self._broke_off = True
            yield av.Packet()

    def _is_short(self, last_s: float) -> bool:
        """Whether the file declares more than was in it; half a second of slack where only a duration is declared."""
        if self._broke_off:
            return True
        if self._stream.frames:
            return self._packets < int(self._stream.frames)
        declared_s = self._declared_duration_s()
        return declared_s is not None and last_s + float(1 / self._fps) < declared_s - 0.5

    def close(self) -> None:
        self._container.close()


def _reason(error: Exception) -> str:
    """FFmpeg's own words without the file name it repeats."""
    return str(getattr(error, "strerror", None) or error)
