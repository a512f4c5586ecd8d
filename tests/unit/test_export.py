"""Writing runs: lines that survive anything, one document that is the same for the same input."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from pipeline.errors import ExportError
from pipeline.export.clock import iso, parse_iso
from pipeline.export.header import CameraInfo, ModelInfo, RunHeader
from pipeline.export.lines import link_to_json, tracklet_line
from pipeline.export.reader import read_run
from pipeline.export.record import observations, write_run
from pipeline.export.recovery import recover
from pipeline.export.schema import trajectories_schema
from pipeline.export.writer import RunWriter
from pipeline.packets import CameraEnd
from tracking.online import Event
from tracking.types import FrameRef, Link, TrackedFrame, Tracklet, TrackletKey, Trajectory

START_S = 1_772_355_600.0  # 2026-03-01T09:00:00Z
HEADER = RunHeader(
    classes=("person", "car"),
    cameras=tuple(
        CameraInfo(
            name, f"/clips/{name}.mp4", 640, 360, 10.0, START_S, 50, sie="mean", ground=name == "north"
        )
        for name in ("south", "north")
    ),
    models=(ModelInfo("detector", "yolox", "yolox_nano.onnx", "ab" * 32),),
    settings={"mode": "offline", "max_cosine_distance": 0.4},
)


def tracklet(camera: str, local_id: int, begin: int = 0, count: int = 5, **changes: object) -> Tracklet:
    """A box that walks to the right, 10 frames a second; the third observation is interpolated."""
    frames = np.arange(begin, begin + count)
    left = 10.126 + 5.0 * np.arange(count)
    ground = np.stack([0.5 * np.arange(count), np.full(count, 2.25)], axis=1)
    ground[1] = np.nan
    values: dict[str, object] = {
        "key": TrackletKey(camera, local_id),
        "class_id": 0,
        "frame_index": frames,
        "timestamp_s": START_S + frames / 10,
        "xyxy": np.stack([left, np.full(count, 20.0), left + 30, np.full(count, 110.5)], axis=1),
        "confidence": np.full(count, 0.87654),
        "interpolated": np.arange(count) == 2,
        "ground_xy": ground if camera == "north" else None,
        "embeddings": np.full((2, 4), 0.5),
        "embedding_quality": np.array([0.5, 0.9]),
        "embedding_timestamp_s": START_S + frames[:2] / 10,
        "as_of_s": START_S + frames[-1] / 10,
        "is_final": True,
    }
    return Tracklet(**{**values, **changes})  # type: ignore[arg-type]


def frame(camera: str, index: int, local_ids: list[int], confirmed: bool = True) -> TrackedFrame:
    count = len(local_ids)
    boxes = np.tile([10.126, 20.0, 40.126, 110.5], (count, 1))
    ref = FrameRef(camera, index, START_S + index / 10)
    sure, kind, seen = np.full(count, 0.87654), np.zeros(count), np.full(count, confirmed)
    return TrackedFrame(ref, np.array(local_ids), boxes, sure, kind, np.arange(count), seen)


FIRST, SECOND, THIRD = tracklet("north", 1), tracklet("south", 1, 20), tracklet("south", 2, 3)
LINK = Link(
    FIRST.key,
    SECOND.key,
    cosine_distance=0.1234567,
    runner_up_distance=0.5,
    gap_s=1.6,
    gates=("class", "time_order", "travel_time"),
    travel_window_s=(0.5, float("inf")),
    crops_used=(2, 2),
    max_cosine_distance=0.25,
)
TRAJECTORIES = (
    Trajectory(1, 0, (FIRST.key, SECOND.key), (LINK,)),
    Trajectory(2, 0, (THIRD.key,)),
)
ENDS = (CameraEnd("north", 50, 50, 0, False), CameraEnd("south", 50, 50, 0, False))


def written(folder: Path, reverse: bool = False) -> Path:
    """The same run, its lines in one order or in the other."""
    with RunWriter(folder, HEADER) as writer:
        for part in (FIRST, SECOND, THIRD)[:: -1 if reverse else 1]:
            writer.tracklet(part)
        for end in ENDS[:: -1 if reverse else 1]:
            writer.camera_end(end)
        return writer.finish(TRAJECTORIES[:: -1 if reverse else 1], summary={"frames": 100})


def document(path: Path) -> dict[str, object]:
    content = json.loads(path.read_text())
    jsonschema.Draft202012Validator(
        trajectories_schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(content)
    return content


def test_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(trajectories_schema())


def test_document_says_who_was_where_when(tmp_path: Path) -> None:
    content = document(written(tmp_path))
    assert (content["complete"], content["reason"]) == (True, None)
    first, second = content["trajectories"]
    assert (first["global_id"], first["class"], first["cameras"]) == (1, "person", ["north", "south"])
    assert (first["start"], first["end"]) == ("2026-03-01T09:00:00.000Z", "2026-03-01T09:00:02.400Z")
    assert [t["camera"] for t in second["tracklets"]] == ["south"]
    rows = first["tracklets"][0]["observations"]
    assert rows[0] == {
        "frame": 0,
        "time_s": START_S,
        "time": "2026-03-01T09:00:00.000Z",
        "xyxy_px": [10.13, 20.0, 40.13, 110.5],
        "confidence": 0.8765,
        "interpolated": False,
        "ground_m": [0.0, 2.25],
    }
    assert "ground_m" not in rows[1], "where the ground position is not known, none is claimed"
    assert [row["interpolated"] for row in rows] == [False, False, True, False, False]


def test_an_identity_stands_once_in_a_frame_where_one_tracklet_takes_over_from_another(tmp_path: Path) -> None:
    """Frames 3 and 4 are of both: the later one's boxes are told, and what was interpolated or on the floor stays so."""
    earlier, later = tracklet("north", 1), tracklet("north", 2, begin=3)
    with RunWriter(tmp_path, HEADER) as writer:
        for part in (earlier, later):
            writer.tracklet(part)
        path = writer.finish([Trajectory(1, 0, (earlier.key, later.key))], summary={})
    first, second = document(path)["trajectories"][0]["tracklets"]  # type: ignore[index]
    assert [row["frame"] for row in first["observations"]] == [0, 1, 2]
    assert [row["interpolated"] for row in first["observations"]] == [False, False, True]
    assert ["ground_m" in row for row in first["observations"]] == [True, False, True]
    assert [row["frame"] for row in second["observations"]] == [3, 4, 5, 6, 7]
    assert observations(read_run(path)).frame.tolist() == list(range(8))


