"""Results in the forms of other systems: exact lines, and back again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands.export import export
from pipeline.errors import ConfigError, ExportError
from pipeline.export.aicity import camera_numbers, read_aicity
from pipeline.export.formats import FORMATS
from pipeline.export.header import CameraInfo
from pipeline.export.mf_json import GeoOrigin, write_mf_json
from pipeline.export.record import Row, RunRecord, observations, record_of, table_of, write_run

FPS = 10.0
START_S = 1_772_355_600.0  # 2026-03-01T09:00:00Z
CAMERAS = [CameraInfo(name, f"/clips/{name}.mp4", 640, 360, FPS, START_S) for name in ("c041", "c042")]


def row(camera: str, identity: int, frame: int, left: float, **more: object) -> Row:
    box = (left, 20.0, left + 30.0, 110.0)
    return Row(camera, identity, frame, START_S + frame / FPS, box, **more)  # type: ignore[arg-type]


ROWS = [
    row("c041", 7, 0, 10.25, confidence=0.9, local_id=3, ground=(1.5, -2.25)),
    row("c041", 7, 1, 12.5, confidence=0.75, local_id=3, interpolated=True),
    row("c042", 7, 5, 400.0, confidence=0.5, local_id=1, ground=(4.0, 1.0)),
    row("c042", 9, 5, 100.0, confidence=1.0, local_id=2, class_id=1),
]


@pytest.fixture
def record() -> RunRecord:
    return record_of(table_of(ROWS), ("person", "car"), CAMERAS)


def test_mot_lines(record: RunRecord, tmp_path: Path) -> None:
    FORMATS["mot"].write(record, tmp_path)
    assert (tmp_path / "c041.txt").read_text() == (
        "1,7,10.25,20.00,30.00,90.00,0.9000,1.500,-2.250,0\n"
        "2,7,12.50,20.00,30.00,90.00,0.7500,-1,-1,-1\n"
    )  # fmt: skip
    assert (tmp_path / "c042.txt").read_text().splitlines()[1] == (
        "6,9,100.00,20.00,30.00,90.00,1.0000,-1,-1,-1"
    )


def test_a_camera_without_anybody_has_an_empty_mot_file(tmp_path: Path) -> None:
    FORMATS["mot"].write(record_of(table_of([]), ("person",), CAMERAS), tmp_path)
    assert (tmp_path / "c041.txt").read_text() == ""


def test_aicity_lines(record: RunRecord, tmp_path: Path) -> None:
    FORMATS["aicity"].write(record, tmp_path / "track1.txt")
    assert (tmp_path / "track1.txt").read_text() == (
        "41 7 0 10 20 30 90 1.500 -2.250\n"
        "41 7 1 12 20 30 90 -1 -1\n"
        "42 7 5 400 20 30 90 4.000 1.000\n"
        "42 9 5 100 20 30 90 -1 -1\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["c041", "c002"], {"c041": 41, "c002": 2}),
        (["a1", "b1"], {"a1": 1, "b1": 2}),
        (["yard", "door"], {"yard": 2, "door": 1}),
    ],
)
def test_camera_numbers(names: list[str], numbers: dict[str, int]) -> None:
    assert camera_numbers(names) == numbers


def test_aicity_names_of_cameras(record: RunRecord, tmp_path: Path) -> None:
    FORMATS["aicity"].write(record, tmp_path / "track1.txt")
    assert read_aicity(tmp_path / "track1.txt", FPS, {41: "gate"}).camera_ids() == ("42", "gate")


def test_mdx_objects(record: RunRecord, tmp_path: Path) -> None:
    FORMATS["mdx"].write(record, tmp_path / "mdx.json")
    person, car = json.loads((tmp_path / "mdx.json").read_text())
    assert {name: value for name, value in person.items() if name != "matched"} == {
        "batchId": "0",
        "globalId": "7",
        "objectType": "person",
        "timestamp": "2026-03-01T09:00:00.000Z",
        "end": "2026-03-01T09:00:00.500Z",
    }
    assert person["matched"][0] == {
        "key": "c041 #-# 3 #-# 2026-03-01T09:00:00.000Z",
        "id": "c041 #-# 3",
        "sensorId": "c041",
        "objectId": "3",
        "objectType": "person",
        "timestamp": "2026-03-01T09:00:00.000Z",
        "end": "2026-03-01T09:00:00.100Z",
        "startFrame": "0",
        "endFrame": "1",
        "place": "",
        "matchedSystemTimestamp": None,
        "timestamps": ["2026-03-01T09:00:00.000Z", "2026-03-01T09:00:00.100Z"],
        "frameIds": ["0", "1"],
        "bboxes": [
            {"leftX": 10.25, "topY": 20.0, "rightX": 40.25, "bottomY": 110.0},
            {"leftX": 12.5, "topY": 20.0, "rightX": 42.5, "bottomY": 110.0},
        ],
        "confidences": [0.9, 0.75],
        "locations": [[1.5, -2.25], [0.0, 0.0]],
        "locationMask": [True, False],
        "embeddings": None,
        "embeddingMask": None,
        "roiMask": None,
    }
    assert (car["objectType"], car["matched"][0]["locations"]) == ("car", None)


def test_coco_video_members(record: RunRecord, tmp_path: Path) -> None:
    FORMATS["coco-video"].write(record, tmp_path / "coco.json")
    content = json.loads((tmp_path / "coco.json").read_text())
    assert content["categories"] == [
        {"id": 1, "name": "person", "synset": "person"},
        {"id": 2, "name": "car", "synset": "car"},
    ]
    assert [video["name"] for video in content["videos"]] == ["c041", "c042"]
    assert content["images"][1] == {
        "id": 2,
        "video_id": 1,
        "file_name": "c041/000001.jpg",
        "width": 640,
        "height": 360,
        "frame_index": 1,
        "frame_id": 1,
        "time_s": START_S + 0.1,
    }
    assert content["tracks"] == [
        {"id": 1, "category_id": 1, "video_id": 1, "global_id": 7},
        {"id": 2, "category_id": 1, "video_id": 2, "global_id": 7},
        {"id": 3, "category_id": 2, "video_id": 2, "global_id": 9},
    ]
    assert content["annotations"][3] == {
        "id": 4,
        "image_id": 3,
        "video_id": 2,
        "track_id": 3,
        "instance_id": 9,
        "category_id": 2,
        "bbox": [100.0, 20.0, 30.0, 90.0],
        "area": 2700.0,
        "iscrowd": 0,
        "score": 1.0,
    }


def test_csv_lines(record: RunRecord, tmp_path: Path) -> None:
    FORMATS["csv"].write(record, tmp_path / "table.csv")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == (
        "camera,global_id,local_id,class,frame,time_s,time,x0_px,y0_px,x1_px,y1_px,confidence,interpolated,"
        "ground_x_m,ground_y_m"
    )
    assert lines[2] == (
        f"c041,7,3,person,1,{START_S + 0.1},2026-03-01T09:00:00.100Z,12.5,20.0,42.5,110.0,0.75,1,,"
    )


def test_mf_json_feature(record: RunRecord, tmp_path: Path) -> None:
    FORMATS["mf-json"].write(record, tmp_path / "mf.json")
    content = json.loads((tmp_path / "mf.json").read_text())
    (feature,) = content["features"]
    assert feature["id"] == 7
    assert feature["temporalGeometry"] == {
        "type": "MovingPoint",
        "datetimes": ["2026-03-01T09:00:00.000Z", "2026-03-01T09:00:00.500Z"],
        "coordinates": [[1.5, -2.25], [4.0, 1.0]],
        "interpolation": "Linear",
    }
    assert feature["temporalProperties"][0]["camera"]["values"] == ["c041", "c042"]
    assert feature["geometry"] == {"type": "LineString", "coordinates": [[1.5, -2.25], [4.0, 1.0]]}
    assert feature["bbox"] == [1.5, -2.25, 4.0, 1.0]
    assert "metres" in content["crs"]["properties"]["name"], "no place on the globe is claimed"


def test_mf_json_averages_two_cameras_at_one_time(tmp_path: Path) -> None:
    rows = [row("c041", 1, 3, 10.0, ground=(1.0, 1.0)), row("c042", 1, 3, 10.0, ground=(1.5, 2.0))]
    FORMATS["mf-json"].write(record_of(table_of(rows), ("person",), CAMERAS), tmp_path / "mf.json")
    (feature,) = json.loads((tmp_path / "mf.json").read_text())["features"]
    assert feature["temporalGeometry"]["coordinates"] == [[1.25, 1.5]]
    assert feature["temporalProperties"][0]["camera"]["values"] == ["c041+c042"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [1.25, 1.5]}


def test_mf_json_on_the_globe(record: RunRecord, tmp_path: Path) -> None:
    write_mf_json(record, tmp_path / "mf.json", GeoOrigin(0.0, 10.0, bearing_deg=90.0))
    content = json.loads((tmp_path / "mf.json").read_text())
    longitude, latitude = content["features"][0]["geometry"]["coordinates"][0]
    metres = np.array([longitude - 10.0, latitude]) * np.pi / 180 * 6_378_137
    assert metres == pytest.approx([-2.25, -1.5], abs=2e-3), "+y points east, so +x points south"
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:OGC:1.3:CRS84"


def test_mf_json_without_ground_positions_says_so(tmp_path: Path) -> None:
    record = record_of(table_of([row("c041", 1, 0, 10.0)]), ("person",), CAMERAS)
    with pytest.raises(ExportError, match="no camera of this run has a homography"):
        FORMATS["mf-json"].write(record, tmp_path / "mf.json")


# -- there and back


@pytest.mark.parametrize("name", ["crosscam", "mot", "aicity", "mdx", "coco-video", "csv"])
def test_round_trip(name: str, record: RunRecord, tmp_path: Path) -> None:
    path = tmp_path / "there"
    FORMATS[name].write(record, path)
    read = FORMATS[name].read
    assert read is not None
    back, table = observations(read(path, FPS)), observations(record)
    assert back.global_id.tolist() == table.global_id.tolist()
    assert back.frame.tolist() == table.frame.tolist()
    assert back.xyxy == pytest.approx(table.xyxy, abs=1.0 if name == "aicity" else 0.006)
    cameras = [f"{int(camera[1:])}" for camera in table.camera] if name == "aicity" else table.camera.tolist()
    assert back.camera.tolist() == cameras
    if name != "aicity":
        assert back.confidence == pytest.approx(table.confidence)
    if name != "coco-video":
        assert np.array_equal(back.ground, table.ground, equal_nan=True)
    clock = START_S if name in ("crosscam", "mdx", "coco-video", "csv") else 0.0
    assert back.time_s == pytest.approx(table.frame / FPS + clock)
    if name in ("crosscam", "mdx", "csv"):
        assert back.local_id.tolist() == table.local_id.tolist()
    if name in ("crosscam", "csv"):
        assert back.interpolated.tolist() == table.interpolated.tolist()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mot", "1,7,10,20,30\n", r"c1\.txt:1: expected at least 6 finite numbers"),
        ("mot", "\n1,7,a,20,30,40,1\n", r"c1\.txt:2: expected numbers, got '1,7,a"),
        ("mot", "0,7,1,20,30,40,1\n", r"c1\.txt:1: frames and ids count from 1"),
        ("mot", "1,7,1,20,30,40,1\n1,7,1,20,30,40,1\n", "strictly ascending"),
        ("aicity", "41 7 0 10 20 30\n", ":1: expected at least 7 finite numbers"),
        ("aicity", "41 0 0 10 20 30 40 0 0\n", ":1: expected a frame from 0 and an id from 1"),
        ("mdx", '[{"globalId": "7"}]', "not an array of MTMCObject"),
        ("mdx", "[", "not an array of MTMCObject"),
        ("coco-video", '{"images": []}', "not COCO-style video JSON"),
        ("csv", "camera,frame\n", r":1: column\(s\) missing: class, confidence"),
        ("crosscam", "{}", "format is None"),
    ],
)
def test_broken_files_are_named_with_the_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "c1.txt"
    path.write_text(text)
    read = FORMATS[name].read
    assert read is not None
    with pytest.raises(ExportError, match=message):
        read(tmp_path if name == "mot" else path, FPS)


def test_a_broken_csv_cell_is_named_with_its_line(record: RunRecord, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    FORMATS["csv"].write(record, path)
    path.write_text(path.read_text().replace("12.5,", "wide,"))
    read: Callable[[Path, float | None], RunRecord] | None = FORMATS["csv"].read
    assert read is not None
    with pytest.raises(ExportError, match=r"table\.csv:3: could not convert string to float: 'wide'"):
        read(path, None)


# -- the command


def test_export_command_converts_between_formats(record: RunRecord, tmp_path: Path) -> None:
    write_run(record, tmp_path / "trajectories.json")
    export(tmp_path / "trajectories.json", "csv", tmp_path / "table.csv")
    export(tmp_path / "table.csv", "mot", tmp_path / "mot", source_format="csv")
    assert (tmp_path / "mot" / "c042.txt").read_text().startswith("6,7,400.00,")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format_name": "xml"}, "no format 'xml'; there are crosscam, mot"),
        ({"source_format": "mf-json"}, "cannot be read back"),
        ({"source": Path("missing.json")}, "missing.json: no such file"),
        ({"origin": (1.0, 2.0, 0.0)}, "origin serves mf-json only, not csv"),
        ({"format_name": "mf-json", "origin": (91.0, 2.0, 0.0)}, "latitude -89..89"),
    ],
)
def test_export_command_refuses(
    options: dict[str, object], message: str, record: RunRecord, tmp_path: Path
) -> None:
    source = tmp_path / "trajectories.json"
    write_run(record, source)
    given = {"source": source, "format_name": "csv", "output": tmp_path / "out"} | options
    with pytest.raises(ConfigError, match=message):
        export(**given)  # type: ignore[arg-type]


def test_a_format_without_a_clock_needs_the_rate(tmp_path: Path) -> None:
    (tmp_path / "c1.txt").write_text("1,7,1,2,3,4,1\n")
    with pytest.raises(ExportError, match="MOT files have no clock; give the frames per second"):
        export(tmp_path, "csv", tmp_path / "table.csv", source_format="mot")
