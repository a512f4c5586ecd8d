"""Offline association: on sites with known truth, against brute force, and rule by rule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulated import Looks, Site, corridor_site, make_tracklet, pair_scores, room_site, unit
from tracking.association import AssociationConfig, associate
from tracking.corrections import Corrections
from tracking.topology import CameraLink, Topology
from tracking.types import Tracklet, TrackletKey, Trajectory

NEAR = AssociationConfig(max_cosine_distance=0.4)


def _looks(*directions: float) -> np.ndarray:
    """One crop per angle (degrees) in the plane: the cosine distance of two is 1 - cos of their difference."""
    angles = np.deg2rad(directions)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _seen(camera: str, local_id: int, start: float, stop: float, angle: float, **kwargs: object) -> Tracklet:
    return make_tracklet(camera, local_id, np.arange(start, stop, 0.5), embeddings=_looks(angle), **kwargs)  # type: ignore[arg-type]


def _groups(trajectories: Sequence[Trajectory]) -> set[frozenset[str]]:
    return {frozenset(map(str, one.tracklets)) for one in trajectories}


def _never_twice_at_once(site: Site, trajectories: Sequence[Trajectory]) -> None:
    by_key = {tracklet.key: tracklet for tracklet in site.tracklets}
    for one in trajectories:
        members = [by_key[key] for key in one.tracklets]
        for number, a in enumerate(members):
            for b in members[number + 1 :]:
                if a.camera_id == b.camera_id:
                    assert a.end_s < b.start_s or b.end_s < a.start_s, f"{a.key} and {b.key} in one identity"


def test_no_tracklets_are_no_identities() -> None:
    assert associate([], NEAR) == ()


def test_a_tracklet_alone_is_an_identity_without_links() -> None:
    (only,) = associate([_seen("a", 1, 0, 5, 0)], NEAR)
    assert only == Trajectory(1, 0, (TrackletKey("a", 1),))


def test_the_same_looks_in_two_cameras_are_linked_with_evidence() -> None:
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("b", 7, 10, 15, 20), _seen("b", 8, 12, 15, 90)]
    first, second = associate(tracklets, NEAR)
    assert first.tracklets == (TrackletKey("a", 1), TrackletKey("b", 7))
    (link,) = first.links
    assert link.cosine_distance == pytest.approx(1 - np.cos(np.deg2rad(20)), abs=1e-5)
    # b/7 could also have been... nothing else: b/8 is seen in the same camera at the same time.
    assert link.runner_up_distance is None
    assert link.gap_s == pytest.approx(5.5)
    assert link.crops_used == (1, 1)
    assert link.max_cosine_distance == 0.4
    assert link.reason == "appearance"
    assert "travel_time" in link.gates
    assert "class" in link.gates
    assert second.tracklets == (TrackletKey("b", 8),)


def test_runner_up_and_margin() -> None:
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("a", 2, 0, 5, 50), _seen("b", 1, 10, 15, 10)]
    linked = next(one for one in associate(tracklets, NEAR) if one.links)
    (link,) = linked.links
    assert link.runner_up_distance == pytest.approx(1 - np.cos(np.deg2rad(40)), abs=1e-5)
    assert link.margin == pytest.approx(np.cos(np.deg2rad(10)) - np.cos(np.deg2rad(40)), abs=1e-5)


def test_ids_count_from_one_in_order_of_first_appearance() -> None:
    tracklets = [_seen("b", 1, 50, 55, 0), _seen("a", 9, 3, 5, 90), _seen("c", 2, 1, 2, 180)]
    result = associate(tracklets, NEAR)
    assert [(one.global_id, str(one.tracklets[0])) for one in result] == [(1, "c/2"), (2, "a/9"), (3, "b/1")]


def test_one_camera_at_one_time_is_never_one_identity_not_even_through_a_third() -> None:
    # Both of camera a look like b/1: joining them through b would put one identity twice into one view.
    tracklets = [_seen("a", 1, 0, 10, 0), _seen("a", 2, 5, 15, 2), _seen("b", 1, 20, 25, 1)]
    groups = _groups(associate(tracklets, NEAR))
    assert frozenset({"a/1", "a/2", "b/1"}) not in groups
    assert len(groups) == 2


def test_touching_in_the_same_frame_counts_as_at_once() -> None:
    first, second = (
        make_tracklet("a", 1, [0.0, 1.0], embeddings=_looks(0)),
        make_tracklet("a", 2, [1.0, 2.0], embeddings=_looks(0), xyxy=[[300.0, 100.0, 350.0, 250.0]] * 2),
    )
    assert len(associate([first, second], NEAR)) == 2
    later = make_tracklet("a", 2, [1.2, 2.0], embeddings=_looks(0))
    assert len(associate([first, later], NEAR)) == 1


@pytest.mark.parametrize(
    ("gap_s", "linked"), [(4.0, False), (5.0, True), (9.0, True), (12.0, True), (13.0, False)]
)
def test_travel_window(gap_s: float, linked: bool) -> None:
    topology = Topology((CameraLink("a", "b", 5.0, 12.0),), closed=True)
    tracklets = [_seen("a", 1, 0, 5.5, 0), _seen("b", 1, 5.0 + gap_s, 25, 0)]
    config = AssociationConfig(clock_slack_s=0.0)
    assert (len(associate(tracklets, config, topology=topology)) == 1) is linked


@pytest.mark.parametrize(("gap_s", "linked"), [(0.4, True), (8.0, True), (13.0, False)])
def test_coming_back_may_take_long_but_a_track_that_broke_goes_on_at_once(gap_s: float, linked: bool) -> None:
    topology = Topology((CameraLink("a", "a", 5.0, 12.0),))
    tracklets = [_seen("a", 1, 0, 5.5, 0), _seen("a", 2, 5.5 + gap_s, 25, 0)]
    config = AssociationConfig(clock_slack_s=0.0)
    assert (len(associate(tracklets, config, topology=topology)) == 1) is linked


def test_windows_have_a_direction_and_closed_topologies_no_other_way() -> None:
    topology = Topology((CameraLink("a", "b", 5.0, 12.0),), closed=True)
    back = [_seen("b", 1, 0, 5.5, 0), _seen("a", 1, 12, 20, 0)]
    assert len(associate(back, NEAR, topology=topology)) == 2
    assert len(associate(back, NEAR, topology=Topology(topology.links))) == 1


def test_a_tracklet_between_bridges_what_the_window_forbids() -> None:
    links = (CameraLink("a", "b", 1.0, 8.0), CameraLink("b", "c", 1.0, 8.0))
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("b", 1, 10, 15, 5), _seen("c", 1, 20, 25, 2)]
    topology = Topology(links, closed=True)
    assert len(associate(tracklets, NEAR, topology=topology)) == 1
    assert len(associate([tracklets[0], tracklets[2]], NEAR, topology=topology)) == 2


def test_a_slow_direct_link_does_not_forbid_a_faster_way_through_another_view() -> None:
    links = (CameraLink("a", "c", 20.0, 24.0), CameraLink("a", "b", 1.0, 9.0), CameraLink("b", "c", 1.0, 9.0))
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("b", 1, 8, 10, 0), _seen("c", 1, 13, 20, 0)]
    assert len(associate(tracklets, NEAR, topology=Topology(links))) == 1


def test_what_followed_indirectly_joins_by_its_looks() -> None:
    """b, between, is hardly like c; a and c are alike but too long apart to follow each other."""
    links = (CameraLink("a", "b", 1.0, 8.0), CameraLink("b", "c", 1.0, 8.0), CameraLink("a", "c", 1.0, 8.0))
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("b", 1, 10, 15, 20), _seen("c", 1, 20, 25, -8)]
    config = replace(NEAR, max_cosine_distance=0.08)
    (one,) = associate(tracklets, config, topology=Topology(links))
    assert [str(link.first) for link in one.links] == ["a/1", "a/1"]
    assert len(associate([tracklets[0], tracklets[2]], config, topology=Topology(links))) == 2


def test_nobody_is_faster_than_the_shortest_path() -> None:
    links = (CameraLink("a", "b", 30.0, 60.0), CameraLink("b", "c", 30.0, 60.0), CameraLink("d", "c", 1, 9))
    topology = Topology(links, closed=True)
    # d links a/1's lookalike to c within 10 s, but c is a minute from a: the three are not one identity.
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("d", 1, 2, 6, 0), _seen("c", 1, 10, 15, 0)]
    assert frozenset({"a/1", "c/1"}) not in {
        g & {"a/1", "c/1"} for g in _groups(associate(tracklets, NEAR, topology=topology))
    }


def test_zones_of_a_link() -> None:
    door = ((90.0, 200.0), (160.0, 200.0), (160.0, 260.0), (90.0, 260.0))
    elsewhere = tuple((x + 500.0, y) for x, y in door)
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("b", 1, 10, 15, 0)]  # feet at (125, 250)
    for zones, linked in (
        ((door, None), True),
        ((elsewhere, None), False),
        ((None, elsewhere), False),
        ((door, door), True),
    ):
        link = CameraLink("a", "b", 0.0, 60.0, exit_zone=zones[0], entry_zone=zones[1])
        assert (len(associate(tracklets, NEAR, topology=Topology((link,)))) == 1) is linked


def test_sites_share_nobody_unless_a_link_says_so() -> None:
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("b", 1, 10, 15, 0)]
    floors = {"a": "ground floor", "b": "first floor"}
    assert len(associate(tracklets, NEAR, topology=Topology(sites=floors))) == 2
    lift = CameraLink("a", "b", 1.0, 60.0)
    assert len(associate(tracklets, NEAR, topology=Topology((lift,), floors))) == 1


def test_classes_of_one_group_may_share_an_identity() -> None:
    tracklets = [
        _seen("a", 1, 0, 5, 0, class_id=1),
        _seen("b", 1, 10, 15, 0, class_id=2),
        _seen("c", 1, 20, 22, 0, class_id=2),
    ]
    assert len(associate(tracklets, NEAR)) == 2
    (one,) = associate(tracklets, NEAR, class_group=np.array([0, 1, 1]))
    assert one.class_id == 2


def test_an_absence_may_not_be_too_long() -> None:
    tracklets = [_seen("a", 1, 0, 5, 0), _seen("a", 2, 200, 205, 0)]
    assert len(associate(tracklets, AssociationConfig(max_gap_s=100))) == 2
    assert len(associate(tracklets, AssociationConfig(max_gap_s=300))) == 1


def test_place_decides_where_everyone_looks_alike() -> None:
    times = np.arange(0, 10, 0.5)
    path = np.stack([times, np.zeros_like(times)], axis=1)
    looks = _looks(0)
    tracklets = [
        make_tracklet("a", 1, times, ground=path, embeddings=looks),
        make_tracklet("a", 2, times, ground=path + [0, 2], embeddings=looks),
        make_tracklet("b", 1, times + 0.1, ground=path + [0.1, 2.1], embeddings=looks),
        make_tracklet("b", 2, times + 0.1, ground=path + [0.1, 0.2], embeddings=looks),
    ]
    result = associate(tracklets, AssociationConfig(max_ground_distance_m=3.0))
    assert _groups(result) == {frozenset({"a/1", "b/2"}), frozenset({"a/2", "b/1"})}
    assert result[0].links[0].ground_distance_m == pytest.approx(0.2, abs=0.05)
    assert result[0].links[0].reason == "both"


def test_simultaneous_tracklets_far_apart_on_the_ground_are_two() -> None:
    times = np.arange(0, 10, 0.5)
    here = np.zeros((20, 2))
    tracklets = [
        make_tracklet("a", 1, times, ground=here, embeddings=_looks(0)),
        make_tracklet("b", 1, times, ground=here + 5.0, embeddings=_looks(0)),
    ]
    assert len(associate(tracklets, NEAR)) == 2


def test_nobody_crosses_the_site_in_no_time() -> None:
    one = make_tracklet("a", 1, np.arange(0, 5, 0.5), ground=np.zeros((10, 2)), embeddings=_looks(0))
    far = make_tracklet("b", 1, np.arange(6, 11, 0.5), ground=np.full((10, 2), 60.0), embeddings=_looks(0))
    assert len(associate([one, far], NEAR)) == 2


class TestCorrections:
    """A person's word counts more than any evidence."""

    tracklets = (_seen("a", 1, 0, 5, 0), _seen("b", 1, 10, 15, 5), _seen("c", 1, 20, 25, 90))

    def test_rejected_pairs_stay_apart(self) -> None:
        corrections = Corrections.from_dict({"reject": [["a/1", "b/1"]]})
        assert len(associate(self.tracklets, NEAR, corrections=corrections)) == 3

    def test_rejected_pairs_stay_apart_even_through_others(self) -> None:
        alike = [*self.tracklets[:2], _seen("c", 1, 20, 25, 3)]
        corrections = Corrections.from_dict({"reject": [["a/1", "b/1"]]})
        for group in _groups(associate(alike, NEAR, corrections=corrections)):
            assert not {"a/1", "b/1"} <= group

    def test_accepted_pairs_are_one_however_they_look(self) -> None:
        corrections = Corrections.from_dict({"accept": [["c/1", "a/1"]]})
        result = associate(self.tracklets, NEAR, corrections=corrections)
        together = next(one for one in result if TrackletKey("c", 1) in one.tracklets)
        assert TrackletKey("a", 1) in together.tracklets
        assert any(link.reason == "human" for link in together.links)

    def test_merged_lists(self) -> None:
        corrections = Corrections.from_dict({"merge": [["a/1", "b/1", "c/1"]]})
        assert len(associate(self.tracklets, NEAR, corrections=corrections)) == 1

    def test_what_is_not_in_this_footage_is_passed_over(self) -> None:
        corrections = Corrections.from_dict({"accept": [["x/5", "a/1"]], "reject": [["a/1", "y/2"]]})
        assert associate(self.tracklets, NEAR, corrections=corrections) == associate(self.tracklets, NEAR)

    @pytest.mark.parametrize(
        ("plain", "message"),
        [
            ({"accepted": []}, "unknown accepted"),
            ({"accept": [["a/1"]]}, r"accept\[0\]: expected two tracklets, got 1"),
            ({"merge": [["a/1", "nothing"]]}, r"merge\[0\]: expected camera/local_id, got 'nothing'"),
            (
                {"accept": [["a/1", "b/1"]], "reject": [["b/1", "a/1"]]},
                "both accepted and rejected: a/1 and b/1",
            ),
        ],
    )
    def test_what_cannot_be_read_is_named(self, plain: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Corrections.from_dict(plain)


def test_two_tracklets_with_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="tracklets given twice: a/1"):
        associate([_seen("a", 1, 0, 5, 0), _seen("a", 1, 10, 15, 0)], NEAR)


