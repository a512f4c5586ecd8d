"""Whom tracklets of overlapping views show: a room whose people and cameras are known exactly, everyone dressed alike."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulated import make_tracklet
from tests.unit.test_multiview import FPS, VIEWS, boxes, look, walks
from tracking.association import AssociationConfig, associate
from tracking.geometry import foot_points
from tracking.multiview import View
from tracking.sightings import overlapping, sightings_of
from tracking.types import Tracklet, TrackletKey

FRAMES = 30
START_S = 1.7e9
ELSEWHERE = look((55, -40, 3), (60, -40, 0.8))


def tracklets(views: dict[str, View], believed: dict[str, View] | None = None) -> list[Tracklet]:
    """One of each person in each view; floor positions are read with the calibrations that are believed."""
    rng, paths, found = np.random.default_rng(0), walks(FRAMES), []
    times = START_S + np.arange(FRAMES) / FPS
    for camera, view in views.items():
        seen = [boxes(view, paths[frame], rng, 0.0).xyxy for frame in range(FRAMES)]
        for person in range(3):
            xyxy = np.stack([one[person] for one in seen])
            ground = (believed or views)[camera].calibration.to_ground(foot_points(xyxy))
            found.append(make_tracklet(camera, person + 1, times, xyxy=xyxy, ground=ground))
    return found


def test_one_person_agrees_and_two_do_not():
    seen = sightings_of(tracklets(VIEWS), VIEWS)
    for camera, other in (("a", "b"), ("a", "c"), ("b", "c")):
        for person in (1, 2, 3):
            for stranger in (1, 2, 3):
                value = seen.agreement(TrackletKey(camera, person), TrackletKey(other, stranger))
                assert value > 0.8 if person == stranger else value < -0.8


def test_nothing_is_said_of_tracklets_that_were_hardly_seen_together():
    seen = sightings_of(tracklets(VIEWS), VIEWS)
    assert np.isnan(seen.agreement(TrackletKey("a", 1), TrackletKey("a", 9)))
    brief = [one if one.camera_id != "b" else _cut(one, 3) for one in tracklets(VIEWS)]
    assert np.isnan(sightings_of(brief, VIEWS).agreement(TrackletKey("a", 1), TrackletKey("b", 1)))


def _cut(whole: Tracklet, steps: int) -> Tracklet:
    rows = slice(0, steps)
    return make_tracklet(
        *whole.key, whole.timestamp_s[rows], xyxy=whole.xyxy[rows], ground=whole.ground_xy[rows]
    )


def test_a_camera_whose_calibration_is_off_proves_nothing():
    wrong = VIEWS | {"c": look((4.5, 8, 3), (4.5, 3, 0.8))}
    seen = sightings_of(tracklets(VIEWS, wrong), wrong)
    assert seen.agreement(TrackletKey("a", 1), TrackletKey("b", 1)) > 0.8
    for person in (1, 2, 3):
        assert np.isnan(seen.agreement(TrackletKey("a", 1), TrackletKey("c", person)))


def test_views_overlap_where_people_of_one_could_be_seen_in_the_other():
    alone = make_tracklet("d", 1, START_S + np.arange(3.0), ground=np.tile([60.0, -40.0], (3, 1)))
    everyone = [*tracklets(VIEWS), alone]
    assert overlapping(everyone, VIEWS | {"d": ELSEWHERE}) == [("a", "b", "c")]
    assert overlapping(everyone, {"a": VIEWS["a"], "d": ELSEWHERE}) == []


@pytest.mark.parametrize("known", [False, True])
def test_boxes_part_people_whom_the_floor_distance_joins(known: bool):
    # Camera a sees the first person only, b the second only, at times 0.8 m from each other: no camera shows that they are two.
    seen = [one for one in tracklets(VIEWS) if str(one.key) in ("a/1", "b/2", "c/1", "c/2")]
    sightings = [sightings_of(seen, VIEWS)] if known else []
    wide = AssociationConfig(max_cosine_distance=0.3, max_ground_distance_m=6.0, camera_bias=False)
    apart = [one for one in seen if one.camera_id != "c"]
    groups = {frozenset(map(str, one.tracklets)) for one in associate(apart, wide, sightings=sightings)}
    assert groups == ({frozenset({"a/1"}), frozenset({"b/2"})} if known else {frozenset({"a/1", "b/2"})})
    if known:
        (link, *_) = [link for one in associate(seen, wide, sightings=sightings) for link in one.links]
        assert link.view_agreement == pytest.approx(1.0, abs=0.2)
