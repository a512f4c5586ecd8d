"""Sites whose calibrated views overlap: people followed over all of them, from the configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.calibrations import load_calibration
from pipeline.config import Config
from pipeline.export.header import CameraInfo
from tracking.geometry import Calibration
from tracking.sightings import Sightings, overlapping, sightings_of
from tracking.types import Tracklet
from tracking.views import View

log = logging.getLogger(__name__)

PERSON = "person"
"""What is believed of heights and walks holds for people alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """A camera that can take part: full calibration, site, and picture size in px (0 where unknown)."""

    calibration: Calibration
    site: str
    width_px: int
    height_px: int

    def view(self, tracklets: Sequence[Tracklet]) -> View:
        """Where there are no pictures (stored detections), what was seen tells how large they are."""
        boxes = np.concatenate([np.ones((1, 4)), *(one.xyxy for one in tracklets)])
        right, bottom = (int(np.ceil(boxes[:, side].max())) for side in (2, 3))
        return View(self.calibration, self.width_px or right, self.height_px or bottom)


def eyes_of(config: Config, cameras: Sequence[CameraInfo]) -> dict[str, Eye]:
    """The cameras whose full calibration is known; a homography knows no heights.

    Raises:
        ConfigError: a calibration cannot be read.
    """
    size = {camera.id: (camera.width, camera.height) for camera in cameras}
    found = {}
    for camera in config.cameras:
        calibration = load_calibration(camera)
        if calibration is not None and calibration.projection is not None:
            found[camera.id] = Eye(calibration, camera.site, *size.get(camera.id, (0, 0)))
    return found


def people_seen(
    tracklets: Sequence[Tracklet], eyes: Mapping[str, Eye], classes: Sequence[str]
) -> tuple[Sightings, ...]:
    """Follow the people of every group of views that overlap."""
    if PERSON not in classes or len(eyes) < 2:
        return ()
    people = [one for one in tracklets if one.class_id == classes.index(PERSON)]
    views = {name: eye.view([one for one in people if one.camera_id == name]) for name, eye in eyes.items()}
    found = []
    for site in sorted({eye.site for eye in eyes.values()}):
        here = {name: view for name, view in views.items() if eyes[name].site == site}
        for group in overlapping(people, here):
            log.info("association: people are followed over %s together", ", ".join(group))
            found.append(sightings_of(people, {name: here[name] for name in group}))
    return tuple(found)
