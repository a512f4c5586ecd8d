"""``track``: stored detections of one camera in, tracks out, both as MOT text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracking.tracker import TrackerConfig


def main(
    detections: Path, fps: float, output: Path, *, tracker: Path | None = None, repaired: bool = False
) -> int:
    """Track and write; returns the number of tracks.

    Args:
        detections: MOT text, frames from 1; its ids are ignored.
        fps: frames per second.
        output: MOT text.
        tracker: YAML with fields of the tracker, as ``tune`` writes it.
        repaired: write what is known afterwards (fragments joined, short gaps filled), not frame by frame.

    Raises:
        ConfigError: a file is missing or malformed, its frames do not count from 1, or fps is not positive.
        ExportError: the output cannot be written.
    """
    import numpy as np

    from pipeline.errors import ConfigError, ExportError
    from tracking.mot import MotRows, MotSequence, read_mot, write_mot
    from tracking.replay import follow, online_rows, repaired_rows, replay_of

    if not 0 < fps < float("inf"):
        raise ConfigError(f"fps: expected a positive number, got {fps}")
    try:
        rows = read_mot(detections)
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    if rows.frame.min(initial=1) < 1:
        raise ConfigError(f"{detections}: frame {rows.frame.min()}: frames of a MOT file count from 1")
    sequence = MotSequence(detections.stem, fps, int(rows.frame.max(initial=0)), rows, None)
    tracked = follow(replay_of(sequence), read_tracker(tracker))
    found = repaired_rows(tracked) if repaired else online_rows(tracked)
    try:
        write_mot(output, MotRows(found.frame + 1, found.id, found.xyxy, found.confidence))
    except OSError as error:
        raise ExportError(str(error)) from error
    return len(np.unique(found.id))


def read_tracker(path: Path | None) -> TrackerConfig:
    """The tracker's configuration in a YAML file, with or without a ``tracker:`` above it; None is the default.

    Raises:
        ConfigError: names the file and every field that is wrong.
    """
    import yaml
    from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

    from pipeline.errors import ConfigError
    from tracking.tracker import TrackerConfig

    if path is None:
        return TrackerConfig()
    strict = TypeAdapter(with_config(ConfigDict(extra="forbid"))(TrackerConfig))
    try:
        content = yaml.safe_load(path.read_text()) or {}
        fields = content.get("tracker", content) if isinstance(content, dict) else content
        return strict.validate_python(fields)
    except ValidationError as error:
        problems = (f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(*problems) from error
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