def test_link_carries_its_evidence(tmp_path: Path) -> None:
    (link,) = document(written(tmp_path))["trajectories"][0]["links"]
    assert link == {
        "first": ["north", 1],
        "second": ["south", 1],
        "reason": "appearance",
        "cosine_distance": 0.123457,
        "camera_bias": 0.0,
        "max_cosine_distance": 0.25,
        "view_agreement": None,
        "runner_up_distance": 0.5,
        "margin": 0.376543,
        "gap_s": 1.6,
        "travel_window_s": [0.5, None],
        "ground_distance_m": None,
        "crops_used": [2, 2],
        "gates": ["class", "time_order", "travel_time"],
    }


def test_no_number_is_minus_zero() -> None:
    value = link_to_json(replace(LINK, camera_bias=-0.0))["camera_bias"]
    assert str(value) == "0.0"
    just_below = tracklet_line(tracklet("north", 1, ground_xy=np.full((5, 2), -0.0001)))["ground_m"]
    assert "-" not in str(just_below)


def test_same_input_gives_the_same_bytes_whatever_came_first(tmp_path: Path) -> None:
    one, other = written(tmp_path / "one"), written(tmp_path / "other", reverse=True)
    assert one.read_bytes() == other.read_bytes()


def test_volatile_things_stand_beside_the_document(tmp_path: Path) -> None:
    path = written(tmp_path)
    info = json.loads((tmp_path / "run.json").read_text())
    assert info["frames"] == 100
    assert {"started", "wall_s", "host", "cpu_cores"} <= info.keys()
    assert info["host"] not in path.read_text() or len(info["host"]) < 4


