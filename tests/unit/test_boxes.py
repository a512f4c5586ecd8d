"""Box geometry: known overlaps, and properties that hold for any boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracking.boxes import buffered, center_size, corners, iou_matrix, lerp, paired_iou

UNIT = [0.0, 0.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (UNIT, 1.0),
        ([5, 0, 15, 10], 1 / 3),
        ([10, 0, 20, 10], 0.0),  # touching is not overlapping
        ([2, 2, 4, 4], 0.04),
        ([3, 3, 3, 9], 0.0),  # no area
        ([20, 20, 30, 30], 0.0),
    ],
)
def test_overlap_of_two_boxes(other, expected):
    assert iou_matrix(np.array([UNIT]), np.array([other], float))[0, 0] == pytest.approx(expected)
    assert paired_iou(np.array([UNIT]), np.array([other], float))[0] == pytest.approx(expected)


def boxes(count):
    corner = arrays(np.float64, (count, 2), elements=st.floats(-500, 500))
    size = arrays(np.float64, (count, 2), elements=st.floats(0.5, 300))
    return st.builds(lambda c, s: np.concatenate((c, c + s), axis=1), corner, size)


@settings(deadline=None)
@given(boxes(4), boxes(3))
def test_overlap_is_symmetric_and_bounded(first, second):
    overlap = iou_matrix(first, second)
    assert overlap.shape == (4, 3)
    assert np.all((overlap >= 0) & (overlap <= 1 + 1e-9))
    np.testing.assert_allclose(overlap, iou_matrix(second, first).T, atol=1e-12)
    np.testing.assert_allclose(np.diag(iou_matrix(first, first)), 1, atol=1e-9)


@settings(deadline=None)
@given(boxes(5))
def test_center_size_and_back(xyxy):
    np.testing.assert_allclose(corners(center_size(xyxy)), xyxy, atol=1e-9)


def test_no_boxes_is_a_normal_value():
    none = np.zeros((0, 4))
    assert iou_matrix(none, np.array([UNIT])).shape == (0, 1)
    assert center_size(none).shape == corners(none).shape == buffered(none, 0.2).shape == (0, 4)


def test_buffer_grows_each_side_by_its_share():
    np.testing.assert_allclose(buffered(np.array([[10.0, 10.0, 20.0, 30.0]]), 0.5), [[5, 0, 25, 40]])
    two = buffered(np.array([UNIT, UNIT]), np.array([0.0, 0.1]))
    np.testing.assert_allclose(two, [UNIT, [-1, -1, 11, 11]])


def test_straight_line_between_boxes():
    line = lerp(np.zeros(4), np.full(4, 8.0), np.array([0.25, 0.5]))
    np.testing.assert_allclose(line, [[2] * 4, [4] * 4])
