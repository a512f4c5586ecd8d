"""Other people's trackers on the same detections, side by side with ours, in one process.

Runs in an environment of its own (``peers_tracking.requirements.txt``)::

    python tests/benchmarks/peers_tracking.py defaults ../shared/data/mot15
    python tests/benchmarks/peers_tracking.py tuned    ../shared/data/mot15 --trials 40 --only ours boxmot-botsort
    python tests/benchmarks/peers_tracking.py drops    ../shared/data/mot15 --repeats 30
    python tests/benchmarks/peers_tracking.py speed

One fresh tracker per sequence. Only what is decided online is scored; what our offline repair makes of it is a row of
its own. With ``--json FILE`` every result is appended as soon as it is known, and a run that was broken off, or that
``--minutes`` ended (exit code 75), goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peer_trackers import PEERS, SPACES, Params, draw

from tracking.mot import MotSequence, read_sequences
from tracking.replay import follow as follow_ours
from tracking.replay import repaired_rows, replay_of
from tracking.scoring import Boxes, combine, score_sequence, summarise

_COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW")
_AIMS = ("HOTA", "IDF1", "MOTA")
_RUNGS = ((1.0, 1 / 12), (0.15, 1 / 3), (0.05, 1.0))
"""Successive halving: which share of the trials is run on which share of every sequence, from its start."""
_DROPPED = 0.3
_REPAIRED = "ours, repaired offline"
Row = dict[str, Any]


def follow(name: str, sequence: MotSequence, params: Params, kept: np.ndarray) -> Boxes:
    """Run one fresh tracker over the kept frames of a sequence."""
    step = PEERS[name](sequence.fps, params)
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
    name: str,
    sequences: list[MotSequence],
    params: Params,
    share: float = 1.0,
    drop: float = 0.0,
    seed: int = 0,
    every_frame: bool = False,
) -> Row:
    """Scores of one tracker on the first ``share`` of every sequence: totals, and per sequence.

    Against the truth of the frames that it was given, or of ``every_frame``.
    """
    raw = {}
    for sequence in sequences:
        count = sequence.num_frames
        kept = np.random.default_rng(seed).random(count) >= drop
        kept[math.ceil(share * count) :] = False
        truth = sequence.truth
        seen = kept[truth.frame - 1] | every_frame
        result = follow(name, sequence, params, kept)
        raw[sequence.name] = score_sequence(
            Boxes(truth.frame[seen], truth.id[seen], truth.xyxy[seen]), result, coarse=share < 1.0
        )
    return {**summarise(combine(raw)), "sequences": {k: summarise(v) for k, v in raw.items()}}


def repaired(sequences: list[MotSequence], drop: float = 0.0, seed: int = 0) -> Row:
    """Scores of our tracklets after split, stitching and interpolation, against the truth of every frame."""
    raw = {}
    for replay in map(replay_of, sequences):
        rows = repaired_rows(follow_ours(replay.thinned(drop, seed)))
        raw[replay.name] = score_sequence(replay.truth, rows.boxes())
    return {**summarise(combine(raw)), "sequences": {k: summarise(v) for k, v in raw.items()}}


def defaults(args: argparse.Namespace, known: Known) -> None:
    """Every tracker with its own defaults, and ours once more after offline repair."""
    sequences = read_sequences(args.folder)
    rows = [_full(name, sequences, known) for name in _runnable(args.only or PEERS, known)]
    if "ours" in (args.only or PEERS):
        rows.append(_repaired(sequences, known))
    _show(rows)


def _repaired(sequences: list[MotSequence], known: Known) -> Row:
    return {"tracker": _REPAIRED, **known.once("defaults", _REPAIRED, None, lambda: repaired(sequences))}


def _full(name: str, sequences: list[MotSequence], known: Known) -> Row:
    row = known.once("defaults", name, None, lambda: evaluate(name, sequences, {}))
    return {"tracker": name, **row}


def tuned(args: argparse.Namespace, known: Known) -> None:
    """The best of as many trials for everyone, ours too: defaults and random draws, narrowed down in three rungs.

    The first rung runs all trials on a twelfth of every sequence, the second the best of them on a third, the last
    the best of those, and the defaults, on everything. Best is the mean of HOTA, IDF1 and MOTA: chosen on the very
    sequences it is quoted for, for everyone.
    """
    sequences = read_sequences(args.folder)
    rows = [_tune(n, args.trials, sequences, known) for n in _runnable(args.only or ["ours", *SPACES], known)]
    _show(rows)


def _tune(name: str, trials: int, sequences: list[MotSequence], known: Known) -> Row:
    seeds, scores = list(range(trials)), {}
    for part, share in _RUNGS:
        seeds = sorted(seeds, key=lambda seed: -scores.get(seed, 0.0))[: max(1, round(part * trials))]
        if share == 1.0:
            seeds = sorted({0, *seeds})
        rows = {seed: _trial(name, seed, share, sequences, known) for seed in seeds}
        scores = {seed: sum(row[aim] for aim in _AIMS) for seed, row in rows.items()}
    best = max(seeds, key=lambda seed: scores[seed])
    return {"tracker": name, "params": draw(name, best), **rows[best]}


def _trial(name: str, seed: int, share: float, sequences: list[MotSequence], known: Known) -> Row:
    if seed == 0 and share == 1.0:
        return _full(name, sequences, known)
    what = f"trial {seed} on {share:.3f}"
    return known.once("tuned", name, what, lambda: evaluate(name, sequences, draw(name, seed), share))


def drops(args: argparse.Namespace, known: Known) -> None:
    """IDF1 with 30 % of the frames gone, in several draws, against none gone.

    ``--tuned``: of what ``tuned`` finds best. ``--every-frame``: against the truth of the frames that are gone too, and
    our offline repair in a row of its own: it tells where people were when the camera told nothing.
    """
    sequences = read_sequences(args.folder)
    names = args.only or (["ours", *SPACES] if args.tuned else PEERS)
    whole: dict[str, Row] = {}
    for name in _runnable(names, known):
        whole[name] = _tune(name, args.trials, sequences, known) if args.tuned else _full(name, sequences, known)
    if args.every_frame and "ours" in whole:
        whole[_REPAIRED] = _repaired(sequences, known)
    left: dict[str, list[float]] = {name: [] for name in whole}
    for seed in range(args.repeats):
        for name, row in whole.items():
            params = row.get("params") or {}
            left[name].append(_lossy(name, params, seed, sequences, known, args.every_frame)["IDF1"])
    print("\nfall of IDF1, smallest first: mean, least and most of the draws; IDF1 with all frames, and what is left")
    for name in sorted(whole, key=lambda n: whole[n]["IDF1"] - np.mean(left[n])):
        fall = 100 * (whole[name]["IDF1"] - np.array(left[name]))
        ends = f"{100 * whole[name]['IDF1']:6.2f} {100 * np.mean(left[name]):6.2f}"
        print(f"{name:28s} {fall.mean():6.2f} {fall.min():6.2f} {fall.max():6.2f}   {ends}")


def _lossy(
    name: str, params: Params, seed: int, sequences: list[MotSequence], known: Known, every_frame: bool
) -> Row:
    what = f"draw {seed}" + (f", {json.dumps(params)}" if params else "")

    def make() -> Row:
        if name == _REPAIRED:
            return repaired(sequences, _DROPPED, seed)
        return evaluate(name, sequences, params, 1.0, _DROPPED, seed, every_frame)

    return known.once("drops, every frame" if every_frame else "drops", name, what, make)


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


def speed(args: argparse.Namespace, known: Known) -> None:
    """Milliseconds of processor time per update: medians over frames that all trackers take in turn.

    Whatever else the machine does meets all of them alike, frame by frame.
    """
    names = list(_runnable(args.only or PEERS, known))
    medians: dict[str, dict[str, float]] = {name: {} for name in names}
    for count in (20, 200):
        times: dict[str, list[float]] = {name: [] for name in names}
        for repeat in range(args.repeats):
            steps = {name: PEERS[name](30.0, {}) for name in names}
            for i, (xyxy, confidence) in enumerate(synthetic(count, args.frames, seed=repeat)):
                for name, step in steps.items():
                    start = time.process_time()
                    step(xyxy, confidence, i / 30)
                    if i >= 20:
                        times[name].append(time.process_time() - start)
        for name in names:
            medians[name][f"ms_{count}"] = 1e3 * float(np.median(times[name]))
    for name in sorted(names, key=lambda n: medians[n]["ms_20"]):
        ms = medians[name]
        print(f"{name:28s} {ms['ms_20']:7.3f} ms at 20 objects {ms['ms_200']:7.2f} ms at 200", flush=True)


def _runnable(names: Any, known: Known) -> Iterator[str]:
    """Names whose tracker can be made and run here; says which cannot."""
    for name in names:
        known.check_time()
        try:
            PEERS[name](30.0, {})(np.array([[0, 0, 50, 100.0]], np.float32), np.array([0.9], np.float32), 0.0)
        except Exception as error:
            print(f"{name}: not run: {type(error).__name__}: {str(error)[:150]}", flush=True)
        else:
            yield name


class Known:
    """Results by mode, tracker and what was tried, kept in a file of JSON lines if there is one."""

    def __init__(self, path: Path | None, minutes: float) -> None:
        self._path, self._end = path, time.monotonic() + 60 * minutes
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._rows = {tuple(row.pop("key")): row for row in map(json.loads, lines)}

    def once(self, mode: str, tracker: str, what: str | None, make: Any) -> Row:
        """The row of that name, made only if it is not known yet."""
        key = (mode, tracker, what)
        if key not in self._rows:
            self.check_time()
            self._rows[key] = row = make()
            print(_line({"tracker": f"{tracker} {what or ''}", **row}), flush=True)
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(json.dumps({"key": key, **row}) + "\n")
        return self._rows[key]

    def check_time(self) -> None:
        if time.monotonic() > self._end:
            sys.exit(75)


def _show(rows: list[Row]) -> None:
    print("\nbest HOTA first")
    for row in sorted(rows, key=lambda r: -r["HOTA"]):
        print(_line(row), row.get("params") or "")


def _line(row: Row) -> str:
    cells = [f"{k} {row[k]:5.0f}" if k == "IDSW" else f"{k} {100 * row[k]:6.2f}" for k in _COLUMNS]
    return "  ".join((f"{row['tracker']:28s}", *cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = {"defaults": defaults, "tuned": tuned, "drops": drops, "speed": speed}
    parser.add_argument("mode", choices=modes)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", choices=list(PEERS))
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--tuned", action="store_true", help="drops: of the best that tuned finds in --trials")
    parser.add_argument("--every-frame", action="store_true", help="drops: the truth of lost frames counts")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frames", type=int, default=80, help="speed: per repeat, the first 20 unmeasured")
    parser.add_argument("--json", type=Path, help="JSON lines; what is in it is not run again")
    parser.add_argument("--minutes", type=float, default=math.inf)
    args = parser.parse_args()
    modes[args.mode](args, Known(args.json, args.minutes))


if __name__ == "__main__":
    main()
