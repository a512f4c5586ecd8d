"""Tracklets that changed their object are cut there, and nothing else is: scenario by scenario, and by known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.test_repair import FPS, tracklet
from tracking.repair import interpolate
from tracking.splits import SplitConfig, Splitter
from tracking.types import PIECE

ALWAYS = np.ones
RNG = np.random.default_rng(3)


def noisy(looks, noise=0.3):
    """Unit embeddings of whoever ``looks`` names: about 0.2 apart of one, about 1 of two."""
    crops = np.eye(16)[list(looks)] + noise * RNG.normal(size=(len(looks), 16)) / 2
    return (crops / np.linalg.norm(crops, axis=1, keepdims=True)).astype(np.float32)


def seen(looks, local_id=1, frames=None):
    whole = tracklet(local_id, range(len(looks)) if frames is None else frames, looks=[0] * len(looks))
    return replace(whole, embeddings=noisy(looks))


def experienced(config=None):
    """A splitter that has met enough people to know how much looks change by themselves."""
    splitter = Splitter(config)
    for person in range(4):
        splitter.split(seen([person] * 12, local_id=100 + person), np.zeros(12))
    return splitter


def test_a_swap_is_cut_where_the_looks_change():
    first, second = experienced().split(seen([0] * 8 + [1] * 12), ALWAYS(20))
    assert first.key == first.key.whole == second.key.whole == ("cam", 1)
    assert second.key.local_id == PIECE + 1
    assert first.frame_index.tolist() == list(range(7)), "the last before the cut may be the other's"
    assert second.frame_index.tolist() == list(range(8, 20))
    assert (first.embeddings[:, 0] > 0.6).all()
    assert (second.embeddings[:, 1] > 0.6).all()


@pytest.mark.parametrize(
    "looks",
    [[0] * 20, [0] * 9 + [1] + [0] * 10, []],
    ids=["one person", "one bad crop", "no crops"],
)
def test_without_a_lasting_change_nothing_is_cut(looks):
    whole = seen(looks) if looks else tracklet(1, range(20))
    assert [piece.key for piece in experienced().split(whole, ALWAYS(20))] == [whole.key]


def test_a_single_crop_after_a_meeting_says_too_little():
    doubt = np.zeros(20)
    doubt[19] = 0.9
    assert len(experienced().split(seen([0] * 19 + [1]), doubt)) == 1


def test_who_turns_round_step_by_step_is_not_cut_where_turning_is_usual():
    angle = np.deg2rad(12.0) * np.arange(16)
    turning = replace(
        tracklet(1, range(16), looks=[0] * 16),
        embeddings=np.stack((np.cos(angle), np.sin(angle)), axis=1).astype(np.float32),
    )
    splitter = Splitter()
    for _ in range(3):
        splitter.split(turning, np.zeros(16))
    assert 1 - turning.embeddings[0] @ turning.embeddings[-1] > 1
    assert len(splitter.split(turning, ALWAYS(16))) == 1


def test_a_cut_needs_a_moment_when_another_could_have_taken_over():
    swapped, doubt = seen([0] * 8 + [1] * 12), np.zeros(20)
    assert len(experienced().split(swapped, doubt)) == 1
    doubt[[3, 15]] = 0.9
    assert len(experienced().split(swapped, doubt)) == 1
    doubt[8] = 0.2
    assert len(experienced().split(swapped, doubt)) == 2


def test_as_long_as_nothing_is_known_of_usual_changes_nothing_is_cut():
    assert len(Splitter().split(seen([0] * 8 + [1] * 12), ALWAYS(20))) == 1


def test_zero_contrast_cuts_nothing():
    splitter = experienced(SplitConfig(min_contrast=0.0))
    assert len(splitter.split(seen([0] * 8 + [1] * 12), ALWAYS(20))) == 1


def test_both_of_a_swap_are_cut_in_the_frame_where_they_overlap_most():
    doubt = np.zeros(20)
    doubt[[9, 10, 11]] = 0.3, 0.5, 0.2
    for local_id, crops in ((1, [0, 2, 5, 14, 16, 19]), (2, [1, 4, 7, 12, 13, 18])):
        one = replace(
            tracklet(local_id, range(20), looks=[0] * 6),
            embeddings=noisy([0, 0, 0, 1, 1, 1]),
            embedding_timestamp_s=np.array(crops) / FPS,
        )
        first, second = experienced().split(one, doubt)
        assert (first.frame_index[-1], second.frame_index[0]) == (8, 10)
        assert len(first.embeddings) == len(second.embeddings) == 3


def test_what_was_interpolated_between_two_objects_belongs_to_neither():
    filled = interpolate(tracklet(1, [*range(8), *range(12, 20)], looks=[0] * 6), 1.0)
    one = replace(
        filled,
        embeddings=noisy([0, 0, 0, 1, 1, 1]),
        embedding_timestamp_s=np.array([0, 3, 6, 13, 15, 17]) / FPS,
    )
    first, second = experienced().split(one, one.interpolated.astype(float))
    assert (first.frame_index[-1], second.frame_index[0]) == (6, 12)


def test_three_objects_in_turn_are_three_pieces():
    pieces = experienced().split(seen([0] * 6 + [1] * 7 + [2] * 6), ALWAYS(19))
    assert [t.frame_index.tolist() for t in pieces] == [[*range(5)], [*range(6, 12)], [*range(13, 19)]]
    assert len({t.key for t in pieces}) == 3
    assert {t.key.whole.local_id for t in pieces} == {1}


@pytest.mark.parametrize("seed", range(5))
def test_every_swap_and_no_other_meeting_of_a_hundred_is_cut(seed):
    rng = np.random.default_rng(seed)
    splitter, wrong = experienced(), 0
    for number in range(100):
        meets, swaps = int(rng.integers(4, 16)), bool(rng.random() < 0.1)
        doubt = np.zeros(20)
        doubt[meets] = 0.4
        a, b = rng.choice(16, 2, replace=False)
        looks = [a] * meets + [b if swaps else a] * (20 - meets)
        pieces = splitter.split(seen(looks, local_id=number + 1), doubt)
        wrong += len(pieces) != 1 + swaps
        assert sum(len(piece.frame_index) for piece in pieces) == 20 - (len(pieces) - 1)
    assert wrong == 0


def test_a_tail_after_anothers_birth_is_cut_off():
    whole = seen([0] * 12, frames=range(30))
    whole = replace(whole, embedding_timestamp_s=np.arange(12) / FPS)
    first, tail = experienced().split(whole, np.zeros(30), births_s=[2.2])
    assert first.frame_index.tolist() == list(range(22))
    assert tail.frame_index.tolist() == list(range(22, 30))
    assert (len(first.embeddings), len(tail.embeddings)) == (12, 0)
    assert tail.key.whole == whole.key


@pytest.mark.parametrize(
    ("births_s", "crops_end_s"), [([1.0], 1.2), ([2.2], 2.9), ([], 1.2)], ids=["long before", "looks known", "nobody"]
)
def test_other_ends_stay(births_s, crops_end_s):
    whole = seen([0] * 12, frames=range(30))
    whole = replace(whole, embedding_timestamp_s=np.linspace(0, crops_end_s, 12))
    assert len(experienced().split(whole, np.zeros(30), births_s)) == 1


@pytest.mark.parametrize("wrong", [{"min_contrast": -1.0}, {"min_doubt": float("nan")}, {"min_crops": 0}, {"window": 1}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="SplitConfig"):
        SplitConfig(**wrong)


def test_a_doubt_is_wanted_for_each_observation():
    with pytest.raises(ValueError, match="3 doubts for 20 observations"):
        Splitter().split(seen([0] * 20), np.zeros(3))
