"""One JSON Lines record for each thing a run produces. Coordinates are rounded here and nowhere else.

Every line is an object whose first key is ``type``: ``run``, ``frame``, ``tracklet``, ``event``,
``camera_end``, ``trajectory`` or ``run_end``. Boxes are xyxy pixels to 0.01, ground positions metres to the
millimetre, times epoch seconds to the microsecond, confidences to 0.0001, cosine distances to 0.000001.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.export.clock import rounded_s
from pipeline.packets import CameraEnd
from tracking.online import Event
from tracking.types import Link, TrackedFrame, Tracklet, TrackletKey, Trajectory

Record = dict[str, Any]


def dumps(value: Any) -> str:
    """Compact JSON; NaN and infinity are refused with ValueError, since JSON has neither."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _list(array: npt.ArrayLike, digits: int) -> list[Any]:
    """Rounded values; -0 is 0."""
    rounded: list[Any] = (np.round(np.asarray(array, dtype=np.float64), digits) + 0.0).tolist()
    return rounded


def key_text(key: TrackletKey) -> list[Any]:
    """A tracklet's key as JSON: ``[camera, local_id]``."""
    return [key.camera_id, int(key.local_id)]


def frame_line(tracked: TrackedFrame) -> Record:
    """The confirmed tracks of one frame: rows of local id, class id, confidence, x0, y0, x1, y1."""
    seen = np.flatnonzero(tracked.confirmed)
    columns = (
        tracked.local_id[seen].tolist(),
        tracked.class_id[seen].tolist(),
        _list(tracked.confidence[seen], 4),
        _list(tracked.xyxy[seen], 2),
    )
    return {
        "type": "frame",
        "camera": tracked.frame.camera_id,
        "frame": int(tracked.frame.frame_index),
        "time_s": rounded_s(tracked.frame.timestamp_s),
        "tracks": [[local, kind, sure, *box] for local, kind, sure, box in zip(*columns, strict=True)],
    }


def tracklet_line(tracklet: Tracklet) -> Record:
    """A tracklet with all its observations, as parallel columns."""
    ground = None if tracklet.ground_xy is None else _ground_rows(tracklet.ground_xy)
    whole = tracklet.key.whole
    origin = {} if whole == tracklet.key else {"split_from": int(whole.local_id)}
    return {
        "type": "tracklet",
        "camera": tracklet.key.camera_id,
        "local_id": int(tracklet.key.local_id),
        **origin,
        "class": int(tracklet.class_id),
        "final": bool(tracklet.is_final),
        "crops": len(tracklet.embedding_quality),
        "frame": tracklet.frame_index.tolist(),
        "time_s": _list(tracklet.timestamp_s, 6),
        "xyxy_px": _list(tracklet.xyxy, 2),
        "confidence": _list(tracklet.confidence, 4),
        "interpolated": np.flatnonzero(tracklet.interpolated).tolist(),
        "ground_m": ground,
    }


def _ground_rows(ground_xy: npt.ArrayLike) -> list[list[float] | None]:
    rows = np.asarray(ground_xy, dtype=np.float64)
    known = np.isfinite(rows[:, 0] + rows[:, 1])
    values = _list(np.where(known[:, None], rows, 0.0), 3)
    return [row if there else None for row, there in zip(values, known.tolist(), strict=True)]


def link_to_json(link: Link) -> Record:
    """A link with its evidence, in the form of the finished document."""
    return {
        "first": key_text(link.first),
        "second": key_text(link.second),
        "reason": link.reason,
        "cosine_distance": _rounded(link.cosine_distance, 6),
        "camera_bias": _rounded(link.camera_bias, 6),
        "max_cosine_distance": _rounded(link.max_cosine_distance, 6),
        "view_agreement": _rounded(link.view_agreement, 3),
        "runner_up_distance": _rounded(link.runner_up_distance, 6),
        "margin": _rounded(link.margin, 6),
        "gap_s": _rounded(link.gap_s, 6),
        "travel_window_s": [_rounded(s, 6) for s in link.travel_window_s] if link.travel_window_s else None,
        "ground_distance_m": _rounded(link.ground_distance_m, 3),
        "crops_used": [int(count) for count in link.crops_used],
        "gates": list(link.gates),
    }


def link_from_json(value: Mapping[str, Any]) -> Link:
    """The inverse of ``link_to_json``."""
    window = value["travel_window_s"]
    return Link(
        first=TrackletKey(*value["first"]),
        second=TrackletKey(*value["second"]),
        cosine_distance=value["cosine_distance"],
        runner_up_distance=value["runner_up_distance"],
        gap_s=value["gap_s"],
        ground_distance_m=value["ground_distance_m"],
        gates=tuple(value["gates"]),
        travel_window_s=None if window is None else (window[0], window[1]),
        crops_used=(value["crops_used"][0], value["crops_used"][1]),
        reason=value["reason"],
        camera_bias=value.get("camera_bias", 0.0),
        max_cosine_distance=value.get("max_cosine_distance"),
        view_agreement=value.get("view_agreement"),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    """Not-finite numbers (an endless window, an unknown distance) become null, and -0 is 0."""
    return None if value is None or not np.isfinite(value) else round(float(value), digits) + 0.0


def trajectory_line(trajectory: Trajectory) -> Record:
    """An identity as the association left it."""
    return {
        "type": "trajectory",
        "global_id": int(trajectory.global_id),
        "class": int(trajectory.class_id),
        "tracklets": [key_text(key) for key in trajectory.tracklets],
        "links": [link_to_json(link) for link in trajectory.links],
    }


def trajectory_from_json(value: Mapping[str, Any]) -> Trajectory:
    """The inverse of ``trajectory_line``."""
    return Trajectory(
        global_id=value["global_id"],
        class_id=value["class"],
        tracklets=tuple(TrackletKey(*key) for key in value["tracklets"]),
        links=tuple(link_from_json(link) for link in value["links"]),
    )


def event_line(event: Event) -> Record:
    """An online decision: the identity's members as they stand, the links of the tracklets it is about."""
    about = set(event.tracklets)
    links = [link for link in event.trajectory.links if about & {link.first, link.second}]
    return {
        "type": "event",
        "kind": event.kind,
        "at_s": _rounded(event.at_s, 6),
        "global_id": int(event.global_id),
        "class": int(event.trajectory.class_id),
        "tracklets": [key_text(key) for key in event.tracklets],
        "members": [key_text(key) for key in event.trajectory.tracklets],
        "links": [link_to_json(link) for link in links],
        "from_id": event.from_id,
        "superseded": event.superseded,
        "reason": event.reason,
    }


def camera_end_line(end: CameraEnd) -> Record:
    """How a camera's source ended."""
    return {"type": "camera_end", **asdict(end)}


def camera_end_from_json(value: Mapping[str, Any]) -> CameraEnd:
    """The inverse of ``camera_end_line``."""
    return CameraEnd(**{name: entry for name, entry in value.items() if name != "type"})


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended: ``complete`` is False after an interruption or an error, ``reason`` says which."""

    complete: bool
    reason: str | None = None


def run_end_line(end: RunEnd) -> Record:
    """The last line of a run that was not killed."""
    return {"type": "run_end", **asdict(end)}


def keys_from_json(values: Sequence[Sequence[Any]]) -> tuple[TrackletKey, ...]:
    """Keys written by ``key_text``."""
    return tuple(TrackletKey(*value) for value in values)