def test_cameras_are_sorted_and_credentials_masked(tmp_path: Path) -> None:
    camera = CameraInfo("door", "rtsp://user:secret@host/1", 640, 360, 25.0, None, is_live=True)
    with RunWriter(tmp_path, RunHeader(("person",), (HEADER.camera("south"), camera))) as writer:
        path = writer.finish(())
    content = document(path)
    assert [camera["id"] for camera in content["cameras"]] == ["door", "south"]
    assert "secret" not in path.read_text() + (tmp_path / "trajectories.jsonl").read_text()
    assert not content["complete"], "no camera has ended"


@pytest.mark.parametrize(
    "end",
    [
        CameraEnd("south", 30, 50, 0, True),
        CameraEnd("south", 30, 50, 0, False, "camera south: clip.mp4: broken"),
        None,
    ],
    ids=["truncated", "error", "never ended"],
)
def test_a_camera_that_is_not_whole_makes_the_run_incomplete(tmp_path: Path, end: CameraEnd | None) -> None:
    with RunWriter(tmp_path, HEADER) as writer:
        writer.camera_end(ENDS[0])
        if end:
            writer.camera_end(end)
        content = document(writer.finish(()))
    north, south = content["cameras"]
    assert (content["complete"], north["complete"], south["complete"]) == (False, True, False)
    assert south["truncated"] is bool(end and end.truncated)
    assert south["error"] == (end.error if end else "the run stopped before this camera ended")


def test_a_later_snapshot_replaces_an_earlier_one(tmp_path: Path) -> None:
    early = tracklet("south", 2, 3, count=2, is_final=False)
    with RunWriter(tmp_path, HEADER) as writer:
        for part in (early, FIRST, SECOND, THIRD):
            writer.tracklet(part)
        content = document(writer.finish(TRAJECTORIES))
    (kept,) = content["trajectories"][1]["tracklets"]
    assert (len(kept["observations"]), kept["final"]) == (5, True)


