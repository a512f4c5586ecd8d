"""One camera, two tracklets for a moment: one object whose track was taken over, or two that met?"""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulated import make_tracklet, unit
from tracking.association import AssociationConfig, associate
from tracking.handovers import handovers
from tracking.types import Tracklet, TrackletKey

ONE, OTHER = unit([1.0, 0.1, 0.0]), unit([0.0, 0.1, 1.0])


def walker(local_id: int, begin: int, end: int, look: np.ndarray = ONE, aside: float = 0.0, camera: str = "a") -> Tracklet:
    """In frames ``begin`` to ``end``, ten a second, walking to the right, ``aside`` pixels below the way of the others."""
    frames = np.arange(begin, end + 1)
    left = 10.0 + 4.0 * frames
    boxes = np.stack([left, np.full(len(left), aside), left + 40.0, np.full(len(left), aside + 100.0)], axis=1)
    return make_tracklet(camera, local_id, frames / 10, embeddings=np.tile(look, (4, 1)), xyxy=boxes)


@pytest.mark.parametrize(
    ("earlier", "later", "is_one"),
    [
        ((0, 20), (18, 40), True),  # taken over, two boxes for 0.2 s
        ((0, 20), (20, 40), True),
        ((0, 40), (20, 24), True),  # a short piece within
        ((0, 20), (14, 40), False),  # both there for 0.6 s
        ((0, 20), (21, 40), False),  # one after the other needs no leave
        ((0, 20), (0, 4), False),  # which of them came first cannot be said
    ],
)
def test_those_that_lie_on_each_other_for_a_moment(earlier: tuple[int, int], later: tuple[int, int], is_one: bool):
    found = handovers([walker(2, *later), walker(1, *earlier)])
    assert found == (((TrackletKey("a", 1), TrackletKey("a", 2)),) if is_one else ())


def test_boxes_apart_and_other_cameras_are_two():
    assert handovers([walker(1, 0, 20), walker(2, 18, 40, aside=95.0)]) == ()
    assert handovers([walker(1, 0, 20), walker(2, 18, 40, camera="b")]) == ()


@pytest.mark.parametrize(("look", "aside", "people"), [(ONE, 0.0, 1), (OTHER, 0.0, 2), (ONE, 95.0, 2)])
def test_looks_say_whether_one_took_over(look: np.ndarray, aside: float, people: int):
    pair = [walker(1, 0, 20), walker(2, 18, 40, look, aside)]
    assert len(associate(pair, AssociationConfig(max_cosine_distance=0.3))) == people
