"""Truth and results in the forms people have them, cut down to what may be scored against each other.

Frames are compared by their 0-based position in the camera's source; MOT files count from 1. Rows of the
truth that are marked as not scored (column 7 is 0: too hidden, too small, a distractor) cost nothing, found
or not: a result box that fits such a row better than any scored one is left out (the rule of MOTChallenge's
    preparation of results).
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ConfigError, ExportError
from pipeline.export.aicity import camera_numbers
from pipeline.export.mot import mot_files
from pipeline.export.reader import read_run
from pipeline.export.record import observations
from pipeline.export.rows import numbered_lines, numbers
from tracking.assignment import assign
from tracking.boxes import iou_matrix
from tracking.scoring import Boxes, Scores, score_cameras
from tracking.types import BoolArray, IntArray

_MIN_IOU = 0.5


@dataclass(frozen=True, slots=True)
class CameraTruth:
    """What is true of one camera.

    Attributes:
        boxes: frames from 0, ids that are the same in every camera.
        is_scored: ``(N,)`` bool; the others may be found or not.
        class_names: ``(N,)`` names, or None where the truth has none.
        num_frames: frames that were looked at, or None: those from the first to the last row.
    """

    boxes: Boxes
    is_scored: BoolArray
    class_names: tuple[str, ...] | None = None
    num_frames: int | None = None

    def frame_range(self) -> tuple[int, int]:
        """First and last frame that count."""
        if self.num_frames is not None:
            return 0, self.num_frames - 1
        frames = self.boxes.frame
        return (int(frames.min()), int(frames.max())) if len(frames) else (0, -1)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found: boxes by camera, and the classes it looked for, where that is known."""

    boxes: dict[str, Boxes]
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores, and what was left out of them.

    Attributes:
        scores: per camera and across cameras.
        ignored: result boxes on truth that is not scored, by camera.
        outside: result boxes in frames without truth, by camera.
        notes: cameras that only one side knows, in words.
    """

    scores: Scores
    ignored: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def evaluate(truth: Path, result: Path) -> Evaluation:
    """Score a result against a truth.

    Args:
        truth: a sample site's folder (``truth/site.json``), a folder of MOT files, or an AI City text.
        result: ``trajectories.json``, or a folder of MOT files.

    Raises:
        ConfigError: one of them is not there, or they share no camera.
        ExportError: one of them is malformed; names file and line.
    """
    for path in (truth, result):
        if not path.exists():
            raise ConfigError(f"{path}: no such file or folder")
    found = read_result(result)
    return score(read_truth(truth, found.boxes), found)


def score(truth: Mapping[str, CameraTruth], result: Result) -> Evaluation:
    """Score what both sides know.

    Raises:
        ConfigError: they share no camera.
        ExportError: one id stands twice in a frame.
    """
    if not set(truth) & set(result.boxes):
        names = ", ".join(sorted(truth)), ", ".join(sorted(result.boxes))
        raise ConfigError("truth and result share no camera: truth has {}; the result has {}".format(*names))
    asked = {camera: _of_classes(known, result.classes) for camera, known in truth.items()}
    kept, ignored, outside = {}, {}, {}
    for camera, wanted in asked.items():
        boxes = result.boxes.get(camera, Boxes.empty())
        first, last = wanted.frame_range()
        inside = _rows(boxes, (boxes.frame >= first) & (boxes.frame <= last))
        kept[camera] = without_ignored(wanted, inside)
        outside[camera], ignored[camera] = len(boxes) - len(inside), len(inside) - len(kept[camera])
    scored = {camera: _rows(wanted.boxes, wanted.is_scored) for camera, wanted in asked.items()}
    try:
        scores = score_cameras(scored, kept)
    except ValueError as error:
        raise ExportError(str(error)) from error
    return Evaluation(scores, ignored, outside, tuple(_notes(truth, result)))


def _notes(truth: Mapping[str, CameraTruth], result: Result) -> Iterable[str]:
    for camera in sorted(set(result.boxes) - set(truth)):
        yield f"camera {camera} of the result has no truth: not scored"
    for camera in sorted(set(truth) - set(result.boxes)):
        yield f"camera {camera} of the truth is not in the result: all of it counts as missed"


def _of_classes(truth: CameraTruth, classes: tuple[str, ...] | None) -> CameraTruth:
    """Truth of classes that the run did not look for is not scored."""
    if truth.class_names is None or classes is None:
        return truth
    looked_for = np.isin(np.asarray(truth.class_names, dtype=np.str_), classes)
    return replace(truth, is_scored=truth.is_scored & looked_for)


def _rows(boxes: Boxes, index: Any) -> Boxes:
    return Boxes(boxes.frame[index], boxes.id[index], boxes.xyxy[index])


def without_ignored(truth: CameraTruth, result: Boxes) -> Boxes:
    """Leave out result boxes that are matched to truth that is not scored, each frame by itself."""
    keep = np.ones(len(result), np.bool_)
    rows_of = _by_frame(truth.boxes.frame)
    for frame, found in _by_frame(result.frame).items():
        known = rows_of.get(frame)
        if known is None or truth.is_scored[known].all():
            continue
        overlap = iou_matrix(truth.boxes.xyxy[known], result.xyxy[found])
        rows, columns = assign(1 - overlap, 1 - _MIN_IOU)
        keep[found[columns[~truth.is_scored[known[rows]]]]] = False
    return _rows(result, keep)


def _by_frame(frames: IntArray) -> dict[int, IntArray]:
    order = np.argsort(frames, kind="stable")
    names, starts = np.unique(frames[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True)) if len(frames) else {}


# -- results


def read_result(path: Path) -> Result:
    """A ``trajectories.json`` or a folder of MOT files."""
    if path.is_dir():
        return Result({camera: _read_mot_truth(file).boxes for camera, file in mot_files(path).items()})
    record = read_run(path)
    table = observations(record)
    boxes = {}
    for camera in record.camera_ids():
        rows = table[table.camera == camera]
        boxes[camera] = Boxes(rows.frame, rows.global_id, rows.xyxy.astype(np.float32))
    return Result(boxes, record.header.classes)


# -- truth


def read_truth(path: Path, result_cameras: Iterable[str] = ()) -> dict[str, CameraTruth]:
    """The truth of every camera.

    Args:
        path: see :func:`evaluate`.
        result_cameras: the names that camera numbers of an AI City text stand for.
    """
    if path.is_file():
        return _read_aicity_truth(path, list(result_cameras))
    for folder in (path / "truth", path):
        if (folder / "site.json").is_file():
            return _read_site(folder)
    return {camera: _read_mot_truth(file) for camera, file in mot_files(path).items()}


def _read_site(folder: Path) -> dict[str, CameraTruth]:
    path = folder / "site.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        classes = tuple(about["classes"])
        cameras = {
            one["id"]: (about["duration_s"] - one["start_offset_s"]) * one["fps"] for one in about["cameras"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path}: not the description of a sample site: {error!r}") from error
    found = {}
    for camera, frames in cameras.items():
        truth = _read_mot_truth(folder / f"{camera}.txt", classes)
        last = int(truth.boxes.frame.max()) + 1 if len(truth.boxes) else 0
        found[camera] = replace(truth, num_frames=max(last, int(np.ceil(frames))))
    return found


def _read_mot_truth(path: Path, classes: tuple[str, ...] | None = None) -> CameraTruth:
    rows = [(number, numbers(path, number, line, 6)) for number, line in numbered_lines(path)]
    for number, row in rows:
        if row[0] < 1:
            raise ExportError(f"{path}:{number}: frames count from 1, got {row[0]:g}")
        if classes is not None and not (len(row) > 7 and 1 <= row[7] <= len(classes)):
            raise ExportError(f"{path}:{number}: column 8 is not a class from 1 to {len(classes)}")
    table = np.array([row[:6] for _, row in rows], np.float64).reshape(-1, 6)
    scored = np.array([len(row) < 7 or row[6] != 0 for _, row in rows], np.bool_)
    names = None if classes is None else tuple(classes[int(row[7]) - 1] for _, row in rows)
    boxes = np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], axis=1)
    frames, ids = table[:, 0].astype(np.int64) - 1, table[:, 1].astype(np.int64)
    return CameraTruth(Boxes(frames, ids, boxes.astype(np.float32)), scored, names, _sequence_length(path))


def _sequence_length(path: Path) -> int | None:
    """``seqLength`` of the ``seqinfo.ini`` that stands beside a sequence's ``gt`` folder."""
    info = path.parent.parent / "seqinfo.ini"
    if path.parent.name != "gt" or not info.is_file():
        return None
    parser = configparser.ConfigParser()
    try:
        parser.read(info)
        return parser.getint("Sequence", "seqLength")
    except (configparser.Error, ValueError) as error:
        raise ExportError(f"{info}: has no number seqLength in [Sequence]: {error}") from error


def _read_aicity_truth(path: Path, result_cameras: list[str]) -> dict[str, CameraTruth]:
    name = {number: camera for camera, number in camera_numbers(result_cameras).items()}
    rows = [numbers(path, number, line, 7) for number, line in numbered_lines(path)]
    table = np.array([row[:7] for row in rows], np.float64).reshape(-1, 7)
    boxes = np.concatenate([table[:, 3:5], table[:, 3:5] + table[:, 5:7]], axis=1).astype(np.float32)
    camera, identity, frame = (table[:, column].astype(np.int64) for column in range(3))
    found = {}
    for number in np.unique(camera).tolist():
        mine = camera == number
        known = Boxes(frame[mine], identity[mine], boxes[mine])
        found[name.get(number, str(number))] = CameraTruth(known, np.ones(len(known), np.bool_))
    return found
