"""Association while cameras run: restarts, ids that are never used twice, what a person decided, and bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from reid.gallery import Gallery
from tests.simulated import corridor_site, make_tracklet, pair_scores, unit
from tracking.association import AssociationConfig
from tracking.corrections import Corrections
from tracking.identity_store import IdentityStore
from tracking.online import Event, OnlineAssociator
from tracking.sketch import Shelf, SketchTable, sketch_of
from tracking.topology import CameraLink, Topology
from tracking.types import Tracklet, TrackletKey

RULES = AssociationConfig(max_cosine_distance=0.3, max_gap_s=60.0)
PEOPLE = unit(np.random.default_rng(0).normal(size=(200, 32)))


def seen(camera: str, local_id: int, start_s: float, person: int) -> Tracklet:
    return make_tracklet(
        camera, local_id, np.arange(start_s, start_s + 3, 0.5), embeddings=PEOPLE[[person] * 3]
    )


def given(associator: OnlineAssociator, tracklets: Iterable[Tracklet]) -> list[Event]:
    return [event for one in tracklets for event in associator.update(one)]


def ids(associator: OnlineAssociator) -> dict[str, int]:
    return {str(key): one.global_id for one in associator.trajectories() for key in one.tracklets}


@pytest.mark.parametrize("killed", [False, True])
def test_after_a_restart_people_keep_their_ids_and_no_id_comes_twice(tmp_path: Path, killed: bool):
    store = IdentityStore(tmp_path / "ids.sqlite")
    first = OnlineAssociator(RULES, identities=store)
    given(first, [seen("a", 1, 0, 0), seen("a", 2, 5, 1), seen("b", 1, 10, 0)])
    before = ids(first)
    assert before == {"a/1": 1, "b/1": 1, "a/2": 2}
    if not killed:
        first.finish()
        store.close()
    # Local ids begin anew in the second run; the file is the only thing that it shares with the first.
    again = OnlineAssociator(RULES, identities=IdentityStore(tmp_path / "ids.sqlite"))
    given(again, [seen("b", 1, 20, 1), seen("a", 1, 25, 2), seen("c", 1, 30, 0)])
    assert ids(again) == {"b/1": 2, "c/1": 1, "a/1": 3}


def test_ended_superseded_and_forgotten_ids_are_not_given_out_again(tmp_path: Path):
    used: set[int] = set()
    for run in range(3):
        store = IdentityStore(tmp_path / "ids.sqlite")
        associator = OnlineAssociator(RULES, identities=store)
        start = 1000.0 * run
        events = given(associator, [seen("a", 1 + n, start + 5 * n, 10 * run + n) for n in range(4)])
        new = {event.global_id for event in events if event.kind == "new"}
        assert len(new) == 4
        assert not new & used
        used |= new
        associator.forget(max(new))
        assert {event.global_id for event in associator.advance(start + 500)} == new - {max(new)}
        store.close()
    assert used == set(range(1, 13))


def test_a_superseded_id_names_its_successor_after_a_restart(tmp_path: Path):
    store = IdentityStore(tmp_path / "ids.sqlite")
    between = unit(PEOPLE[0] + PEOPLE[1])
    rules = AssociationConfig(max_cosine_distance=0.9, max_gap_s=60.0, min_crops=3)
    apart = OnlineAssociator(AssociationConfig(max_cosine_distance=0.3), identities=store)
    given(apart, [seen("a", 1, 0, 0), seen("b", 1, 6, 1)])
    assert set(ids(apart).values()) == {1, 2}
    joined = OnlineAssociator(rules, identities=store)
    bridge = make_tracklet("c", 1, np.arange(12, 15, 0.5), embeddings=[between] * 3)
    (revision,) = [event for event in given(joined, [bridge]) if event.kind == "revision"]
    assert (revision.from_id, revision.global_id, revision.superseded) == (2, 1, True)
    assert revision.reason.startswith("2 superseded by 1, because ")
    store.close()
    assert IdentityStore(tmp_path / "ids.sqlite").successor(2) == 1


class TestCorrections:
    """Online, too, a person's word counts more than looks."""

    crowd = tuple(seen("d", 10 + n, 0.1 * n, 10 + n) for n in range(120))

    def heeded(self, corrections: Corrections | None, *last: Tracklet) -> dict[str, int]:
        associator = OnlineAssociator(RULES, gallery_factory=lambda: Gallery(32), corrections=corrections)
        given(associator, [seen("a", 1, 0, 0), *self.crowd, *last])
        return ids(associator)

    def test_accepted_pairs_are_one_however_many_look_more_alike(self):
        # 120 strangers are all nearer to b/1 than a/1 is, more than the look-alikes that are asked for.
        away = make_tracklet(
            "b", 1, np.arange(20, 23, 0.5), embeddings=[unit(0.2 * PEOPLE[10:130].mean(0) - PEOPLE[0])] * 3
        )
        assert self.heeded(None, away)["b/1"] != self.heeded(None, away)["a/1"]
        found = self.heeded(Corrections.from_dict({"accept": [["b/1", "a/1"]]}), away)
        assert found["b/1"] == found["a/1"]

    def test_rejected_pairs_are_two_however_alike(self):
        twin = seen("b", 1, 20, 0)
        assert self.heeded(None, twin)["b/1"] == self.heeded(None, twin)["a/1"]
        found = self.heeded(Corrections.from_dict({"reject": [["a/1", "b/1"]]}), twin)
        assert found["b/1"] != found["a/1"]


