"""HOTA, CLEAR and Identity scores of tracks held in arrays. The only module that knows TrackEval.

Numbers are TrackEval's own (Luiten et al., IJCV 2021; Bernardin & Stiefelhagen, 2008; Ristani et al., 2016);
only its files, folders and prints are bypassed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tracking.boxes import iou_matrix
from tracking.types import IntArray

__all__ = [
    "Boxes",
    "Places",
    "Scores",
    "combine",
    "score_cameras",
    "score_places",
    "score_sequence",
    "summarise",
]

_MIN_IOU = 0.5
_COARSE = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
_HOTA_FIELDS = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")
_CLEAR_FIELDS = ("MOTA", "MOTP")
_CLEAR_COUNTS = {"TP": "CLR_TP", "FN": "CLR_FN", "FP": "CLR_FP"} | {
    n: n for n in ("IDSW", "Frag", "MT", "ML")
}
_IDENTITY_FIELDS = ("IDF1", "IDR", "IDP")


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes with identities over many frames of one camera.

    Attributes:
        frame: ``(N,)`` int64, any base, the same in truth and result.
        id: ``(N,)`` int64; across cameras the same id is the same object.
        xyxy: ``(N, 4)`` float64 px.
    """

    frame: IntArray
    id: IntArray
    xyxy: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", np.asarray(self.frame, dtype=np.int64))
        object.__setattr__(self, "id", np.asarray(self.id, dtype=np.int64))
        object.__setattr__(self, "xyxy", np.asarray(self.xyxy, dtype=np.float64).reshape(-1, 4))
        if not self.frame.shape == self.id.shape == (len(self.xyxy),):
            raise ValueError(
                f"Boxes: expected frame, id (N,) and xyxy (N, 4), "
                f"got {self.frame.shape}, {self.id.shape}, {self.xyxy.shape}"
            )

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def empty(cls) -> Boxes:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)))


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Positions on the floor with identities over many frames.

    Attributes:
        frame: ``(N,)`` int64, any base, the same in truth and result.
        id: ``(N,)`` int64.
        xy: ``(N, 2)`` float64 metres.
    """

    frame: IntArray
    id: IntArray
    xy: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", np.asarray(self.frame, dtype=np.int64))
        object.__setattr__(self, "id", np.asarray(self.id, dtype=np.int64))
        object.__setattr__(self, "xy", np.asarray(self.xy, dtype=np.float64).reshape(-1, 2))
        if not self.frame.shape == self.id.shape == (len(self.xy),):
            raise ValueError(
                f"Places: expected frame, id (N,) and xy (N, 2), "
                f"got {self.frame.shape}, {self.id.shape}, {self.xy.shape}"
            )

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores by name: HOTA, DetA, AssA, MOTA, IDF1, ... as fractions (MOTA may be negative), IDSW, FP, ... as counts.

    Attributes:
        per_camera: each camera by itself.
        combined: TrackEval's total over the cameras, identities matched inside each.
        cross_camera: all cameras laid end to end as one sequence, so that an id must hold across cameras
            (the rule of NVIDIA's MTMC evaluation).
    """

    per_camera: dict[str, dict[str, float]]
    combined: dict[str, float]
    cross_camera: dict[str, float]


def score_cameras(truth: Mapping[str, Boxes], result: Mapping[str, Boxes]) -> Scores:
    """Score every camera, their total, and identities across cameras.

    Args:
        truth: by camera; fixes which cameras are scored, and their order.
        result: by camera; a camera that is missing found nothing.

    Raises:
        ValueError: no truth at all, a result for a camera without truth, or one id twice in a frame.
    """
    unknown = sorted(set(result) - set(truth))
    if unknown or not truth:
        raise ValueError(f"no ground truth for camera(s): {', '.join(unknown) or 'none given at all'}")
    found = {camera: result.get(camera, Boxes.empty()) for camera in truth}
    raw = {camera: score_sequence(boxes, found[camera], camera) for camera, boxes in truth.items()}
    across = score_sequence(*_end_to_end(truth, found), "all cameras")
    per_camera = {camera: summarise(fields) for camera, fields in raw.items()}
    return Scores(per_camera, summarise(combine(raw)), summarise(across))


def score_sequence(
    truth: Boxes, result: Boxes, name: str = "sequence", *, coarse: bool = False
) -> dict[str, Any]:
    """TrackEval's result fields for one sequence, by metric; pass to ``summarise`` or ``combine``.

    With ``coarse`` HOTA is averaged over five of its nineteen thresholds, in half the time: good enough to search by.

    Raises:
        ValueError: one id appears twice in a frame; the message names the sequence, the frame and the id.
    """
    _check_unique(truth, f"{name}: ground truth")
    _check_unique(result, f"{name}: result")
    sides = (truth.frame, truth.id, truth.xyxy), (result.frame, result.id, result.xyxy)
    data = _trackeval_data(*sides, iou_matrix)
    return {metric.get_name(): metric.eval_sequence(data) for metric in _metrics(coarse)}


