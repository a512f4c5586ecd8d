"""Detection sets from recordings: each kept frame with its own picture and labels, the last site held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from samples.cli import main
from samples.yolofootage import YoloFootagePlan, write_yolo_footage

SIZE = (64, 48)
FRAMES = 23


def shade(index: int) -> int:
    return 20 + 9 * index


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, make_site: Callable[..., Path]) -> tuple[Path, Path]:
    """Two sites of one camera whose frames get lighter; one walks right through until frame 9, then nobody does."""
    pictures = [np.full((SIZE[1], SIZE[0], 3), shade(index), np.uint8) for index in range(FRAMES)]
    rows = [f"{frame + 1},4,{2 * frame}.00,8.00,10.00,30.00,1,1,0.500\n" for frame in range(10)]
    hidden = "5,9,40.00,8.00,10.00,30.00,0,1,0.100\n"
    car = "5,1001,20.00,10.00,32.00,16.00,1,2,0.900\n"
    made, camera = tmp_path_factory.mktemp("sites"), {"cam1": (pictures, [*rows, hidden, car])}
    return make_site(made / "one", camera), make_site(made / "two", camera)


def test_a_frame_keeps_its_picture_and_its_labels(sites: tuple[Path, Path], tmp_path: Path):
    counts = write_yolo_footage(YoloFootagePlan(sites, every_s=0.2), tmp_path, workers=1)
    # frames 0, 2 .. 8 show somebody, of 10, 12 .. 22 one stands for the bare place
    assert counts == {"train": 6, "val": 6}
    names = sorted(path.stem for path in (tmp_path / "images" / "train").iterdir())
    assert names == [f"00_cam1_{index:06d}" for index in (0, 2, 4, 6, 8, 10)]
    for name in names:
        index = int(name[-6:])
        image = cv2.imread(str(tmp_path / "images" / "train" / f"{name}.jpg"))
        assert image is not None
        assert abs(float(image.mean()) - shade(index)) < 4.5, "the picture of another frame"
    lines = (tmp_path / "labels" / "train" / "00_cam1_000004.txt").read_text().splitlines()
    expected = [[0, 13 / 64, 23 / 48, 10 / 64, 30 / 48], [1, 36 / 64, 18 / 48, 32 / 64, 16 / 48]]
    assert np.allclose([list(map(float, line.split())) for line in lines], expected, atol=1e-6)
    assert (tmp_path / "labels" / "train" / "00_cam1_000010.txt").read_text() == ""


def test_the_last_site_validates(sites: tuple[Path, Path], tmp_path: Path):
    assert main(["yolo-footage", *map(str, sites), "--every-s", "0.5", "--out", str(tmp_path), "--workers", "1"]) == 0
    assert {path.name[:2] for path in (tmp_path / "images" / "train").iterdir()} == {"00"}
    assert {path.name[:2] for path in (tmp_path / "images" / "val").iterdir()} == {"01"}
    assert (tmp_path / "data.yaml").is_file()


def test_a_clip_shorter_than_its_truth_is_named(sites: tuple[Path, Path], tmp_path: Path, capsys):
    truth = sites[1] / "truth" / "cam1.txt"
    known = truth.read_text()
    truth.write_text(known + f"{FRAMES + 1},4,0.00,8.00,10.00,30.00,1,1,0.500\n")
    try:
        assert main(["yolo-footage", *map(str, sites), "--out", str(tmp_path), "--workers", "1"]) == 2
    finally:
        truth.write_text(known)
    assert f"cam1.mp4: {FRAMES} frames, its truth speaks of frame {FRAMES + 1}" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "fault"), [(["only"], "two at least"), (["a", "b", "--every-s", "0"], "every_s")])
def test_a_set_that_cannot_be_is_refused(arguments: list[str], fault: str, tmp_path: Path, capsys):
    assert main(["yolo-footage", *arguments, "--out", str(tmp_path)]) == 2
    assert fault in capsys.readouterr().err
