"""Which crops are worth embedding: quality, policies, and what a tentative track may not do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.config import CropConfig
from pipeline.packets import Frame
from pipeline.stages.crop import (
    MAX_CROPS,
    CropStage,
    border_share,
    covered_share,
    crop_quality,
    cut,
    sharpness,
)
from tracking.types import FrameRef, TrackedFrame

SHAPE = (200, 300, 3)
BOX = (50.0, 40.0, 90.0, 140.0)


def seen(
    index: int,
    boxes: Sequence[Sequence[float]] = (BOX,),
    confidence: Sequence[float] = (0.9,),
    confirmed: bool = True,
    ended: tuple[int, ...] = (),
    image: np.ndarray | None = None,
) -> tuple[Frame, TrackedFrame]:
    ref, count = FrameRef("a", index, index / 10), len(boxes)
    tracked = TrackedFrame(
        ref,
        np.arange(1, count + 1),
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(confidence[:count], np.float32),
        np.zeros(count, np.int64),
        np.arange(count),
        np.full(count, confirmed),
        ended,
    )
    return Frame(ref, np.full(SHAPE, index % 256, np.uint8) if image is None else image), tracked


def end(index: int) -> tuple[Frame, TrackedFrame]:
    return seen(index, boxes=(), ended=(1,))


def config(**fields: Any) -> CropConfig:
    return CropConfig(**fields)


def frames_of(crops: list[list[Any]]) -> list[int]:
    return [crop.frame_index for given in crops for crop in given]


@pytest.mark.parametrize(
    ("box", "confidence", "passes"),
    [
        (BOX, 0.9, True),
        (BOX, 0.3, False),
        ((50, 40, 60, 140), 0.9, False),
        ((50, 40, 90, 70), 0.9, False),
        ((0, 0, 300, 200), 0.9, False),
        ((0, 40, 40, 140), 0.9, True),
    ],
)
def test_gates(box: Sequence[float], confidence: float, passes: bool):
    _, tracked = seen(0, [box], [confidence])
    assert (crop_quality(tracked, SHAPE, config())[0] > 0) == passes


def test_the_box_in_front_covers_the_one_behind():
    boxes = np.array([[0, 0, 10, 100], [0, 50, 10, 150]], np.float32)
    assert covered_share(boxes).tolist() == [0.5, 0.0]
    assert covered_share(boxes[:1]).tolist() == [0.0]


def test_border_share():
    boxes = np.array([[50, 40, 90, 140], [0, 0, 300, 200], [0, 50, 50, 100]], np.float32)
    assert border_share(boxes, SHAPE).tolist() == [0.0, 1.0, 0.25]


def test_quality_prefers_sure_visible_large_crops():
    large, small = (50, 10, 110, 150), (150, 10, 190, 60)
    _, tracked = seen(0, [large, small], [0.9, 0.9])
    quality = crop_quality(tracked, SHAPE, config())
    assert quality[0] == pytest.approx(0.9)
    assert quality[0] > quality[1] > 0


def test_every_crop_and_every_s():
    batch = [seen(index) for index in range(12)] + [end(12)]
    assert frames_of(CropStage(config(policy="every_crop")).process(batch)) == list(range(12))
    assert frames_of(CropStage(config(policy="every_s", every_s=0.5)).process(batch)) == [0, 5, 10]


def test_best_k_gives_the_best_of_each_stretch_when_the_track_ends():
    confidence = [0.5, 0.9, 0.6, 0.6, 0.6, 0.6, 0.6, 0.8, 0.6, 0.6, 0.6, 0.7]
    batch = [seen(index, confidence=(one,)) for index, one in enumerate(confidence)]
    stage = CropStage(config(k=2, every_s=0.5))
    assert frames_of(stage.process(batch)) == []
    crops = stage.process([end(12)])[0]
    assert [crop.frame_index for crop in crops] == [1, 7]
    assert [int(crop.image[0, 0, 0]) for crop in crops] == [1, 7]
    assert crops[0].image.shape == (100, 40, 3)


def test_best_k_holds_k_crops_however_long_the_track():
    stage = CropStage(config(k=3, every_s=0.1))
    rng = np.random.default_rng(0)
    for index in range(500):
        assert stage.process([seen(index, confidence=(float(rng.uniform(0.5, 1)),))]) == [[]]
    assert len(stage.process([end(500)])[0]) == 3


def test_early_crops_come_once_and_are_not_given_again():
    stage = CropStage(config(k=8, every_s=0.2), early_crops=3)
    given = stage.process([seen(index) for index in range(10)] + [end(10)])
    assert [len(crops) for crops in given] == [0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 2]
    assert len(set(frames_of(given))) == 5


@pytest.mark.parametrize("policy", ["every_crop", "every_s", "best_k"])
def test_tentative_tracks_give_nothing(policy: Any):
    stage = CropStage(config(policy=policy))
    assert frames_of(stage.process([seen(index, confirmed=False) for index in range(5)] + [end(5)])) == []
    confirmed = [*(seen(index, confirmed=index > 1) for index in range(10, 13)), end(13)]
    assert 10 in frames_of(CropStage(config(policy=policy)).process(confirmed))


def test_blurred_crops_are_refused_where_asked():
    rng = np.random.default_rng(0)
    crisp = rng.integers(0, 255, SHAPE).astype(np.uint8)
    assert sharpness(crisp) > 100 > sharpness(np.full(SHAPE, 9, np.uint8))
    stage = CropStage(config(policy="every_crop", min_sharpness=100))
    assert frames_of(stage.process([seen(0), seen(1, image=crisp)])) == [1]


def test_cut_never_leaves_the_picture_and_never_is_empty():
    image = np.zeros((20, 30, 3), np.uint8)
    assert cut(image, np.array([-5, -5, 10.2, 10], np.float32)).shape == (10, 11, 3)
    assert cut(image, np.array([40, 40, 50, 50], np.float32)).size > 0
    assert not np.shares_memory(cut(image, np.array([0, 0, 5, 5], np.float32)), image)


def test_batching_changes_nothing():
    batch = [seen(index, confidence=(0.5 + index % 7 / 20,)) for index in range(30)] + [end(30)]
    whole = CropStage(config(), 2).process(batch)
    stage = CropStage(config(), 2)
    single = [stage.process([one])[0] for one in batch]
    assert [[crop.frame_index for crop in crops] for crops in whole] == [[crop.frame_index for crop in crops] for crops in single]


def test_best_k_keeps_k_crops_of_each_stretch_between_two_meetings():
    beside = (BOX[0] + 10, BOX[1], BOX[2] + 10, BOX[3])
    batch = [
        seen(index, boxes=(BOX, beside) if 30 <= index < 40 else (BOX,), confidence=(0.5 if index > 40 else 0.9, 0.3))
        for index in range(80)
    ]
    crops = CropStage(config(k=3, every_s=0.2)).process([*batch, seen(80, boxes=(), ended=(1, 2))])[-1]
    own = [crop.frame_index for crop in crops if crop.key.local_id == 1]
    assert [sum(low <= index < high for index in own) for low, high in ((0, 30), (40, 80))] == [3, 3], "worse ones too"


def test_best_k_holds_a_bounded_number_of_crops_however_often_others_are_met():
    beside = (BOX[0] + 10, BOX[1], BOX[2] + 10, BOX[3])
    batch = [seen(index, boxes=(BOX, beside) if index % 4 < 2 else (BOX,), confidence=(0.9, 0.3)) for index in range(800)]
    crops = CropStage(config(every_s=0.1)).process([*batch, seen(800, boxes=(), ended=(1, 2))])[-1]
    assert sum(crop.key.local_id == 1 for crop in crops) == MAX_CROPS
