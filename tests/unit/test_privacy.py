"""Pictures that show nobody, proven on their pixels."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

from pipeline.commands.render import render
from pipeline.export.header import CameraInfo
from pipeline.export.record import Row, record_of, table_of, write_run
from pipeline.render.video import BrowserVideo
from pipeline.stages.detection_files import DetectionWriter
from reid.blur import blur_areas, blurred_crop
from reid.ranklist import draw_rank_list
from tracking.types import Detections

WIDTH, HEIGHT, FPS, FRAMES = 480, 270, 10.0, 30
FIRST, LAST = 10, 20
"""Frames in which the person is followed; in all others nobody noticed anybody."""
Picture = npt.NDArray[np.uint8]
TEXTURE = (
    np.kron(np.random.default_rng(1).integers(0, 2, (35, 15)), np.ones((4, 4)))[:, :, None].astype(np.uint8)
    * 200
)


def left(frame: int) -> int:
    return 60 + 4 * frame


def picture(frame: int) -> Picture:
    """A person in a checked coat walks to the right; another one, never followed, stands at the far right."""
    image = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
    image[80:220, left(frame) : left(frame) + 60] = TEXTURE
    image[80:220, 400:460] = TEXTURE
    return image


def detail(image: Picture, x0: int, y0: int, x1: int, y1: int) -> float:
    """How much fine structure is there."""
    return float(cv2.Laplacian(cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())


def pictures(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def run(folder: Path, blur: str, *, detections: bool = False, looked_at: range = range(FRAMES)) -> Path:
    """A finished run over the footage, drawn."""
    with BrowserVideo(folder / "footage.mp4", WIDTH, HEIGHT, FPS) as video:
        for frame in range(FRAMES):
            video.write(picture(frame), frame / FPS)
    rows = [
        Row("gate", 1, f, f / FPS, (left(f), 80.0, left(f) + 60.0, 220.0)) for f in range(FIRST, LAST + 1)
    ]
    camera = CameraInfo("gate", str(folder / "footage.mp4"), WIDTH, HEIGHT, FPS, 0.0)
    record = record_of(table_of(rows), ("person",), [camera])
    record.header.settings["privacy"] = {"blur": blur}  # type: ignore[index]
    write_run(record, folder / "trajectories.json")
    if detections:
        writer = DetectionWriter(
            folder / "detections/gate.jsonl",
            {
                "camera": "gate",
                "classes": ["person"],
                "width": WIDTH,
                "height": HEIGHT,
                "fps": FPS,
                "model": None,
            },
        )
        for f in looked_at:  # the detector sees the standing one now and then only
            box = np.array([[400, 80, 460, 220]] if f % 4 == 0 else [], np.float32).reshape(-1, 4)
            sure = np.full(len(box), 0.3, np.float32)
            writer.write(f, f / FPS, Detections(box, sure, np.zeros(len(box), np.int64)))
        writer.close()
    render(folder, Console(quiet=True))
    return folder / "overlay"


def inner(frame: int, low: int = 210) -> tuple[int, int, int, int]:
    """The person, away from the drawn box and its label."""
    return left(frame) + 8, 110, left(frame) + 52, low


SHARP = detail(picture(0), *inner(0))


def test_without_privacy_people_are_seen(tmp_path: Path):
    seen = pictures(run(tmp_path, "off") / "gate.mp4")
    assert detail(seen[15], *inner(15)) > 0.5 * SHARP


def test_bodies_are_gone_from_every_picture_that_is_written(tmp_path: Path):
    folder = run(tmp_path, "bodies")
    seen = pictures(folder / "gate.mp4")
    for frame in range(FIRST, LAST + 1):
        assert detail(seen[frame], *inner(frame)) < 0.02 * SHARP, frame
        grey = cv2.cvtColor(seen[frame], cv2.COLOR_BGR2GRAY)[
            110:210, left(frame) + 8 : left(frame) + 52
        ].astype(float)
        coat = cv2.cvtColor(picture(frame), cv2.COLOR_BGR2GRAY)[
            110:210, left(frame) + 8 : left(frame) + 52
        ].astype(float)
        assert np.abs(np.corrcoef(grey.ravel(), coat.ravel())[0, 1]) < 0.5, (
            "the pattern of the coat is not there"
        )
    grid = pictures(folder / "grid.mp4")
    scale = (WIDTH - 2) / WIDTH
    for frame in range(FIRST + 1, LAST):
        assert detail(grid[frame], *(round(side * scale) for side in inner(frame))) < 0.02 * SHARP


def test_just_before_and_after_somebody_is_followed_nobody_is_seen(tmp_path: Path):
    seen = pictures(run(tmp_path, "bodies") / "gate.mp4")
    for frame in (FIRST - 3, FIRST - 1, LAST + 1, LAST + 3):
        assert detail(seen[frame], *inner(frame)) < 0.25 * SHARP, frame


def test_the_rest_of_the_picture_is_as_it_was(tmp_path: Path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    plain, veiled = (
        pictures(run(tmp_path / n, blur) / "gate.mp4")[15] for n, blur in (("a", "off"), ("b", "bodies"))
    )
    away = np.s_[40:, 230:390]
    assert np.abs(plain[away].astype(int) - veiled[away].astype(int)).mean() < 2


def test_faces_only(tmp_path: Path):
    seen = pictures(run(tmp_path, "faces") / "gate.mp4")
    x0, _, x1, _ = inner(15)
    assert detail(seen[15], x0, 96, x1, 120) < 0.05 * SHARP
    assert detail(seen[15], x0, 140, x1, 210) > 0.4 * SHARP


def test_who_was_detected_but_never_followed_is_hidden_too(tmp_path: Path):
    seen = pictures(run(tmp_path, "bodies", detections=True) / "gate.mp4")
    for frame in range(2, FRAMES - 2):
        if frame < len(seen):
            assert detail(seen[frame], 408, 110, 452, 210) < 0.05 * SHARP, frame


def test_a_picture_that_the_run_did_not_look_at_shows_nothing(tmp_path: Path):
    seen = pictures(run(tmp_path, "faces", detections=True, looked_at=range(8, 24)) / "gate.mp4")
    for frame in (0, 4, 7, 24, 27):
        assert detail(seen[frame], 0, 40, WIDTH, HEIGHT) < 0.02 * SHARP, frame
    assert detail(seen[15], *inner(15)[:1], 140, inner(15)[2], 210) > 0.4 * SHARP, "faces only, where it did"


def test_frames_between_those_looked_at_are_covered(tmp_path: Path):
    seen = pictures(run(tmp_path, "bodies", detections=True, looked_at=range(0, FRAMES, 4)) / "gate.mp4")
    for frame in range(1, 26):
        assert detail(seen[frame], 408, 110, 452, 210) < 0.05 * SHARP, frame
        if FIRST <= frame <= LAST:
            assert detail(seen[frame], *inner(frame)) < 0.02 * SHARP, frame


def test_missing_detections_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run(tmp_path, "bodies")
    render(tmp_path, Console())
    assert "no saved detections of gate" in " ".join(capsys.readouterr().out.split())


def test_asking_hides_more_but_never_less(tmp_path: Path):
    run(tmp_path, "off")
    render(tmp_path, Console(quiet=True), blur="bodies")
    assert detail(pictures(tmp_path / "overlay/gate.mp4")[15], *inner(15)) < 0.02 * SHARP
    (tmp_path / "b").mkdir()
    run(tmp_path / "b", "bodies")
    render(tmp_path / "b", Console(quiet=True), blur="faces")
    assert detail(pictures(tmp_path / "b/overlay/gate.mp4")[15], *inner(15)) < 0.02 * SHARP


def test_rank_lists(tmp_path: Path):
    crop = picture(0)[80:220, left(0) : left(0) + 60]
    for name, blur in (("plain", None), ("blurred", "bodies")):
        row = [[(crop, "2 0.1", True), (crop, "3 0.2", False)]]
        draw_rank_list([(crop, "1 c1")], row, tmp_path / f"{name}.png", blur=blur)  # type: ignore[arg-type]
    plain, blurred = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("plain", "blurred"))
    assert plain.shape == blurred.shape
    for cell in range(3):
        area = (cell * plain.shape[1] // 3 + 20, 40, (cell + 1) * plain.shape[1] // 3 - 20, 160)
        assert detail(blurred, *area) < 0.02 * detail(plain, *area)


def test_two_people_cannot_be_told_apart_by_what_is_left():
    """Patterns of one mean: after the blur the nearest original is no longer one's own, but chance."""
    rng = np.random.default_rng(0)
    people = [np.kron(rng.permuted(np.tile([60, 180], 480)).reshape(40, 24), np.ones((4, 4))).astype(np.uint8)[:, :, None]
              .repeat(3, 2) for _ in range(20)]  # fmt: skip
    small = [cv2.resize(one, (24, 40), interpolation=cv2.INTER_AREA).astype(float) for one in people]
    left_over = [
        cv2.resize(blurred_crop(one, "bodies"), (24, 40), interpolation=cv2.INTER_AREA) for one in people
    ]
    kept = [np.corrcoef(a.ravel(), b.ravel())[0, 1] ** 2 for a, b in zip(small, left_over, strict=True)]
    assert max(kept) < 0.15, "share of the pattern that can be told from the blurred picture"


@pytest.mark.parametrize(
    "box", [(-50, -50, 10, 10), (470, 200, 600, 400), (20, 20, 20, 60), (900, 900, 950, 950), (5, 5, 8, 7)]
)
def test_boxes_at_and_outside_the_border(box: tuple[int, int, int, int]):
    image = picture(0)
    blur_areas(image, np.array([box], float), "bodies")
    assert image.shape == picture(0).shape
