"""The formats by name: what writes each, and what reads it back where the format allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.export.aicity import read_aicity, write_aicity
from pipeline.export.coco_video import read_coco_video, write_coco_video
from pipeline.export.csv import read_csv, write_csv
from pipeline.export.mdx import read_mdx, write_mdx
from pipeline.export.mf_json import write_mf_json
from pipeline.export.mot import read_mot, write_mot
from pipeline.export.reader import read_run
from pipeline.export.record import RunRecord, write_run


@dataclass(frozen=True, slots=True)
class Format:
    """``write(record, path)``; ``read(path, fps)``, where fps serves formats without a clock, or None."""

    write: Callable[[RunRecord, Path], None]
    read: Callable[[Path, float | None], RunRecord] | None


FORMATS: dict[str, Format] = {
    "crosscam": Format(write_run, lambda path, _: read_run(path)),
    "mot": Format(write_mot, read_mot),
    "aicity": Format(write_aicity, read_aicity),
    "mdx": Format(write_mdx, read_mdx),
    "coco-video": Format(write_coco_video, read_coco_video),
    "csv": Format(write_csv, read_csv),
    "mf-json": Format(write_mf_json, None),
}