def score_places(truth: Places, result: Places, gate_m: float) -> dict[str, Any]:
    """As ``score_sequence``, on the floor: a pair ``gate_m`` apart is as similar as boxes that overlap by half.

    Raises:
        ValueError: one id appears twice in a frame, or the gate is not positive.
    """
    if not gate_m > 0:
        raise ValueError(f"gate_m: expected a positive number, got {gate_m}")
    _check_unique(truth, "ground truth")
    _check_unique(result, "result")

    def nearness(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        distance = np.linalg.norm(a[:, None] - b[None], axis=2)
        return np.asarray(np.maximum(1.0 - _MIN_IOU * distance / gate_m, 0.0))

    sides = (truth.frame, truth.id, truth.xy), (result.frame, result.id, result.xy)
    data = _trackeval_data(*sides, nearness)
    return {metric.get_name(): metric.eval_sequence(data) for metric in _metrics()}


def combine(raw: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """TrackEval's total over sequences scored by ``score_sequence``."""
    return {
        metric.get_name(): metric.combine_sequences({name: r[metric.get_name()] for name, r in raw.items()})
        for metric in _metrics()
    }


def summarise(raw: Mapping[str, Any]) -> dict[str, float]:
    """The fields people quote: HOTA's averaged over its thresholds, the others as they are."""
    scores = {field: float(np.mean(raw["HOTA"][field])) for field in _HOTA_FIELDS}
    scores |= {field: float(raw["CLEAR"][field]) for field in _CLEAR_FIELDS}
    scores |= {field: float(raw["Identity"][field]) for field in _IDENTITY_FIELDS}
    return scores | {name: float(raw["CLEAR"][field]) for name, field in _CLEAR_COUNTS.items()}


def _metrics(coarse: bool = False) -> list[Any]:
    from trackeval.metrics import CLEAR, HOTA, Identity  # slow to import, and only scoring needs it

    quiet, hota = {"THRESHOLD": _MIN_IOU, "PRINT_CONFIG": False}, HOTA()
    if coarse:
        hota.array_labels = _COARSE
    return [hota, CLEAR(quiet), Identity(quiet)]


_Side = tuple[IntArray, IntArray, npt.NDArray[np.float64]]
"""Frame, id and geometry of every row."""


def _trackeval_data(truth: _Side, result: _Side, similarity: Callable[..., Any]) -> dict[str, Any]:
    """The dictionary TrackEval's metrics read: per frame ids from 0 and the similarity of every pair.

    Frames empty in both are left out; none of the metrics counts them.
    """
    frames = np.union1d(truth[0], result[0])
    data: dict[str, Any] = {"num_timesteps": len(frames)}
    shapes_at: dict[str, list[Any]] = {}
    for side, (frame, identity, shapes) in (("gt", truth), ("tracker", result)):
        order = np.argsort(frame, kind="stable")
        names, ids = np.unique(identity, return_inverse=True)
        cuts = np.searchsorted(frame[order], frames)[1:]
        data[f"{side}_ids"] = np.split(ids[order], cuts)
        data[f"num_{side}_ids"] = len(names)
        data[f"num_{side}_dets"] = len(shapes)
        shapes_at[side] = np.split(shapes[order], cuts)
    pairs = zip(shapes_at["gt"], shapes_at["tracker"], strict=True)
    data["similarity_scores"] = [similarity(a, b) for a, b in pairs]
    return data


def _check_unique(boxes: Boxes | Places, owner: str) -> None:
    keys, counts = np.unique(np.stack((boxes.frame, boxes.id), axis=1), axis=0, return_counts=True)
    if np.any(counts > 1):
        frame, identity = keys[counts > 1][0]
        raise ValueError(f"{owner}: id {identity} appears more than once in frame {frame}")


def _end_to_end(truth: Mapping[str, Boxes], result: Mapping[str, Boxes]) -> tuple[Boxes, Boxes]:
    """Lay the cameras one after another along the frame axis."""
    shifted: tuple[list[Boxes], list[Boxes]] = ([], [])
    offset = 0
    for camera in truth:
        both = (truth[camera], result[camera])
        frames = np.concatenate([boxes.frame for boxes in both])
        start = frames.min() if len(frames) else 0
        for side, boxes in zip(shifted, both, strict=True):
            side.append(Boxes(boxes.frame - start + offset, boxes.id, boxes.xyxy))
        offset += int(np.ptp(frames)) + 1 if len(frames) else 0
    first, second = (_joined(side) for side in shifted)
    return first, second


def _joined(parts: list[Boxes]) -> Boxes:
    names = ("frame", "id", "xyxy")
    return Boxes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
