"""Re-identification crops from recordings: whose they are, where they are cut, and the set they are added to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from reid.data.datasets import load_dataset
from samples.cli import main

SIZE = (96, 72)
FRAMES = 16
LOOKS = {4: (30, 60, 200), 7: (200, 60, 30)}
"""Colours (BGR) of the two who walk in both cameras."""


def box(actor: int, frame: int) -> tuple[int, int, int, int]:
    return (2 * frame if actor == 4 else 80 - 2 * frame), (4 if actor == 4 else 20), 16, 48


def picture(frame: int) -> np.ndarray:
    image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    for actor, look in LOOKS.items():
        x, y, width, height = box(actor, frame)
        image[y : y + height, x : x + width] = look
    return image


def line(actor: int, frame: int, visible: float = 1.0, kind: int = 1) -> str:
    left, top, width, height = box(actor, frame)
    return f"{frame + 1},{actor},{left},{top},{width},{height},1,{kind},{visible:.3f}\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_site: Callable[..., Path]) -> Path:
    """4 and 7 walk through both cameras; 7 is hidden in the second, where a car (1001) and a child too small drive and stand."""
    pictures = [picture(frame) for frame in range(FRAMES)]
    both = [line(actor, frame) for frame in range(FRAMES) for actor in LOOKS if abs(frame - 8) > 4]
    hidden = [line(7, frame, visible=0.3) for frame in range(FRAMES)]
    others = [f"1,1001,0,0,60,40,1,2,1.000\n{FRAMES - 1},9,40,8,12,30,1,1,1.000\n"]
    cameras = {"gate": (pictures, both), "hall": (pictures, [*(line(4, f) for f in range(FRAMES)), *hidden, *others])}
    return make_site(tmp_path_factory.mktemp("site") / "one", cameras)


@pytest.fixture
def reid_set(tmp_path: Path) -> Path:
    """A set of two identities in training and one, number 12, that is tested."""
    names = {"bounding_box_train": ("0001_c1", "0002_c2"), "query": ("0012_c1",), "bounding_box_test": ("0012_c2",)}
    for split, stems in names.items():
        (tmp_path / "set" / split).mkdir(parents=True)
        for stem in stems:
            cv2.imwrite(str(tmp_path / "set" / split / f"{stem}s1_000001_00_v1.jpg"), np.zeros((48, 16, 3), np.uint8))
    return tmp_path / "set"


def added(folder: Path) -> dict[str, np.ndarray]:
    paths = sorted((folder / "bounding_box_train").glob("*.jpg"))
    return {path.name: cv2.imread(str(path)) for path in paths if not path.name.startswith(("0001", "0002"))}


def test_each_crop_shows_whom_its_name_says(site: Path, reid_set: Path, capsys):
    assert main(["reid-footage", str(site), "--every-s", "0.2", "--out", str(reid_set), "--workers", "1"]) == 0
    crops = added(reid_set)
    # of frames 0, 2 .. 14 the gate shows both in 0, 2, 14, the hall 4 in all of them
    assert len(crops) == 2 * 3 + 8
    assert "'identities': 2, 'images': 14" in capsys.readouterr().out
    for name, image in crops.items():
        identity, camera, frame = map(int, re.match(r"(\d+)_c(\d)s1_(\d+)_", name).groups())  # type: ignore[union-attr]
        assert frame % 2 == 0 and (camera == 2 or abs(frame - 8) > 4)
        look = LOOKS[{13: 4, 14: 7}[identity]]
        centre = image[image.shape[0] // 3 : -image.shape[0] // 3, image.shape[1] // 3 : -image.shape[1] // 3]
        if box(4, frame)[0] + 16 < box(7, frame)[0] or box(4, frame)[0] > box(7, frame)[0] + 16:
            assert np.abs(centre.reshape(-1, 3).mean(axis=0) - look).max() < 25, name
        assert abs(image.shape[0] - 48) < 15 and abs(image.shape[1] - 16) < 6


def test_the_set_still_tests_those_it_tested(site: Path, reid_set: Path):
    main(["reid-footage", str(site), str(site), "--out", str(reid_set), "--workers", "1"])
    dataset = load_dataset("synthetic", reid_set)
    assert dataset.num_identities == 2 + 2 * 2, "the people of a second site are others"
    assert dataset.cameras == (0, 1)
    assert {one.identity for one in (*dataset.query, *dataset.gallery)} == {12}


def test_what_is_no_set_is_refused(site: Path, tmp_path: Path, capsys):
    assert main(["reid-footage", str(site), "--out", str(tmp_path)]) == 2
    assert f"{tmp_path}: no re-identification set" in capsys.readouterr().err


def test_seconds_must_pass_from_crop_to_crop(site: Path, reid_set: Path, capsys):
    assert main(["reid-footage", str(site), "--every-s", "0", "--out", str(reid_set)]) == 2
    assert "every_s" in capsys.readouterr().err