def test_an_unknown_tracklet_is_refused_and_nothing_half_done_is_left(tmp_path: Path) -> None:
    with RunWriter(tmp_path, HEADER) as writer:
        writer.tracklet(FIRST)
        with pytest.raises(ExportError, match=r"tracklet south/1, which was never written.*kept: .*recover"):
            writer.finish(TRAJECTORIES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trajectories.jsonl"]


def test_nan_is_refused_in_plain_words(tmp_path: Path) -> None:
    with RunWriter(tmp_path, HEADER) as writer, pytest.raises(ExportError, match="tracklet line holds NaN"):
        writer.tracklet(tracklet("north", 9, confidence=np.full(5, np.nan)))


# -- lines while running


def test_lines_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with RunWriter(tmp_path, HEADER) as writer:
        writer.frame(frame("north", 0, [1, 2]))
        writer.frame(frame("north", 1, [3], confirmed=False))
        lines = [json.loads(line) for line in (tmp_path / "trajectories.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["run", "frame", "frame"]
    assert lines[1]["tracks"][0] == [1, 0, 0.8765, 10.13, 20.0, 40.13, 110.5]
    assert lines[2]["tracks"] == [], "a tentative track is not shown"


def test_frames_without_anybody_are_noted_once_a_second(tmp_path: Path) -> None:
    with RunWriter(tmp_path, HEADER) as writer:
        for index in range(31):
            writer.frame(frame("north", index, []))
    lines = (tmp_path / "trajectories.jsonl").read_text().splitlines()[1:]
    assert [json.loads(line)["frame"] for line in lines] == [0, 10, 20, 30]


def test_a_new_run_replaces_results_but_keeps_lines_of_a_killed_one(tmp_path: Path) -> None:
    written(tmp_path)
    with RunWriter(tmp_path, HEADER) as killed:
        killed.tracklet(FIRST)
    assert not (tmp_path / "trajectories.json").exists(), "old results are not taken for new ones"
    written(tmp_path)
    assert "tracklet" in (tmp_path / "trajectories.unfinished.jsonl").read_text()


# -- recovery


def write_until_killed(folder: Path) -> None:
    writer = RunWriter(folder, HEADER)
    writer.tracklet(FIRST)
    for index in itertools.count():
        writer.frame(frame("south", index, [1]))
        time.sleep(0.001)


def test_kill_9_loses_nothing_that_was_written(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=write_until_killed, args=(tmp_path,))
    child.start()
    path = tmp_path / "trajectories.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < 23:
        time.sleep(0.005)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    content = document(recover(tmp_path))
    assert content["complete"] is False
    assert "killed" in content["reason"]
    ended, going = (trajectory["tracklets"][0] for trajectory in content["trajectories"])
    assert (ended["camera"], ended["final"], len(ended["observations"])) == ("north", True, 5)
    assert (going["camera"], going["final"]) == ("south", False)
    assert len(going["observations"]) >= 21


def test_a_torn_last_line_is_left_out_and_a_broken_middle_is_told(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "trajectories.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:17])
    assert len(document(recover(tmp_path))["trajectories"]) == 3, "nobody linked them yet"
    path.write_bytes(lines[0] + lines[1][:50] + b"\n" + lines[2])
    with pytest.raises(ExportError, match=r"trajectories\.jsonl:2: not JSON"):
        recover(tmp_path)


def test_recovery_of_a_finished_run_is_the_same_document(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    path.unlink()
    assert recover(tmp_path).read_bytes() == whole


def test_recovery_takes_up_the_online_decisions(tmp_path: Path) -> None:
    alone = Trajectory(7, 0, (FIRST.key,))
    wrong = Trajectory(8, 0, (SECOND.key,))
    merged = Trajectory(7, 0, (FIRST.key, SECOND.key), (LINK,))
    with RunWriter(tmp_path, HEADER) as writer:
        for part in (FIRST, SECOND, THIRD):
            writer.tracklet(part)
        writer.event(Event("new", START_S, 7, alone, (FIRST.key,)))
        writer.event(Event("new", START_S, 8, wrong, (SECOND.key,)))
        writer.event(Event("revision", START_S, 7, merged, (SECOND.key,), 8, True, "better evidence"))
    content = document(recover(tmp_path))
    found = {one["global_id"]: one for one in content["trajectories"]}
    assert [t["camera"] for t in found[7]["tracklets"]] == ["north", "south"]
    assert len(found[7]["links"]) == 1
    assert 8 not in found, "a superseded id is never used again"
    assert sorted(found) == [7, 9], "a tracklet without a decision gets an id of its own"


def test_recovery_without_lines_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"trajectories\.jsonl: cannot be read"):
        recover(tmp_path)
    (tmp_path / "trajectories.jsonl").write_text('{"type":"frame"}\n')
    with pytest.raises(ExportError, match="no line of type run"):
        recover(tmp_path)


# -- a disk that refuses


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"file/out: output folder cannot be written: Not a directory"):
        RunWriter(tmp_path / "file" / "out", HEADER)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ExportError, match="Permission denied"):
        RunWriter(tmp_path, HEADER)


def test_a_full_disk_says_what_was_kept(tmp_path: Path) -> None:
    with RunWriter(tmp_path, HEADER) as writer:
        writer.tracklet(FIRST)
        os.dup2(os.open("/dev/full", os.O_WRONLY), writer._segments.file.fileno())
        with pytest.raises(
            ExportError, match=r"No space left on device; kept: 2 lines with 1 tracklets in .*jsonl"
        ):
            writer.tracklet(SECOND)
    assert len(document(recover(tmp_path))["trajectories"]) == 1


def test_a_line_that_fits_only_in_part_leaves_a_readable_file(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stops a file in the middle of a line, as a disk does when it runs full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with RunWriter(tmp_path, HEADER) as writer:
        writer.tracklet(FIRST)
        size = (tmp_path / "trajectories.jsonl").stat().st_size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
            with pytest.raises(ExportError, match="File too large"):
                writer.tracklet(SECOND)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, previous)
    assert (tmp_path / "trajectories.jsonl").stat().st_size == size + 100
    assert len(document(recover(tmp_path))["trajectories"]) == 1


def test_a_document_that_does_not_fit_leaves_no_trace_and_can_be_made_later(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    parts = [tracklet("south", number, count=200) for number in range(1, 6)]
    with RunWriter(tmp_path, HEADER) as writer:
        for part in parts:
            writer.tracklet(part)
        try:
            limit = (tmp_path / "trajectories.jsonl").stat().st_size + 1000
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            with pytest.raises(
                ExportError, match=r"trajectories\.json: cannot be written: File too large; kept"
            ):
                writer.finish([Trajectory(1, 0, (parts[0].key,)), Trajectory(2, 0, (parts[1].key, parts[2].key)),
                               Trajectory(3, 0, (parts[3].key, parts[4].key))])  # fmt: skip
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, previous)
    assert [path.name for path in tmp_path.iterdir()] == ["trajectories.jsonl"]
    assert len(document(recover(tmp_path))["trajectories"]) == 3, "the association is in the lines"


# -- reading back


def test_reading_and_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    path = written(tmp_path)
    record = read_run(path)
    write_run(record, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    (first, second) = record.trajectories
    assert first.trajectory.links[0].cosine_distance == pytest.approx(LINK.cosine_distance, abs=1e-6)
    assert first.tracklets[0].embeddings.shape == (2, 0)
    assert second.global_id == 2


def test_a_sorted_and_indented_document_reads_the_same(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = json.loads(path.read_text())
    (tmp_path / "sorted.json").write_text(json.dumps(content, indent=3, sort_keys=True))
    one, other = (observations(read_run(p)) for p in (path, tmp_path / "sorted.json"))
    assert np.array_equal(one.xyxy, other.xyxy)
    assert one.camera.tolist() == other.camera.tolist()


def test_a_large_document_is_read_one_trajectory_at_a_time(tmp_path: Path) -> None:
    parts = [tracklet("south", number, count=400) for number in range(1, 81)]
    with RunWriter(tmp_path, HEADER) as writer:
        for part in parts:
            writer.tracklet(part)
        path = writer.finish([Trajectory(n, 0, (part.key,)) for n, part in enumerate(parts, 1)])
    assert path.stat().st_size > 3_000_000
    pulled = iter(read_run(path).trajectories)
    began = time.perf_counter()
    assert next(pulled).global_id == 1
    first_s = time.perf_counter() - began
    assert [stored.global_id for stored in pulled] == list(range(2, 81))
    assert first_s < 0.5 * (time.perf_counter() - began), "the first one came before the rest was read"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends too early"),
        ("[]", r"expected '\{'"),
        ('{"format": "other"}', "format is 'other'"),
        (
            '{"format": "crosscam-trajectories", "version": "2.0"}',
            "version 2.0; this program reads version 1",
        ),
        ('{"format": "crosscam-trajectories", "version": "1.0"}', "not a trajectories document: KeyError"),
        ('{"format": "crosscam-trajectories", "vers', "not valid JSON"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ExportError, match=message):
        read_run(path)


def test_a_broken_trajectory_is_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace('"local_id":2', '"local_ID":2'))
    with pytest.raises(ExportError, match="trajectory 2: KeyError"):
        list(read_run(path).trajectories)


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (START_S + 0.0406, "2026-03-01T09:00:00.041Z"),
        (-1.5, "1969-12-31T23:59:58.500Z"),
    ],
)
def test_iso_times(time_s: float, text: str) -> None:
    assert iso(time_s) == text
    assert parse_iso(text) == pytest.approx(time_s, abs=6e-4)
