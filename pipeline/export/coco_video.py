"""COCO-style video JSON that TAO and CocoVID readers both take.

A video for each camera, an image for each frame with an observation (``frame_index`` and ``frame_id`` are
the same number, from 0), a track for each identity in each camera, since a track belongs to one video. The
identity across cameras is the annotation's ``instance_id`` and the track's ``global_id``. ``time_s`` is
ours; readers ignore it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ExportError
from pipeline.export.clock import rounded_s
from pipeline.export.document import write_atomically
from pipeline.export.header import CameraInfo, RunHeader
from pipeline.export.lines import dumps
from pipeline.export.record import ObservationTable, Row, RunRecord, observations, record_of, table_of


def write_coco_video(record: RunRecord, path: Path) -> None:
    """Write one JSON object.

    Raises:
        ExportError: the file cannot be written.
    """
    header, table = record.header, observations(record)
    video = {camera.id: number for number, camera in enumerate(header.cameras, 1)}
    frames = sorted(set(zip(table.camera.tolist(), table.frame.tolist(), table.time_s.tolist(), strict=True)))
    image = {(camera, frame): number for number, (camera, frame, _) in enumerate(frames, 1)}
    tracks = sorted(set(zip(table.camera.tolist(), table.global_id.tolist(), strict=True)))
    track = {key: number for number, key in enumerate(tracks, 1)}
    members = {
        "info": {"description": "crosscam trajectories", "version": header.versions.get("crosscam", "")},
        "licenses": [],
        "categories": [{"id": n, "name": name, "synset": name} for n, name in enumerate(header.classes, 1)],
        "videos": [_video(number, header.camera(camera)) for camera, number in video.items()],
        "images": [_image(image[c, f], video[c], header.camera(c), f, t) for c, f, t in frames],
        "tracks": list(_tracks(table, track, video)),
        "annotations": [_annotation(i, table, image, track, video) for i in range(len(table))],
    }
    write_atomically(path, (piece.encode() for piece in _pieces(members)))


def _pieces(members: Mapping[str, Any]) -> Iterator[str]:
    for number, (name, value) in enumerate(members.items()):
        yield ("{\n" if number == 0 else ",\n") + f'"{name}":'
        yield (
            "[\n" + ",\n".join(map(dumps, value)) + "\n]"
            if isinstance(value, list) and value
            else dumps(value)
        )
    yield "\n}\n"


def _video(number: int, camera: CameraInfo) -> dict[str, Any]:
    return {
        "id": number,
        "name": camera.id,
        "width": camera.width,
        "height": camera.height,
        "neg_category_ids": [],
        "not_exhaustive_category_ids": [],
        "metadata": {"fps": camera.fps, "start_s": camera.start_s},
    }


def _image(number: int, video: int, camera: CameraInfo, frame: int, time_s: float) -> dict[str, Any]:
    return {
        "id": number,
        "video_id": video,
        "file_name": f"{camera.id}/{frame:06d}.jpg",
        "width": camera.width,
        "height": camera.height,
        "frame_index": frame,
        "frame_id": frame,
        "time_s": rounded_s(time_s),
    }


def _tracks(
    table: ObservationTable, track: Mapping[tuple[str, int], int], video: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    for (camera, global_id), number in track.items():
        classes = table.class_id[(table.camera == camera) & (table.global_id == global_id)].tolist()
        category = max(sorted(set(classes)), key=classes.count) + 1
        yield {"id": number, "category_id": category, "video_id": video[camera], "global_id": global_id}


def _annotation(
    i: int,
    table: ObservationTable,
    image: Mapping[tuple[str, int], int],
    track: Mapping[tuple[str, int], int],
    video: Mapping[str, int],
) -> dict[str, Any]:
    camera, global_id = str(table.camera[i]), int(table.global_id[i])
    x0, y0, x1, y1 = table.xyxy[i].tolist()
    width, height = round(x1 - x0, 2), round(y1 - y0, 2)
    return {
        "id": i + 1,
        "image_id": image[camera, int(table.frame[i])],
        "video_id": video[camera],
        "track_id": track[camera, global_id],
        "instance_id": global_id,
        "category_id": int(table.class_id[i]) + 1,
        "bbox": [x0, y0, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
        "score": float(table.confidence[i]),
    }


def read_coco_video(path: Path, fps: float | None = None) -> RunRecord:
    """Read a file that has ``instance_id`` in its annotations; without ``time_s``, times are ``frame / fps``.

    Raises:
        ExportError: the file cannot be read, is not such JSON, or has no clock and no fps was given.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        categories = {one["id"]: one["name"] for one in content["categories"]}
        classes = tuple(dict.fromkeys(categories.values()))
        videos = {one["id"]: one for one in content["videos"]}
        images = {one["id"]: one for one in content["images"]}
        names = {number: one["name"] for number, one in videos.items()}
        rows = [
            _row(
                one, images[one["image_id"]], names, classes.index(categories[one["category_id"]]), fps, path
            )
            for one in content["annotations"]
        ]
        cameras = [_camera(one, path, fps) for one in videos.values()]
        return record_of(table_of(rows), classes, RunHeader(classes, tuple(cameras)).cameras)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path}: not COCO-style video JSON: {error!r}") from error


def _row(
    one: Mapping[str, Any],
    image: Mapping[str, Any],
    names: Mapping[int, str],
    kind: int,
    fps: float | None,
    path: Path,
) -> Row:
    frame = image["frame_id"] if "frame_id" in image else image["frame_index"]
    if "time_s" not in image and fps is None:
        raise ExportError(f"{path}: its images have no time_s; give the frames per second")
    time_s = image["time_s"] if "time_s" in image else frame / (fps or 1.0)
    x, y, width, height = one["bbox"]
    box = (x, y, x + width, y + height)
    return Row(
        names[image["video_id"]], one["instance_id"], frame, time_s, box, one.get("score", 1.0), class_id=kind
    )


def _camera(video: Mapping[str, Any], path: Path, fps: float | None) -> CameraInfo:
    known = video.get("metadata", {})
    rate, start_s = known.get("fps", fps), known.get("start_s", 0.0)
    return CameraInfo(video["name"], str(path), video.get("width", 0), video.get("height", 0), rate, start_s)
