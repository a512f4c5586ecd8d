"""Overlay videos: decoded again, and looked at pixel by pixel."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

from pipeline.commands.render import render
from pipeline.errors import ConfigError, ExportError
from pipeline.export.header import CameraInfo
from pipeline.export.record import Row, observations, record_of, table_of, write_run
from pipeline.render.drawing import clock_text, draw_caption, draw_objects
from pipeline.render.floor import FloorMap
from pipeline.render.palette import colour_of, ink_on
from pipeline.render.scene import CameraScene
from pipeline.render.video import BrowserVideo, fitted

START_S = 1_772_355_600.0  # 2026-03-01T09:00:00Z
WIDTH, HEIGHT, FPS, FRAMES = 480, 270, 10.0, 20
Picture = npt.NDArray[np.uint8]


def clip(path: Path, shade: int) -> Path:
    """A plain grey video."""
    with BrowserVideo(path, WIDTH, HEIGHT, FPS) as video:
        for index in range(FRAMES):
            video.write(np.full((HEIGHT, WIDTH, 3), shade, np.uint8), index / FPS)
    return path


def pictures(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def rows(camera: str, identity: int, left: float, ground: bool = True) -> list[Row]:
    return [
        Row(
            camera,
            identity,
            f,
            START_S + f / FPS,
            (left + 2 * f, 80.0, left + 2 * f + 60, 220.0),
            ground=(0.2 * f, float(identity)) if ground else (np.nan, np.nan),
        )
        for f in range(FRAMES)
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two cameras over grey footage, rendered once."""
    folder = tmp_path_factory.mktemp("run")
    cameras = [
        CameraInfo(name, str(clip(folder / f"{name}-footage.mp4", shade)), WIDTH, HEIGHT, FPS, START_S)
        for name, shade in (("gate", 60), ("hall", 160))
    ]
    table = table_of([*rows("gate", 1, 40), *rows("gate", 2, 300), *rows("hall", 1, 200)])
    write_run(record_of(table, ("person",), cameras), folder / "trajectories.json")
    render(folder, Console(quiet=True))
    return folder


def near(picture: Picture, x: float, y: float, colour: tuple[int, int, int], tolerance: int = 60) -> bool:
    """Whether a pixel close to ``x, y`` has nearly that colour; H.264 shares colour between four pixels."""
    patch = picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].reshape(-1, 3).astype(int)
    return bool((np.abs(patch - np.asarray(colour)).max(axis=1) <= tolerance).any())


def test_files_appear_whole(site: Path) -> None:
    names = sorted(path.name for path in (site / "overlay").iterdir())
    assert names == ["gate.mp4", "grid.mp4", "hall.mp4", "map.mp4", "map.png"]


@pytest.mark.parametrize("name", ["gate", "hall", "grid", "map"])
def test_videos_play_in_a_browser(site: Path, name: str) -> None:
    path = site / "overlay" / f"{name}.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == 0
        assert stream.height % 2 == 0
        assert float(stream.duration * stream.time_base) == pytest.approx(FRAMES / FPS, abs=0.15)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the index stands in front"


def test_boxes_have_the_colour_of_their_identity_at_their_place(site: Path) -> None:
    seen = pictures(site / "overlay" / "gate.mp4")
    assert len(seen) == FRAMES
    for frame in (0, 7, 19):
        for identity, left in ((1, 40), (2, 300)):
            x0, x1 = left + 2 * frame, left + 2 * frame + 60
            for x, y in ((x0, 150), (x1, 150), (x0 + 45, 80), (x0 + 50, 220)):
                assert near(seen[frame], x, y, colour_of(identity)), (frame, identity, x, y)
            assert near(seen[frame], x0 + 30, 150, (60, 60, 60)), "the picture shows through"


def test_one_identity_has_one_colour_in_every_camera(site: Path) -> None:
    assert near(pictures(site / "overlay" / "hall.mp4")[10], 220, 150, colour_of(1))


