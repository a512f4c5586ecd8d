"""Rendered sites read again: the frames of their clips, as encoding left them, with who is in them by the truth.

A camera's stills are sharper than its video: at the bit rates cameras use, what moves is smeared and loses its edges.
And people in recordings walk where the place makes them walk, behind its posts and hedges, in groups.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from samples.labels import Box
from samples.truth import CLASSES

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Seen:
    """One actor in one frame: box in pixels, hidden parts included, and the share of it that is visible."""

    actor_id: int
    class_name: str
    box_xyxy: Box
    visible: float


@dataclass(frozen=True, slots=True)
class Footage:
    """One camera of a rendered site; ``number`` counts from 1."""

    site: Path
    camera_id: str
    number: int
    fps: float

    def seen(self) -> dict[int, list[Seen]]:
        """Everybody in the lines of `samples.truth.TruthRow.mot_line`, by frame from 0."""
        by_frame: dict[int, list[Seen]] = defaultdict(list)
        for line in (self.site / "truth" / f"{self.camera_id}.txt").read_text().splitlines():
            frame, actor, left, top, width, height, _, kind, visible = map(float, line.split(","))
            box = (left, top, left + width, top + height)
            by_frame[int(frame) - 1].append(Seen(int(actor), CLASSES[int(kind) - 1], box, visible))
        return dict(by_frame)

    def frames(self, every_s: float) -> Iterator[tuple[int, Image, list[Seen]]]:
        """A frame every ``every_s`` seconds, in order: its index, the picture (BGR), and who is in it.

        Raises:
            ValueError: the clip has fewer frames than its truth speaks of; the message names it.
        """
        seen, step, index = self.seen(), max(1, round(every_s * self.fps)), 0
        clip = self.site / "clips" / f"{self.camera_id}.mp4"
        video = cv2.VideoCapture(str(clip))
        try:
            while video.grab():  # one after the other: seeking is not exact everywhere
                if index % step == 0:
                    yield index, np.asarray(video.retrieve()[1], np.uint8), seen.get(index, [])
                index += 1
        finally:
            video.release()
        if index <= max(seen, default=-1):
            raise ValueError(f"{clip}: {index} frames, its truth speaks of frame {max(seen) + 1}")


def footage_of(site: Path) -> list[Footage]:
    """The cameras of a site that `samples.recording.render_site` wrote.

    Raises:
        OSError: it lacks ``truth/site.json``.
    """
    entries = json.loads((site / "truth" / "site.json").read_text())["cameras"]
    return [Footage(site, entry["id"], number, entry["fps"]) for number, entry in enumerate(entries, 1)]
