"""Recorded sources: times, selection, what is missing or broken."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pipeline.config import CameraConfig
from pipeline.errors import SourceError
from pipeline.sources.images import ImageSource
from pipeline.sources.opening import open_source
from pipeline.sources.source import Selection
from pipeline.sources.video import VideoSource

Clip = Callable[..., Path]


def pictures(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """The frame number in binary, as black and white columns."""
    images = np.zeros((count, size[1], size[0], 3), np.uint8)
    for index, image in enumerate(images):
        for bit in range(6):
            image[:, bit * 10 : bit * 10 + 10] = 255 * (index >> bit & 1)
    return list(images)


def number_of(image: np.ndarray) -> int:
    return sum((image[:, bit * 10 + 3 : bit * 10 + 7].mean() > 127) << bit for bit in range(6))


def camera(source: Path | str, **fields: Any) -> CameraConfig:
    return CameraConfig(id="a", source=str(source), **fields)


def positions(source: Any) -> list[float]:
    return [frame.ref.timestamp_s for frame in source]


@pytest.mark.parametrize(
    ("name", "codec", "format_name"),
    [
        ("a.mp4", "libx264", None),
        ("a.mkv", "libx264", None),
        ("a.avi", "mpeg4", None),
        ("a.264", "libx264", "h264"),
    ],
)
def test_every_container_gives_every_frame_in_order(
    tmp_path: Path, make_clip: Clip, name: str, codec: str, format_name: str | None
):
    path = make_clip(tmp_path / name, pictures(30), 10, codec, format_name)
    source = open_source(camera(path, fps=10 if format_name else None))
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert [frame.ref.frame_index for frame in frames] == list(range(30))
    assert [frame.ref.timestamp_s for frame in frames] == pytest.approx(
        [index / 10 for index in range(30)], abs=2e-3
    )
    assert (source.info.width, source.info.height, source.frames_skipped, source.truncated) == (
        64,
        48,
        0,
        False,
    )
    source.close()
    source.close()


def test_fractional_rates_are_exact(tmp_path: Path, make_clip: Clip):
    path = make_clip(tmp_path / "ntsc.mp4", pictures(40), Fraction(30000, 1001))
    times = positions(VideoSource(camera(path)))
    assert times == [round(index * 1001 / 30000, 6) for index in range(40)]


def test_site_time_is_start_plus_offset_plus_position(tmp_path: Path, make_clip: Clip):
    path = make_clip(tmp_path / "a.mp4", pictures(3))
    start = datetime(2026, 3, 1, 9, tzinfo=timezone.utc)
    times = positions(VideoSource(camera(path, start_time=start, start_offset_s=-1.5)))
    assert times == [start.timestamp() - 1.5 + index / 10 for index in range(3)]
    naive = positions(VideoSource(camera(path, start_time=start.replace(tzinfo=None))))
    assert naive[0] == start.timestamp()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"every_nth": 3}, [0, 3, 6, 9]),
        ({"max_fps": 5}, [0, 2, 4, 6, 8]),
        ({"max_fps": 30}, list(range(10))),
        ({"start_s": 0.3, "end_s": 0.6}, [3, 4, 5]),
        ({"start_s": 0.3, "every_nth": 2}, [3, 5, 7, 9]),
    ],
)
def test_selection(tmp_path: Path, make_clip: Clip, fields: dict[str, Any], expected: list[int]):
    path = make_clip(tmp_path / "a.mp4", pictures(10))
    source = VideoSource(camera(path, **fields))
    frames = list(source)
    assert [frame.ref.frame_index for frame in frames] == expected
    assert [number_of(frame.image) for frame in frames] == expected
    assert source.info.frames_declared == len(expected)
    assert not source.truncated


def write_stream(path: Path, stamps: list[int], muxer: dict[str, str] | None = None, **options: str) -> Path:
    """Noise in H.264 with a picture at each of ``stamps`` milliseconds."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream: Any = container.add_stream("libx264", rate=30, options={"g": "9", "bf": "3", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp in stamps:
            image = rng.integers(0, 255, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


EVEN = [round(1000 * index / 25) for index in range(60)]
UNEVEN = [40 * index + 17 * (index % 3) for index in range(60)]
TRIMMED = {"movflags": "frag_keyframe+empty_moov+delay_moov"}


@pytest.mark.parametrize(
    ("name", "stamps", "muxer", "options"),
    [
        ("bframes.mp4", EVEN, {}, {}),
        ("open.mp4", EVEN, {}, {"x264-params": "open-gop=1"}),
        ("open-uneven.mkv", UNEVEN, {}, {"x264-params": "open-gop=1:b-pyramid=normal"}),
        ("uneven.mp4", UNEVEN, {}, {}),
        ("late.mp4", [5000 + stamp for stamp in UNEVEN], {}, {}),
        ("late.ts", EVEN, {}, {}),
        ("fragments.mp4", EVEN, TRIMMED, {}),
        ("one-key.mkv", UNEVEN, {}, {"g": "1000"}),
    ],
)
def test_a_start_inside_gives_the_frames_of_the_whole_file(
    tmp_path: Path, name: str, stamps: list[int], muxer: dict[str, str], options: dict[str, str]
):
    path = write_stream(tmp_path / name, stamps, muxer, **options)
    whole = list(VideoSource(camera(path)))
    assert len(whole) == 60
    for start_s in (0.01, 0.33, whole[27].ref.timestamp_s, 1.5, whole[-1].ref.timestamp_s, 99.0):
        source = VideoSource(camera(path, start_s=start_s))
        frames = list(source)
        wanted = [frame for frame in whole if frame.ref.timestamp_s >= start_s - 1e-9]
        assert [frame.ref for frame in frames] == [frame.ref for frame in wanted], start_s
        assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, wanted, strict=True))
        assert (source.frames_skipped, source.truncated) == (0, False), start_s


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), 10])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")])
def test_what_lies_before_the_start_is_not_decoded(
    tmp_path: Path, make_clip: Clip, name: str, codec: str, rate: Fraction
):
    path = make_clip(tmp_path / name, pictures(60), rate, codec, g="10")
    start_s = 45 / float(rate)
    source = VideoSource(camera(path, start_s=start_s))
    decoded = []
    decode = source._pictures
    source._pictures = lambda packets: (decoded.append(one) or one for one in decode(packets))  # type: ignore[method-assign]
    frames = list(source)
    wanted = [frame for frame in VideoSource(camera(path)) if frame.ref.timestamp_s >= start_s - 1e-9]
    assert [frame.ref for frame in frames] == [frame.ref for frame in wanted]
    assert [number_of(frame.image) for frame in frames] == [number_of(frame.image) for frame in wanted]
    assert len(decoded) <= len(wanted) + 10