def test_the_grid_shows_cameras_and_map_in_step(site: Path) -> None:
    seen = pictures(site / "overlay" / "grid.mp4")
    assert len(seen) == FRAMES
    picture = seen[10]
    assert picture.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    scale = (WIDTH - 2) / WIDTH
    assert near(picture, 60 * scale, 150 * scale, colour_of(1)), "gate at the upper left"
    assert near(picture, WIDTH + 220 * scale, 150 * scale, colour_of(1)), "hall at the upper right"
    map_cell = picture[HEIGHT:, :WIDTH].reshape(-1, 3).astype(int)
    for identity in (1, 2):
        assert (np.abs(map_cell - np.asarray(colour_of(identity))).max(axis=1) < 60).any(), "the map below"


def test_the_map_puts_identities_where_they_are(site: Path) -> None:
    import cv2

    from pipeline.export.reader import read_run

    table = observations(read_run(site / "trajectories.json"))
    floor = FloorMap(table, (960, 720))
    drawn = cv2.imread(str(site / "overlay" / "map.png"))
    for path in floor.paths:
        x, y = floor.pixels(path.ground[:1])[0]
        assert near(drawn, x, y, colour_of(path.global_id), 30)
    east, north = floor.pixels(np.array([[1.0, 0.0], [0.0, 1.0]])) - floor.pixels(np.zeros((1, 2)))
    assert east[0] > 0
    assert north[1] < 0, "+y is up"
    assert abs(east[0]) == pytest.approx(abs(north[1])), "metres are square"


def test_the_map_does_not_claim_to_know_the_way_between_two_sights() -> None:
    seen = [
        Row("gate", 1, f, START_S + t, (0, 0, 9, 9), ground=(x, 5.0))
        for f, (t, x) in enumerate([(0, 0), (1, 2), (4, 18), (5, 20)])
    ]
    floor = FloorMap(table_of(seen), (960, 720))
    (x0, y), (x1, _) = floor.pixels(np.array([[3.0, 5.0], [17.0, 5.0]]))

    def drawn(picture: Picture) -> float:
        row = picture[round(y), round(x0) : round(x1)].astype(int)
        return float((np.ptp(row, axis=1) > 25).mean())  # the paper and its lines are nearly grey

    assert 0.1 < drawn(floor.whole()) < 0.7, "dots, neither a line nor nothing"
    assert drawn(floor.at(START_S + 5, "")) == 0, "the trail begins where the identity came back into sight"


def test_footage_that_moved_is_found_and_footage_that_is_gone_is_told(site: Path, tmp_path: Path) -> None:
    text = (site / "trajectories.json").read_text().replace("-footage.mp4", "-gone.mp4")
    (tmp_path / "trajectories.json").write_text(text)
    console = Console(record=True, width=300)
    paths = render(tmp_path, console, cameras=["gate", "hall"], moved={"gate": site / "gate-footage.mp4"})
    told = console.export_text()
    assert "hall-gone.mp4: no such file; drawn on blank frames" in told
    assert "gate-gone" not in told
    assert near(pictures(paths[0])[5], 80, 180, (60, 60, 60)), "the moved footage"
    assert near(pictures(paths[1])[5], 210, 150, colour_of(1)), "boxes on blank frames"


def test_one_camera_only(site: Path, tmp_path: Path) -> None:
    (tmp_path / "trajectories.json").write_text((site / "trajectories.json").read_text())
    assert "hall.mp4" not in [path.name for path in render(tmp_path, Console(quiet=True), cameras=["gate"])]
    with pytest.raises(ConfigError, match="no camera door in the result; it has gate, hall"):
        render(tmp_path, Console(quiet=True), cameras=["door"])


def test_without_results_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"trajectories\.json: cannot be read"):
        render(tmp_path, Console(quiet=True))


def test_a_folder_that_cannot_be_written(site: Path, tmp_path: Path) -> None:
    (tmp_path / "trajectories.json").write_text((site / "trajectories.json").read_text())
    (tmp_path / "overlay").write_text("in the way")
    with pytest.raises(ExportError, match="overlay: cannot be written"):
        render(tmp_path, Console(quiet=True))


