"""Which source each camera's configuration means."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pipeline.config import CameraConfig, Config
from pipeline.errors import SourceError
from pipeline.packets import CameraEnd
from pipeline.sources.images import ImageSource, is_images
from pipeline.sources.replay import ReplaySource
from pipeline.sources.source import Source
from pipeline.stages.detection_files import StoredDetections, pattern_path, read_detections

log = logging.getLogger(__name__)


def needs_pixels(config: Config) -> bool:
    """Whether anything looks at pictures; replayed detections and embeddings do not."""
    networks = config.detector.backend != "replay" or config.embedder.backend not in ("replay", "off")
    return networks or any(camera.moving for camera in config.cameras)


def stored_detections(config: Config) -> dict[str, StoredDetections]:
    """What ``detector: replay`` replays, by camera; nothing for the other back ends.

    Raises:
        SourceError: every file that is missing or broken.
    """
    pattern = config.detector.detections
    if config.detector.backend != "replay" or pattern is None:
        return {}
    found, faults = {}, []
    for camera in config.cameras:
        try:
            found[camera.id] = read_detections(pattern_path(pattern, camera.id))
        except SourceError as error:
            faults.append(f"camera {camera.id}: {error}")
    if faults:
        raise SourceError("\n".join(faults))
    return found


def open_source(camera: CameraConfig, stored: StoredDetections | None = None, first_frame: int = 0) -> Source:
    """Open a camera; with ``stored`` detections its pictures are not touched at all.

    Args:
        first_frame: number of a live camera's first frame.

    Raises:
        SourceError: it cannot be read; the message names camera and file.
    """
    if stored is not None:
        return ReplaySource(camera, stored)
    if camera.is_live:
        from pipeline.sources.live import LiveSource

        return LiveSource(camera, first_frame)
    if is_images(camera.source):
        return ImageSource(camera)
    from pipeline.sources.video import VideoSource  # FFmpeg is loaded only where it is needed

    return VideoSource(camera)


def open_sources(
    cameras: Sequence[CameraConfig], stored: Mapping[str, StoredDetections]
) -> tuple[list[Source], list[CameraEnd]]:
    """Open what can be opened, by camera name; what cannot is told and given as ended cameras.

    Raises:
        SourceError: nothing can be opened.
    """
    sources: list[Source] = []
    failed: list[CameraEnd] = []
    for camera in sorted(cameras, key=lambda one: one.id):
        try:
            sources.append(open_source(camera, stored.get(camera.id)))
        except SourceError as error:
            failed.append(CameraEnd(camera.id, 0, None, 0, truncated=False, error=str(error)))
    if not sources:
        raise SourceError("\n".join(str(end.error) for end in failed))
    for end in failed:
        log.error("%s; the other cameras go on, the result will be incomplete", end.error)
    return sources, failed
