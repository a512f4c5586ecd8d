"""Which size of a picture answers for which objects."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from pipeline.config import DetectorConfig
from pipeline.stages.scales import in_range, joined, size_ranges
from tracking.types import Detections


def squares(*sides_px: float) -> Detections:
    sides = np.array(sides_px, np.float32)
    boxes = np.stack([np.zeros_like(sides), np.zeros_like(sides), sides, sides], axis=1)
    return Detections(boxes, np.full(len(sides), 0.5), np.zeros(len(sides), np.int64))


def test_one_size_answers_for_everything():
    assert size_ranges([640]) == [(0.0, math.inf)]


@pytest.mark.parametrize("sizes", [(640, 960), (320, 640, 1280), (64, 4096)])
def test_no_object_is_nobodys_and_the_small_picture_has_the_large_ones(sizes: tuple[int, ...]):
    ranges = size_ranges(sizes)
    assert ranges[0][1] == math.inf and ranges[-1][0] == 0.0
    for (low, high), (next_low, next_high) in pairwise(ranges):
        assert next_low < low < next_high < high


def test_neighbours_share_what_is_large_halfway_between_them():
    small, large = size_ranges([640, 1440])
    border = 96 / 960  # 960 is the geometric mean
    assert small[0] == pytest.approx(border / math.sqrt(2))
    assert large[1] == pytest.approx(border * math.sqrt(2))


def test_objects_count_by_their_part_of_the_picture():
    found = squares(10, 50, 90, 200)
    assert in_range(found, 1000, (0.05, 0.1)).xyxy[:, 2].tolist() == [50, 90]
    assert len(in_range(Detections.empty(), 1000, (0.0, math.inf))) == 0


def test_joined_keeps_every_row_in_order():
    assert joined([squares(1, 2), Detections.empty(), squares(3)]).xyxy[:, 2].tolist() == [1, 2, 3]


def test_sizes_of_the_config_are_ascending_and_each_once():
    assert DetectorConfig(weights="a.pt").image_sizes == (640,)
    assert DetectorConfig(weights="a.pt", image_size=[960, 640, 960]).image_sizes == (640, 960)


def test_a_network_of_one_size_takes_no_others():
    with pytest.raises(ValueError, match="a YOLOX file has one size of its own"):
        DetectorConfig(backend="yolox", weights="a.onnx", image_size=[640, 960])
