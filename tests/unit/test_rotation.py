"""JSON Lines that are rotated: by size, by age, bounded in number, readable alone and together, over restarts."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from pipeline.config import RotationConfig
from pipeline.export.header import CameraInfo, RunHeader
from pipeline.export.recovery import recover
from pipeline.export.schema import lines_schema
from pipeline.export.segments import closed_segments
from pipeline.export.writer import RunWriter
from pipeline.packets import CameraEnd
from tracking.online import Event
from tracking.types import Link, Tracklet, TrackletKey, Trajectory

HEADER = RunHeader(("person",), (CameraInfo("a", "rtsp://a", 640, 360, 10.0, is_live=True),))
SMALL = RotationConfig(max_mib=0.02, keep=1000)


def tracklet(local_id: int, camera: str = "a") -> Tracklet:
    frames = np.arange(20)
    return Tracklet(
        key=TrackletKey(camera, local_id),
        class_id=0,
        frame_index=frames,
        timestamp_s=1e9 + local_id + frames / 10,
        xyxy=np.tile([10.0, 20, 40, 100], (20, 1)),
        confidence=np.full(20, 0.9),
        interpolated=np.zeros(20, bool),
        ground_xy=None,
        embeddings=np.zeros((0, 0)),
        embedding_quality=np.zeros(0),
        embedding_timestamp_s=np.zeros(0),
        as_of_s=1e9 + local_id + 2,
        is_final=True,
    )


def ended(global_id: int, *keys: TrackletKey) -> Event:
    links = tuple(Link(one, two, 0.1, None, 1.0, None, ()) for one, two in itertools.pairwise(keys))
    return Event("end", 1e9, global_id, Trajectory(global_id, 0, keys, links), keys)


def fill(writer: RunWriter, first: int, last: int) -> None:
    """An identity per tracklet pair: the second tracklet of one is the first of nobody else."""
    for number in range(first, last):
        writer.tracklet(tracklet(number))
        writer.event(ended(number, TrackletKey("a", number)))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_lines_fit_the_schema(folder: Path) -> None:
    validator = jsonschema.Draft202012Validator(lines_schema())
    for path in folder.glob("trajectories*.jsonl"):
        for record in records(path):
            validator.validate(record)
            validator.validate({"seq": 1, **record})


def ids(document: Path) -> list[int]:
    return [one["global_id"] for one in json.loads(document.read_text())["trajectories"]]


def test_files_are_closed_at_their_size_and_stand_alone(tmp_path: Path):
    with RunWriter(tmp_path, HEADER, rotation=SMALL) as writer:
        fill(writer, 1, 101)
        writer.finish([])
    closed = closed_segments(tmp_path)
    assert len(closed) > 3
    for path in closed:
        assert SMALL.max_mib * 2**20 <= path.stat().st_size < 1.2 * SMALL.max_mib * 2**20
    heads = [records(path)[0] for path in [*closed, tmp_path / "trajectories.jsonl"]]
    assert all(head["type"] == "run" and head["cameras"][0]["id"] == "a" for head in heads)
    assert [head.get("continues", False) for head in heads] == [False, *[True] * len(closed)]
    events = [one["global_id"] for path in [*closed, tmp_path / "trajectories.jsonl"] for one in records(path)
              if one["type"] == "event"]  # fmt: skip
    assert events == list(range(1, 101)), "no event is lost or doubled at a seam"


def test_the_document_is_of_the_open_file_and_recover_makes_one_of_all(tmp_path: Path):
    with RunWriter(tmp_path, HEADER, rotation=SMALL) as writer:
        fill(writer, 1, 101)
        path = writer.finish([])
    last = ids(path)
    assert 0 < len(last) < 60
    assert last == list(range(101 - len(last), 101))
    assert ids(recover(tmp_path)) == list(range(1, 101))


def test_an_identity_over_a_seam_keeps_what_is_there(tmp_path: Path):
    with RunWriter(tmp_path, HEADER, rotation=SMALL) as writer:
        fill(writer, 1, 100)
        writer.tracklet(tracklet(100))
        writer.event(ended(1000, TrackletKey("a", 1), TrackletKey("a", 99), TrackletKey("a", 100)))
        path = writer.finish([])
    (one,) = [t for t in json.loads(path.read_text())["trajectories"] if t["global_id"] == 1000]
    assert [part["local_id"] for part in one["tracklets"]] == [99, 100]
    assert len(one["links"]) == 1
    assert len(json.loads(recover(tmp_path).read_text())["trajectories"][-1]["tracklets"]) == 3


def test_files_are_closed_at_their_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr("pipeline.export.segments.time.monotonic", lambda: now[0])
    with RunWriter(tmp_path, HEADER, rotation=RotationConfig(max_age_s=60)) as writer:
        for minute in range(4):
            now[0] = 61.0 * minute
            fill(writer, 10 * minute + 1, 10 * minute + 3)
    assert len(closed_segments(tmp_path)) == 3


def test_the_oldest_beyond_keep_are_deleted(tmp_path: Path):
    with RunWriter(tmp_path, HEADER, rotation=RotationConfig(max_mib=0.02, keep=2)) as writer:
        fill(writer, 1, 200)
        writer.finish([])
    closed = closed_segments(tmp_path)
    assert len(closed) == 2
    assert int(closed[0].name.split(".")[1]) > 3, "numbers go on"
    kept = ids(recover(tmp_path))
    assert kept == list(range(kept[0], 200)), "what was rotated away is missing, the rest is whole"


def test_memory_holds_the_index_of_the_open_file_only(tmp_path: Path):
    with RunWriter(tmp_path, HEADER, rotation=SMALL) as writer:
        sizes = []
        for start in range(1, 1000, 50):
            fill(writer, start, start + 50)
            sizes.append(len(writer._ledger.offsets) + len(writer._ledger.trajectories))
    assert max(sizes) < 100


def test_a_restart_keeps_the_lines_of_the_run_before(tmp_path: Path):
    for start in (1, 101):
        with RunWriter(tmp_path, HEADER, rotation=SMALL) as writer:
            fill(writer, start, start + 20)
            if start > 1:
                writer.finish([])
    everything = [
        one for path in closed_segments(tmp_path) for one in records(path) if one["type"] == "event"
    ]
    assert [one["global_id"] for one in everything][:20] == list(range(1, 21))
    assert ids(recover(tmp_path)) == list(range(101, 121)), "recover makes the document of the last run"


def test_a_kill_in_the_middle_of_a_line_recovers_over_files(tmp_path: Path):
    with RunWriter(tmp_path, HEADER, rotation=SMALL) as writer:
        fill(writer, 1, 60)
    with (tmp_path / "trajectories.jsonl").open("ab") as file:
        file.write(b'{"type":"tracklet","cam')
    assert ids(recover(tmp_path)) == list(range(1, 60))


def test_every_record_fits_the_published_schema(tmp_path: Path):
    jsonschema.Draft202012Validator.check_schema(lines_schema())
    with RunWriter(tmp_path, HEADER, rotation=SMALL) as writer:
        fill(writer, 1, 40)
        writer.camera_end(CameraEnd("a", 100, None, 2, False))
        writer.event(Event("revision", 1e9, 2, Trajectory(2, 0, (TrackletKey("a", 1),)), (), 1, True, "why"))
        writer.finish([])
    assert_lines_fit_the_schema(tmp_path)
    assert not jsonschema.Draft202012Validator(lines_schema()).is_valid({"type": "event", "kind": "gone"})


def test_cameras_that_come_while_running_are_in_the_document(tmp_path: Path):
    both = RunHeader(("person",), (*HEADER.cameras, CameraInfo("b", "rtsp://b", 0, 0, None, is_live=True)))
    with RunWriter(tmp_path, HEADER, rotation=SMALL) as writer:
        fill(writer, 1, 3)
        writer.cameras(both)
        writer.tracklet(tracklet(1, "b"))
        writer.event(ended(7, TrackletKey("b", 1)))
        path = writer.finish([])
    document = json.loads(path.read_text())
    assert [camera["id"] for camera in document["cameras"]] == ["a", "b"]
    assert ids(path) == [1, 2, 7]