def test_max_fps_holds_on_average():
    chosen = Selection(camera("x", max_fps=20))
    taken = sum(chosen.wants(index / 30) for index in range(300))
    assert 198 <= taken <= 202


def test_cut_off_recording_is_truncated(tmp_path: Path, make_clip: Clip):
    whole = make_clip(tmp_path / "whole.avi", pictures(60, (320, 240)), 10, "mpeg4", g="1")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    source = VideoSource(camera(cut))
    frames = list(source)
    assert 10 < len(frames) < 60
    assert source.info.frames_declared == 60
    assert source.truncated


def test_cut_off_matroska_is_truncated_though_it_counts_no_frames(tmp_path: Path, make_clip: Clip):
    whole = make_clip(tmp_path / "whole.mkv", pictures(60, (320, 240)), 10, "mpeg4", g="1")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source = VideoSource(camera(cut))
    assert 0 < len(list(source)) < 55
    assert source.truncated


def test_damaged_frames_are_skipped_and_counted(tmp_path: Path, make_clip: Clip):
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (96, 128, 3), np.uint8) for _ in range(20)]
    whole = make_clip(tmp_path / "whole.avi", noisy, 10, "mjpeg", strict="unofficial")
    data = bytearray(whole.read_bytes())
    start = data.find(b"\xff\xd8", len(data) // 2)
    size = data.find(b"\xff\xd9", start) - start
    data[start : start + size] = bytes(size)
    broken = tmp_path / "broken.avi"
    broken.write_bytes(data)
    source = VideoSource(camera(broken))
    frames = list(source)
    assert source.frames_skipped == 1
    assert len(frames) == 19
    missing = set(range(20)) - {frame.ref.frame_index for frame in frames}
    assert len(missing) == 1, "the frames after a damaged one keep their numbers"
    assert [frame.ref.timestamp_s for frame in frames] == [frame.ref.frame_index / 10 for frame in frames]
    assert not source.truncated


@pytest.mark.parametrize(
    ("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1), ((1, 0, 0, 1), 0)]
)
def test_what_a_phone_filmed_sideways_stands_upright(
    tmp_path: Path, make_clip: Clip, matrix: tuple[int, int, int, int], turns: int
):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255
    data = bytearray(make_clip(tmp_path / "plain.mp4", [image] * 3).read_bytes())
    start = data.find(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2: the transformation matrix of the track
    a, b, c, d = (value * 0x10000 for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    (tmp_path / "turned.mp4").write_bytes(data)
    source = VideoSource(camera(tmp_path / "turned.mp4"))
    frames = list(source)
    expected = np.rot90(image, turns)
    assert (source.info.height, source.info.width) == expected.shape[:2]
    assert len(frames) == 3
    assert np.abs(frames[0].image.astype(int) - expected).mean() < 8


def test_a_cut_off_mp4_is_truncated_where_its_index_stands_in_front(tmp_path: Path, make_clip: Clip):
    whole = make_clip(
        tmp_path / "whole.mp4", pictures(60, (320, 240)), 10, muxer={"movflags": "faststart"}, g="1"
    )
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    source = VideoSource(camera(cut))
    frames = list(source)
    assert 0 < len(frames) < 60
    assert source.info.frames_declared == 60
    assert source.truncated


def test_what_cannot_be_opened_is_named(tmp_path: Path, make_clip: Clip):
    empty, text = tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.touch()
    text.write_text("no video " * 100)
    raw = make_clip(tmp_path / "a.264", pictures(3), 10, "libx264", "h264")
    for path, message in [
        (tmp_path / "none.mp4", "no such file"),
        (empty, "empty"),
        (text, "not a readable video"),
        (raw, "give the camera's fps"),
    ]:
        with pytest.raises(SourceError, match=f"camera a: .*{path.name}.*{message}"):
            VideoSource(camera(path))


def test_images_in_natural_order(tmp_path: Path):
    for index in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"img{index}.png"), pictures(11)[index])
    (tmp_path / "notes.txt").write_text("not a picture")
    for pattern in (str(tmp_path), str(tmp_path / "img*.png")):
        source = open_source(camera(pattern, fps=25))
        assert isinstance(source, ImageSource)
        frames = list(source)
        assert [number_of(frame.image) for frame in frames] == [1, 2, 10]
        assert [frame.ref.timestamp_s for frame in frames] == [0, 0.04, 0.08]


def test_unreadable_images_are_skipped_and_counted(tmp_path: Path):
    for index, image in enumerate(pictures(4)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    (tmp_path / "1.png").write_bytes(b"broken")
    (tmp_path / "2.png").write_bytes(b"")
    source = ImageSource(camera(tmp_path, fps=10))
    assert [frame.ref.frame_index for frame in source] == [0, 3]
    assert source.frames_skipped == 2


def test_images_need_to_be_there_and_have_a_rate(tmp_path: Path):
    with pytest.raises(SourceError, match="no images there"):
        ImageSource(camera(tmp_path, fps=10))
    cv2.imwrite(str(tmp_path / "0.png"), pictures(1)[0])
    with pytest.raises(SourceError, match="give the camera's fps"):
        ImageSource(camera(tmp_path))
