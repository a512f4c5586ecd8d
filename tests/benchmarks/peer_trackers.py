"""Other people's trackers behind one call, what can be tuned in each, and ours among them.

No appearance network, no image: camera-motion compensation is off for everyone. ``PEERS[name](fps, params)`` makes a
fresh tracker; it is told the true frame rate where it takes one.
"""

from __future__ import annotations

import logging
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tracking.tracker import CameraTracker, TrackerConfig
from tracking.tune import SPACE as OUR_SPACE
from tracking.tune import config_from
from tracking.types import Detections, FrameRef

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
Step = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
"""Boxes ``(N, 4)``, confidence ``(N,)`` and seconds in; ids ``(K,)`` and boxes ``(K, 4)`` out."""
Params = dict[str, Any]
_IMAGE = np.zeros((1080, 1920, 3), np.uint8)


def ours(fps: float, params: Params) -> Step:
    tracker = CameraTracker("camera", config_from(params) if params else TrackerConfig())

    def step(xyxy: np.ndarray, confidence: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        frame = FrameRef("camera", 0, time_s)
        out = tracker.update(frame, Detections(xyxy, confidence, np.zeros(len(xyxy), np.int64)))
        return out.local_id[out.confirmed], out.xyxy[out.confirmed]

    return step


def unfitted(fps: float, params: Params) -> Step:
    """Ours with every parameter that is searched in the middle of its range: what it does without any fitting."""
    return ours(fps, {p.name: p.at(0.5) for p in OUR_SPACE} | params)


def boxmot(name: str, constructor_defaults: bool = False) -> Callable[[float, Params], Step]:
    def make(fps: float, params: Params) -> Step:
        from boxmot.trackers.factory import create_tracker
        from boxmot.trackers.registry import get_tracker_definition
        from boxmot.trackers.specs import TrackerSpec

        off = {"use_embeddings": False, "use_cmc": False, "cmc_off": True}
        if constructor_defaults:
            import importlib
            import inspect

            module, cls = get_tracker_definition(name).class_path.rsplit(".", 1)
            tracker_class = getattr(importlib.import_module(module), cls)
            known = inspect.signature(tracker_class.__init__).parameters
            extra = {k: v for k, v in {**off, "frame_rate": fps}.items() if k in known}
            tracker = tracker_class(**extra)
        else:
            from boxmot.trackers.config import load_tracker_config

            known = load_tracker_config(name, None, {})
            options = {k: v for k, v in {**off, "frame_rate": round(fps)}.items() if k in known}
            tracker = create_tracker(
                TrackerSpec(name=name, options=tuple(sorted({**options, **params}.items())))
            )

        tracker.apply_cmc = lambda *args, **kwargs: None  # some cannot be told not to

        def step(xyxy: np.ndarray, confidence: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
            rows = np.column_stack((xyxy, confidence, np.zeros(len(xyxy)))).astype(np.float32)
            out = np.asarray(tracker.update(rows, _IMAGE)).reshape(-1, 8)
            return out[:, 4].astype(np.int64), out[:, :4]

        return step

    return make


def roboflow(name: str) -> Callable[[float, Params], Step]:
    def make(fps: float, params: Params) -> Step:
        import inspect

        import supervision as sv
        import trackers

        tracker_class = getattr(trackers, name)
        known = inspect.signature(tracker_class.__init__).parameters
        off = {k: v for k, v in {"enable_cmc": False}.items() if k in known}
        tracker = tracker_class(frame_rate=fps, **{**off, **params})

        def step(xyxy: np.ndarray, confidence: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
            detections = sv.Detections(xyxy.astype(np.float32), None, confidence, np.zeros(len(xyxy), int))
            out = tracker.update(detections)
            if out.tracker_id is None or not len(out):
                return np.zeros(0, np.int64), np.zeros((0, 4))
            known_id = out.tracker_id >= 0
            return out.tracker_id[known_id], out.xyxy[known_id]

        return step

    return make


def ultralytics(name: str) -> Callable[[float, Params], Step]:
    def make(fps: float, params: Params) -> Step:
        import torch
        from ultralytics.engine.results import Boxes as Results
        from ultralytics.trackers.track import TRACKER_MAP
        from ultralytics.utils import YAML, IterableSimpleNamespace
        from ultralytics.utils.checks import check_yaml

        options = YAML.load(check_yaml(f"{name}.yaml")) | {"gmc_method": "none", "with_reid": False} | params
        tracker = TRACKER_MAP[name](args=IterableSimpleNamespace(**options))

        def step(xyxy: np.ndarray, confidence: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
            rows = np.column_stack((xyxy, confidence, np.zeros(len(xyxy)))).astype(np.float32).reshape(-1, 6)
            out = np.asarray(tracker.update(Results(torch.from_numpy(rows), (1080, 1920)).numpy(), _IMAGE))
            out = out.reshape(-1, 8)
            return out[:, 4].astype(np.int64), out[:, :4]

        return step

    return make


def norfair(**defaults: Any) -> Callable[[float, Params], Step]:
    def make(fps: float, params: Params) -> Step:
        import norfair as nf

        options = {"matched_only": False, "distance_threshold": 0.7, **defaults, **params}
        matched_only = options.pop("matched_only")
        tracker = nf.Tracker(distance_function="iou", **options)

        def step(xyxy: np.ndarray, confidence: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
            corners = xyxy.reshape(-1, 2, 2)
            seen = [
                nf.Detection(points=p, scores=np.full(2, c)) for p, c in zip(corners, confidence, strict=True)
            ]
            objects = tracker.update(seen)
            if matched_only:
                objects = [o for o in objects if o.last_detection in seen]
            ids = np.array([o.id for o in objects], np.int64)
            return ids, np.array([o.estimate.reshape(4) for o in objects]).reshape(-1, 4)

        return step

    return make


PEERS: dict[str, Callable[[float, Params], Step]] = {
    "ours": ours,
    "ours@middle": unfitted,
    **{
        f"boxmot-{n}": boxmot(n)
        for n in [
            "bytetrack",
            "botsort",
            "ocsort",
            "sfsort",
            "boosttrack",
            "occluboost",
            "hybridsort",
            "deepocsort",
        ]
    },
    **{
        f"boxmot-{n}@ctor": boxmot(n, True)
        for n in ["bytetrack", "botsort", "ocsort", "boosttrack", "occluboost", "hybridsort"]
    },
    **{
        f"roboflow-{n.removesuffix('Tracker').lower()}": roboflow(n)
        for n in (
            "SORTTracker",
            "ByteTrackTracker",
            "OCSORTTracker",
            "BoTSORTTracker",
            "CBIoUTracker",
            "McByteTracker",
        )
    },
    **{
        f"ultralytics-{n}": ultralytics(n)
        for n in ["bytetrack", "botsort", "ocsort", "deepocsort", "fasttrack", "tracktrack"]
    },
    "norfair-iou": norfair(),
    "norfair-iou@matched": norfair(matched_only=True),
}
"""supervision's own ByteTrack has left that library; its successor is roboflow's."""


# name -> (low, high) to draw from, uniformly; integers stay integers. The thresholds that matter, within or around
# the ranges that the trackers' own configurations give for searching.
_BYTE = {
    "track_high_thresh": (0.3, 0.8),
    "new_track_thresh": (0.3, 0.95),
    "track_buffer": (10, 90),
    "match_thresh": (0.5, 0.98),
}
_ROBOFLOW = {
    "lost_track_buffer": (10, 90),
    "track_activation_threshold": (0.4, 0.95),
    "minimum_consecutive_frames": (1, 5),
    "high_conf_det_threshold": (0.4, 0.9),
}
_STAGES = {
    "minimum_iou_threshold_first_assoc": (0.05, 0.5),
    "minimum_iou_threshold_second_assoc": (0.2, 0.7),
    "minimum_iou_threshold_unconfirmed_assoc": (0.1, 0.6),
}
_OCSORT = {
    "det_thresh": (0.3, 0.8),
    "max_age": (10, 60),
    "min_hits": (1, 5),
    "delta_t": (1, 5),
    "inertia": (0.1, 0.4),
}
SPACES: dict[str, dict[str, tuple[float, float]]] = {
    "boxmot-botsort": {**_BYTE, "second_match_thresh": (0.1, 0.9), "unconfirmed_match_thresh": (0.1, 0.9)},
    "boxmot-bytetrack": {"track_thresh": (0.4, 0.9), "match_thresh": (0.5, 0.98), "track_buffer": (10, 90)},
    "boxmot-occluboost": {
        "max_age": (10, 150),
        "det_thresh": (0.4, 0.9),
        "iou_threshold": (0.05, 0.5),
        "new_track_thresh": (0.4, 0.95),
        "confirm_hits": (1, 6),
        "instant_confirm_thresh": (0.5, 0.999),
        "lambda_iou": (0.1, 2.0),
        "lambda_mhd": (0.1, 2.0),
        "lambda_shape": (0.1, 2.0),
    },
    "boxmot-boosttrack": {
        "max_age": (10, 90),
        "min_hits": (1, 5),
        "det_thresh": (0.4, 0.9),
        "iou_threshold": (0.05, 0.5),
        "lambda_iou": (0.1, 2.0),
        "lambda_mhd": (0.1, 2.0),
        "lambda_shape": (0.1, 2.0),
    },
    "boxmot-ocsort": dict(_OCSORT),
    "boxmot-deepocsort": {**_OCSORT, "iou_threshold": (0.1, 0.4)},
    "boxmot-hybridsort": {
        "det_thresh": (0.3, 0.8),
        "track_thresh": (0.3, 0.9),
        "max_age": (10, 240),
        "min_hits": (1, 5),
        "iou_threshold": (0.1, 0.5),
        "delta_t": (1, 5),
    },
    "boxmot-sfsort": {
        "high_th": (0.4, 0.9),
        "match_th_first": (0.4, 0.67),
        "new_track_th": (0.6, 0.95),
        "low_th": (0.05, 0.4),
        "match_th_second": (0.1, 0.6),
        "marginal_timeout": (0, 60),
        "central_timeout": (0, 60),
    },
    "ultralytics-botsort": dict(_BYTE),
    "ultralytics-bytetrack": dict(_BYTE),
    "roboflow-cbiou": {
        **_ROBOFLOW,
        **_STAGES,
        "buffer_ratio_first": (0.05, 0.6),
        "buffer_ratio_second": (0.1, 0.9),
    },
    "roboflow-mcbyte": {**_ROBOFLOW, **_STAGES},
    "roboflow-botsort": {**_ROBOFLOW, **_STAGES},
    "roboflow-sort": {
        "lost_track_buffer": (10, 90),
        "track_activation_threshold": (0.1, 0.9),
        "minimum_consecutive_frames": (1, 4),
        "minimum_iou_threshold": (0.05, 0.7),
    },
    "roboflow-bytetrack": {**_ROBOFLOW, "minimum_iou_threshold": (0.05, 0.5)},
    "roboflow-ocsort": {
        "lost_track_buffer": (10, 90),
        "minimum_consecutive_frames": (1, 5),
        "minimum_iou_threshold": (0.05, 0.5),
        "direction_consistency_weight": (0.0, 0.6),
        "high_conf_det_threshold": (0.4, 0.9),
    },
    "norfair-iou@matched": {
        "distance_threshold": (0.4, 0.95),
        "hit_counter_max": (5, 60),
        "initialization_delay": (0, 4),
    },
}


def draw(name: str, seed: int) -> Params:
    """One random point of a tracker's space; the one of seed 0 is its defaults."""
    if seed == 0:
        return {}
    rng = random.Random(f"{name}/{seed}")
    if name == "ours":
        return {p.name: p.at(rng.random()) for p in OUR_SPACE}
    space = SPACES[name]
    return {
        key: rng.randint(int(low), int(high)) if isinstance(low, int) else rng.uniform(low, high)
        for key, (low, high) in space.items()
    }