def test_embeddings_of_two_models_are_refused() -> None:
    other = make_tracklet("b", 1, [9.0, 10.0], embeddings=unit(np.ones((1, 3))))
    with pytest.raises(ValueError, match=r"must have one length, got \[2, 3\]"):
        associate([_seen("a", 1, 0, 5, 0), other], NEAR)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_site_is_partitioned_without_breaking_a_rule(seed: int) -> None:
    site = corridor_site(seed, identities=10, duration_s=80.0, looks=Looks(likeness=1.0))
    result = associate(site.tracklets, NEAR, topology=site.topology)
    assert sorted(key for one in result for key in one.tracklets) == sorted(site.truth)
    assert [one.global_id for one in result] == list(range(1, len(result) + 1))
    _never_twice_at_once(site, result)
    assert all(len(one.links) == len(one.tracklets) - 1 for one in result)
    shuffled = list(site.tracklets)
    random.Random(seed).shuffle(shuffled)
    assert associate(shuffled, NEAR, topology=site.topology) == result


def test_camera_names_do_not_matter() -> None:
    site = corridor_site(5, identities=30)
    rename = {f"cam{number:02d}": f"z{9 - number}" for number in range(4)}
    renamed = [
        Tracklet(TrackletKey(rename[t.camera_id], t.key.local_id), *[getattr(t, name) for name in _FIELDS])
        for t in site.tracklets
    ]
    links = [
        CameraLink(rename[k.from_camera], rename[k.to_camera], k.min_s, k.max_s) for k in site.topology.links
    ]
    result = associate(site.tracklets, NEAR, topology=site.topology)
    other = associate(renamed, NEAR, topology=Topology(tuple(links), closed=True))
    back = {new: old for old, new in rename.items()}
    assert _groups(result) == {
        frozenset(f"{back[key.camera_id]}/{key.local_id}" for key in one.tracklets) for one in other
    }


_FIELDS = (
    "class_id", "frame_index", "timestamp_s", "xyxy", "confidence", "interpolated", "ground_xy", "embeddings",
    "embedding_quality", "embedding_timestamp_s", "as_of_s", "is_final",
)  # fmt: skip


def test_identities_of_a_corridor_are_found() -> None:
    site = corridor_site(1, identities=60, duration_s=900.0)
    result = associate(site.tracklets, NEAR, topology=site.topology)
    precision, recall = pair_scores(site, [one.tracklets for one in result])
    assert precision > 0.95
    assert recall > 0.85


def test_identities_of_a_room_are_found_by_place_alone() -> None:
    site = room_site(2)
    result = associate(site.tracklets, AssociationConfig(max_ground_distance_m=1.0), topology=site.topology)
    _never_twice_at_once(site, result)
    precision, recall = pair_scores(site, [one.tracklets for one in result])
    assert precision > 0.9
    assert recall > 0.7
