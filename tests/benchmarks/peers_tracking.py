"""Other people's trackers on the same detections, side by side with ours, in one process.

Runs in an environment of its own (``peers_tracking.requirements.txt``)::

    python tests/benchmarks/peers_tracking.py defaults ../shared/data/mot15
    python tests/benchmarks/peers_tracking.py tuned    ../shared/data/mot15 --trials 60 --only ours boxmot-botsort
    python tests/benchmarks/peers_tracking.py drops    ../shared/data/mot15
    python tests/benchmarks/peers_tracking.py speed

No appearance network, no image: camera-motion compensation is off for everyone. One fresh tracker per sequence,
the true frame rate passed where a tracker takes one. Only what is decided online is scored; what our offline
repair makes of it is a row of its own. With ``--json FILE`` every row is kept as soon as it is known, and a run
that was broken off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tracking.mot import MotSequence, read_sequences
from tracking.replay import follow as follow_ours
from tracking.replay import repaired_rows, replay_of
from tracking.scoring import Boxes, combine, score_sequence, summarise
from tracking.tracker import CameraTracker, TrackerConfig
from tracking.tune import config_from, suggest
from tracking.types import Detections, FrameRef

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
Step = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
Params = dict[str, Any]
_IMAGE = np.zeros((1080, 1920, 3), np.uint8)
_COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW")
_AIMS = ("HOTA", "IDF1", "MOTA")


def ours(fps: float, params: Params) -> Step:
    tracker = CameraTracker("camera", config_from(params) if params else TrackerConfig())

    def step(xyxy: np.ndarray, confidence: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        frame = FrameRef("camera", 0, time_s)
        out = tracker.update(frame, Detections(xyxy, confidence, np.zeros(len(xyxy), np.int64)))
        return out.local_id[out.confirmed], out.xyxy[out.confirmed]

    return step


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


# name -> (low, high) to draw from, uniformly; integers stay integers
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
    """One random point of a tracker's space."""
    rng = random.Random(f"{name}/{seed}")
    if name == "ours":
        return suggest(lambda p: _uniform(rng, p.low, p.high, p.logarithmic))
    space = SPACES[name]
    return {
        key: rng.randint(int(low), int(high)) if isinstance(low, int) else rng.uniform(low, high)
        for key, (low, high) in space.items()
    }


def _uniform(rng: random.Random, low: float, high: float, logarithmic: bool) -> float:
    return low * (high / low) ** rng.random() if logarithmic else rng.uniform(low, high)


def follow(
    make: Callable[[float, Params], Step], sequence: MotSequence, params: Params, kept: np.ndarray
) -> Boxes:
    """Run one fresh tracker over the kept frames of a sequence."""
    step = make(sequence.fps, params)
    frames, ids, boxes = [], [], []
    for frame, seen in sequence.frames():
        if not kept[frame.frame_index]:
            continue
        found, xyxy = step(seen.xyxy, seen.confidence, frame.timestamp_s)
        frames.append(np.full(len(found), frame.frame_index + 1))
        ids.append(found)
        boxes.append(xyxy)
    result = Boxes(np.concatenate(frames), np.concatenate(ids), np.concatenate(boxes))
    _, once = np.unique(np.stack((result.frame, result.id)), axis=1, return_index=True)  # some repeat an id
    return Boxes(result.frame[once], result.id[once], result.xyxy[once])


def evaluate(
    name: str, sequences: list[MotSequence], params: Params, drop: float = 0.0, seed: int = 0
) -> dict[str, Any]:
    """Scores of one tracker: totals, and per sequence."""
    raw = {}
    for sequence in sequences:
        kept = np.random.default_rng(seed).random(sequence.num_frames) >= drop
        truth = sequence.truth
        seen = kept[truth.frame - 1]
        result = follow(PEERS[name], sequence, params, kept)
        raw[sequence.name] = score_sequence(
            Boxes(truth.frame[seen], truth.id[seen], truth.xyxy[seen]), result
        )
    return {**summarise(combine(raw)), "sequences": {k: summarise(v) for k, v in raw.items()}}


def defaults(args: argparse.Namespace, kept: Rows) -> None:
    """Every tracker with its own defaults, and ours once more after offline repair."""
    sequences = read_sequences(args.folder)
    for name in _guarded(kept.missing(args.only or PEERS)):
        kept.add({"tracker": name, **evaluate(name, sequences, {})})
    if kept.missing(["ours, repaired offline"]) and "ours" in (args.only or PEERS):
        kept.add({"tracker": "ours, repaired offline", **repaired(sequences)})


def repaired(sequences: list[MotSequence]) -> dict[str, Any]:
    """Scores of our tracklets after split, stitching and interpolation."""
    raw = {}
    for replay in map(replay_of, sequences):
        rows = repaired_rows(follow_ours(replay))
        raw[replay.name] = score_sequence(replay.truth, rows.boxes())
    return {**summarise(combine(raw)), "sequences": {k: summarise(v) for k, v in raw.items()}}