def test_an_interrupted_video_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), BrowserVideo(tmp_path / "cut.mp4", 64, 64, 10.0) as video:
        video.write(np.zeros((64, 64, 3), np.uint8), 0.0)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pictures_after", [0, 9])
def test_a_disk_that_is_full_while_encoding_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures_after: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BrowserVideo, "_encode", full)
    picture = np.zeros((64, 64, 3), np.uint8)
    with (
        pytest.raises(ExportError, match=r"full\.mp4: cannot be written: .*No space left"),
        BrowserVideo(tmp_path / "full.mp4", 64, 64, 10.0) as video,
    ):
        for index in range(1 + pictures_after):
            video.write(picture, index / 10)
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "video-full"]


# -- parts


def test_boxes_between_two_observations_lie_between_them() -> None:
    sparse = [row for row in rows("gate", 1, 40) if row.frame % 4 == 0]
    record = record_of(table_of(sparse), ("person",), [CameraInfo("gate", "", WIDTH, HEIGHT, FPS)])
    scene = CameraScene(record, "gate")
    at_four, at_six = scene.at(4)[0], scene.at(6)[0]
    assert (at_four.is_seen, at_six.is_seen) == (True, False)
    assert at_six.xyxy == pytest.approx([52, 80, 112, 220])
    assert scene.at(17) == [], "nobody is shown after their last observation"


def test_a_trail_breaks_where_a_foot_leaps() -> None:
    walk = rows("gate", 1, 40)
    for step in range(10, 15):
        x0, y0, x1, _ = walk[step].xyxy
        walk[step] = Row("gate", 1, step, walk[step].time_s, (x0, y0, x1, 130.0))
    record = record_of(table_of(walk), ("person",), [CameraInfo("gate", "", WIDTH, HEIGHT, FPS)])
    (shown,) = CameraScene(record, "gate").at(19)
    assert np.isnan(shown.trail).any(axis=1).sum() == 2


def test_labels_do_not_cover_each_other_or_the_caption() -> None:
    walks = [*rows("gate", 1, 40), *rows("gate", 2, 46), *rows("gate", 3, 52)]
    record = record_of(table_of(walks), ("person",), [CameraInfo("gate", "", WIDTH, HEIGHT, FPS)])
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    draw_objects(image, CameraScene(record, "gate").at(0), with_class=False)
    filled = {
        identity: int((np.abs(image.astype(int) - np.asarray(colour_of(identity))).max(axis=2) < 6).sum())
        for identity in (1, 2, 3)
    }
    outline = 2 * (60 + 140) * 2
    assert all(count > 0.5 * outline for count in filled.values()), filled


def test_neighbouring_identities_look_different() -> None:
    colours = np.array([colour_of(identity) for identity in range(1, 41)]).astype(int)
    for apart in (1, 2, 3):
        assert np.abs(colours[apart:] - colours[:-apart]).max(axis=1).min() > 60
    assert len({tuple(colour) for colour in colours.tolist()}) == 40


def test_ink_is_readable() -> None:
    assert ink_on((255, 255, 255)) == (0, 0, 0)
    assert ink_on((120, 0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("time_s", "text"),
    [(3.14, "00:00:03.1"), (59.96, "00:01:00.0"), (START_S + 61.25, "2026-03-01 09:01:01.2 UTC")],
)
def test_clock(time_s: float, text: str) -> None:
    assert clock_text(time_s) == text


def test_a_caption_can_be_read_on_white() -> None:
    image = np.full((200, 400, 3), 255, np.uint8)
    draw_caption(image, "gate", "00:00:01.0")
    band = image[:15]
    assert band.min() < 110
    assert band.max() > 240


def test_a_picture_is_fitted_without_stretching() -> None:
    image = np.full((100, 200, 3), 255, np.uint8)
    out = fitted(image, 100, 100)
    assert out.shape == (100, 100, 3)
    assert (out[:24].max(), out[30:70].min(), out[77:].max()) == (0, 255, 0)