def test_a_link_says_what_it_was_held_against_and_who_came_next():
    associator = OnlineAssociator(RULES, gallery_factory=lambda: Gallery(32))
    late = make_tracklet("b", 1, np.arange(20, 23, 0.5), embeddings=[unit(PEOPLE[0] + 0.3 * PEOPLE[1])] * 3)
    given(associator, [seen("a", 1, 0, 0), seen("a", 2, 5, 1), late])
    (link,) = next(one for one in associator.trajectories() if one.links).links
    assert (str(link.first), link.max_cosine_distance) == ("a/1", 0.3)
    assert link.runner_up_distance == pytest.approx(1 - PEOPLE[1] @ late.embeddings[0], abs=1e-5)
    assert link.margin == pytest.approx(link.runner_up_distance - link.cosine_distance)


def test_a_pinned_window_rules_online():
    pinned = Topology((CameraLink("a", "b", 20.0, 30.0),))
    for start_s, linked in ((10.0, False), (25.0, True)):
        associator = OnlineAssociator(RULES, topology=pinned)
        given(associator, [seen("a", 1, 0, 0), seen("b", 1, start_s, 0)])
        assert (len(set(ids(associator).values())) == 1) is linked


def test_a_corridor_is_followed_and_nothing_is_kept_of_who_left():
    site = corridor_site(seed=5, identities=60, duration_s=1500.0)
    rules = AssociationConfig(max_gap_s=60.0)
    associator = OnlineAssociator(rules, topology=site.topology, gallery_factory=lambda: Gallery(64))
    ended, most = [], 0
    for one in site.tracklets:
        events = [*associator.update(one), *associator.advance(one.as_of_s - 30)]
        ended += [event.trajectory.tracklets for event in events if event.kind == "end"]
        most = max(most, associator.remembered)
    ended += [event.trajectory.tracklets for event in associator.finish()]
    precision, recall = pair_scores(site, ended)
    assert precision > 0.8
    assert recall > 0.8
    assert most < len(site.tracklets) / 3
    assert associator.remembered == len(associator) == 0


def test_whoever_is_still_in_view_does_not_end():
    associator = OnlineAssociator(RULES)
    waits = make_tracklet("a", 1, [0.0, 1.0], embeddings=PEOPLE[[0] * 3], is_final=False)
    given(associator, [waits])
    assert associator.advance(500.0) == ()
    times = np.arange(0.0, 600.0)
    given(associator, [make_tracklet("a", 1, times, embeddings=PEOPLE[[0] * 3])])
    assert associator.advance(650.0) == ()
    assert [event.kind for event in associator.advance(700.0)] == ["end"]


def test_a_shelf_cuts_the_tables_that_would_be_built_anew():
    rng = np.random.default_rng(1)
    shelf, kept = Shelf(), {}
    for row in range(60):
        crops = unit(rng.normal(size=(int(rng.integers(0, 5)), 8))) if row % 7 else None
        ground = rng.normal(size=(4, 2)) if row % 3 else None
        sketch = sketch_of(
            make_tracklet(f"c{row % 5}", row, row + np.arange(4.0), embeddings=crops, ground=ground), 3
        )
        shelf.put(row if row < 50 else 40, sketch)
        kept[row if row < 50 else 40] = sketch
        if row % 4 == 3 and row < 50:
            assert shelf.drop(row - 2) is kept.pop(row - 2)
    rows = sorted(kept, key=lambda row: -row)
    cut, built = shelf.table(rows), SketchTable.of([kept[row] for row in rows])
    assert len(shelf) == len(kept)
    assert [cut.cameras[at] for at in cut.camera] == [built.cameras[at] for at in built.camera]
    for name in (
        "group",
        "start_s",
        "end_s",
        "prototypes",
        "weight",
        "mean",
        "foot_px",
        "on_ground",
        "ground_ends",
    ):
        np.testing.assert_array_equal(getattr(cut, name), getattr(built, name), err_msg=name)
    with pytest.raises(ValueError, match="one length"):
        shelf.put(99, sketch_of(make_tracklet("c1", 99, [0.0], embeddings=unit(rng.normal(size=(2, 9)))), 3))
    assert TrackletKey("c1", 99) not in [one.key for one in cut.sketches]