def tuned(args: argparse.Namespace, kept: Rows) -> None:
    """The best of as many random draws for everyone, chosen on the very sequences: by the mean, and by each score."""
    sequences = read_sequences(args.folder)
    for name in _guarded(kept.missing(args.only or ["ours", *SPACES])):
        rows = []
        for seed in range(args.trials):
            params = draw(name, seed)
            rows.append({"params": params, **evaluate(name, sequences, params)})
        best = max(rows, key=lambda row: sum(row[score] for score in _AIMS))
        highest = {f"highest_{score}": max(row[score] for row in rows) for score in _AIMS}
        kept.add({"tracker": name, **best, **highest})
        print(" " * 28, *(f"highest {k.removeprefix('highest_')} {100 * v:.2f}" for k, v in highest.items()))


def drops(args: argparse.Namespace, kept: Rows) -> None:
    """IDF1 with 30 % of the frames gone, averaged over several draws, against none gone."""
    sequences = read_sequences(args.folder)
    for name in _guarded(kept.missing(args.only or PEERS)):
        full = evaluate(name, sequences, {})["IDF1"]
        lossy = [evaluate(name, sequences, {}, 0.3, seed)["IDF1"] for seed in range(args.repeats)]
        after = float(np.mean(lossy))
        kept.add({"tracker": name, "IDF1": full, "IDF1_dropped": after, "fall": full - after})


def synthetic(count: int, num_frames: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Smoothly moving boxes with detection noise, 30 fps, 1920x1080."""
    rng = np.random.default_rng(seed)
    center = rng.uniform((60, 100), (1860, 980), (count, 2))
    speed = rng.normal(0, 60, (count, 2)) / 30
    size = rng.uniform(40, 90, (count, 1)) * (1, 2.2)
    frames = []
    for _ in range(num_frames):
        center += speed
        outside = (center < (60, 100)) | (center > (1860, 980))
        speed[outside] *= -1
        seen = rng.random(count) > 0.05
        noisy = center[seen] + rng.normal(0, 1.5, (int(seen.sum()), 2))
        half = 0.5 * size[seen] * rng.normal(1, 0.02, (int(seen.sum()), 1))
        frames.append(
            (
                np.hstack((noisy - half, noisy + half)).astype(np.float32),
                rng.uniform(0.4, 1, int(seen.sum())).astype(np.float32),
            )
        )
    return frames


def speed(args: argparse.Namespace, kept: Rows) -> None:
    """Milliseconds of processor time per update: medians over frames that all trackers take in turn.

    Whatever else the machine does meets all of them alike, frame by frame.
    """
    names = list(_guarded(args.only or PEERS))
    medians: dict[str, dict[str, float]] = {name: {} for name in names}
    for count in (20, 200):
        times: dict[str, list[float]] = {name: [] for name in names}
        for repeat in range(args.repeats):
            steps = {name: PEERS[name](30.0, {}) for name in names}
            for i, (xyxy, confidence) in enumerate(synthetic(count, 80, seed=repeat)):
                for name, step in steps.items():
                    start = time.process_time()
                    step(xyxy, confidence, i / 30)
                    if i >= 20:
                        times[name].append(time.process_time() - start)
        for name in names:
            medians[name][f"ms_{count}"] = 1e3 * float(np.median(times[name]))
    for name in sorted(names, key=lambda n: medians[n]["ms_20"]):
        kept.add({"tracker": name, **medians[name]})


def _guarded(names: Any) -> Any:
    """Names whose tracker can be made and run here; says which cannot."""
    for name in names:
        try:
            PEERS[name](30.0, {})(np.array([[0, 0, 50, 100.0]], np.float32), np.array([0.9], np.float32), 0.0)
        except Exception as error:
            print(f"{name}: not run: {type(error).__name__}: {str(error)[:150]}", flush=True)
        else:
            yield name


class Rows:
    """Results as they come: printed at once and, with a file, written at once."""

    def __init__(self, path: Path | None, go_on: bool) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []
        if path is not None and path.exists() and go_on:
            self.rows = json.loads(path.read_text())

    def missing(self, names: Iterable[str]) -> list[str]:
        known = {row["tracker"] for row in self.rows}
        return [name for name in names if name not in known]

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        print(_line(row), flush=True)
        if self._path is not None:
            self._path.write_text(json.dumps(self.rows, indent=1))


def _line(row: dict[str, Any]) -> str:
    numbers = {k: v for k, v in row.items() if isinstance(v, float) and (k in _COLUMNS or "HOTA" not in row)}
    whole = {"IDSW": "7.0f", "ms_20": "7.3f", "ms_200": "7.2f"}
    cells = [
        f"{k} {v:{whole[k]}}" if k in whole else f"{k} {100 * v:6.2f}"
        for k, v in sorted(numbers.items(), key=lambda kv: _COLUMNS.index(kv[0]) if kv[0] in _COLUMNS else -1)
    ]
    return "  ".join((f"{row['tracker']:28s}", *cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", choices=["defaults", "tuned", "drops", "speed"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", choices=list(PEERS))
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    kept = Rows(args.json, go_on=args.mode != "speed")
    {"defaults": defaults, "tuned": tuned, "drops": drops, "speed": speed}[args.mode](args, kept)
    if args.mode in ("defaults", "tuned"):
        print("\nbest HOTA first")
        for row in sorted(kept.rows, key=lambda r: -r["HOTA"]):
            print(_line(row))


if __name__ == "__main__":
    main()
