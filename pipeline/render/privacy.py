"""Which parts of a camera's pictures are blurred: whoever was followed, and whoever was detected at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.export.record import RunRecord
from pipeline.packets import Frame
from pipeline.stages.detection_files import StoredDetections, read_detections
from reid.blur import BlurTarget, blur_areas
from tracking.types import Tracklet

AROUND_S = 0.5
"""How long before its first and after its last box somebody is taken to be there still."""
AROUND_FRAMES = 2
"""Of the frames the detector looked at: a detection also hides its neighbours in time, in which it may have missed."""
MAX_UNSEEN_S = 0.5
"""Between two frames the detector looked at, at most; of what lies in a longer hole nothing is known."""
_LOOSE_MARGIN = 0.3

Boxes = npt.NDArray[np.float64]


def blur_of(record: RunRecord, asked: BlurTarget | None) -> BlurTarget | None:
    """What is blurred: what the run's configuration says, or more if that is asked for, never less."""
    configured = dict(record.header.settings).get("privacy", {}).get("blur", "off")
    wanted = {configured, asked}
    return "bodies" if "bodies" in wanted else "faces" if "faces" in wanted else None


class Veil:
    """Blurs the pictures of one camera, in place, before anything is drawn on them.

    A picture that the run did not look at, before its start, after its end or in a hole, is blurred as a whole.

    Args:
        detections: of all frames, where the run kept them; without them only what became a tracklet is hidden.
    """

    def __init__(
        self, record: RunRecord, camera_id: str, target: BlurTarget, detections: StoredDetections | None
    ) -> None:
        self._target = target
        self._detections = detections
        self._tracklets = [
            tracklet
            for stored in record.trajectories
            for tracklet in stored.tracklets
            if tracklet.camera_id == camera_id
        ]

    def cover(self, frame: Frame) -> None:
        """Hide everybody in ``frame.image``."""
        if not self._was_looked_at(frame):
            height, width = frame.image.shape[:2]
            blur_areas(frame.image, np.array([[0.0, 0.0, width, height]]), "bodies", margin=0.0)
            return
        exact, loose = self._followed(frame.ref.timestamp_s)
        blur_areas(frame.image, exact, self._target)
        blur_areas(frame.image, loose, self._target, _LOOSE_MARGIN)
        blur_areas(frame.image, self._detected(frame.ref.frame_index), self._target)

    def _was_looked_at(self, frame: Frame) -> bool:
        """Whether the detector saw this frame, or one shortly before and one shortly after; else, as far as is known."""
        if self._detections is None:
            seen_s = [(one.start_s, one.end_s) for one in self._tracklets]
            first_s, last_s = (
                min(seen_s, default=(0.0, 0.0))[0],
                max((end for _, end in seen_s), default=-np.inf),
            )
            return bool(first_s - AROUND_S <= frame.ref.timestamp_s <= last_s + AROUND_S)
        seen, at = self._detections.frame_index, self._detections.position_s
        after = int(np.searchsorted(seen, frame.ref.frame_index))
        if after < len(seen) and seen[after] == frame.ref.frame_index:
            return True
        if at is None or not 0 < after < len(seen):
            return False
        return bool(at[after] - at[after - 1] <= MAX_UNSEEN_S)

    def _followed(self, now_s: float) -> tuple[Boxes, Boxes]:
        """Boxes of now, and those of somebody who is about to come or has just left the tracker's sight."""
        exact, loose = [], []
        for one in self._tracklets:
            start_s, end_s = one.start_s, one.end_s
            if start_s <= now_s <= end_s:
                exact.append(_box_at(one, now_s))
            elif start_s - AROUND_S <= now_s <= end_s + AROUND_S:
                loose.append(_box_at(one, now_s))
        return _stacked(exact), _stacked(loose)

    def _detected(self, frame: int) -> Boxes:
        if self._detections is None:
            return _stacked([])
        seen = self._detections.frame_index
        here = int(np.searchsorted(seen, frame))
        near = seen[max(0, here - AROUND_FRAMES) : here + AROUND_FRAMES + 1].tolist()
        return _stacked(box for number in near for box in self._detections.of(number).xyxy)


def _box_at(tracklet: Tracklet, now_s: float) -> Boxes:
    """Between two sights on the straight line; outside of them the nearest."""
    return np.array([np.interp(now_s, tracklet.timestamp_s, side) for side in tracklet.xyxy.T])


def _stacked(boxes: Iterable[npt.ArrayLike]) -> Boxes:
    return np.asarray(list(boxes), np.float64).reshape(-1, 4)


def kept_detections(folder: Path, camera_id: str) -> StoredDetections | None:
    """What the run saved of a camera, or None.

    Raises:
        SourceError: the file is broken; pictures must not be written on half a knowledge.
    """
    path = folder / "detections" / f"{camera_id}.jsonl"
    return read_detections(path) if path.exists() else None
