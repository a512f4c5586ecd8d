"""The parts of a live camera that need no stream: watchdog, back-off, rates, shedding, masking."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.load import LoadControl
from pipeline.secrets import masked
from pipeline.sources.backoff import Backoff
from pipeline.sources.catch_up import CatchUp
from pipeline.sources.health import RateMeter
from pipeline.sources.stream import Stream
from pipeline.sources.watchdog import PictureWatchdog

SCENE = np.random.default_rng(0).integers(40, 200, (180, 320, 3), np.uint8)


def states(
    watchdog: PictureWatchdog, picture: Callable[[int], np.ndarray], seconds: int, begin: int = 0
) -> list[str]:
    return [watchdog.look(picture(index), index / 10) for index in range(begin * 10, (begin + seconds) * 10)]


def test_the_same_picture_is_frozen():
    watchdog = PictureWatchdog(5)
    told = states(watchdog, lambda index: SCENE, 8)
    assert set(told[:50]) == {"live"}
    assert set(told[51:]) == {"frozen"}


def test_a_stuck_encoder_that_refreshes_its_picture_is_frozen():
    """Within a group of pictures the decoded picture sharpens a little; the next group does the same again."""
    group = [np.clip(SCENE.astype(int) + step % 20 // 7, 0, 255).astype(np.uint8) for step in range(20)]
    assert states(PictureWatchdog(5), lambda index: group[index % 20], 12)[-1] == "frozen"


def test_a_still_scene_with_sensor_noise_lives():
    rng = np.random.default_rng(1)
    noisy = [np.clip(SCENE + rng.normal(0, 3, SCENE.shape), 0, 255).astype(np.uint8) for _ in range(200)]
    assert set(states(PictureWatchdog(5), lambda index: noisy[index], 20)) == {"live"}


def test_a_short_clip_played_in_a_loop_lives():
    clip = [np.roll(SCENE, 12 * step, axis=1) for step in range(20)]
    assert set(states(PictureWatchdog(5), lambda index: clip[index % 20], 20)) == {"live"}


def test_black_is_black_noise_or_not_and_light_ends_it():
    rng = np.random.default_rng(2)
    watchdog = PictureWatchdog(5)
    assert states(watchdog, lambda index: rng.integers(0, 12, SCENE.shape, np.uint8), 8)[-1] == "black"
    assert watchdog.look(SCENE, 9.0) == "live"


def test_each_reopening_in_vain_makes_it_more_patient_and_news_end_that():
    watchdog = PictureWatchdog(5)
    waits, now = [], 0.0
    for _ in range(4):
        began = now
        while not watchdog.wants_reopening(now):
            watchdog.look(SCENE, now)
            now += 0.1
        waits.append(round(now - began))
        watchdog.restart(asked_for=True)
        assert watchdog.look(SCENE, now) == "frozen", "a picture that is still the same has not come alive"
    assert waits == [5, 10, 20, 40]
    assert watchdog.look(255 - SCENE, now) == "live"
    assert not watchdog.wants_reopening(now + 4)


def test_the_same_picture_from_an_encoder_that_starts_anew_is_still_frozen():
    watchdog = PictureWatchdog(5)
    states(watchdog, lambda index: SCENE, 8)
    watchdog.restart(asked_for=True)
    settling = [np.clip(SCENE.astype(int) + max(0, 2 - step), 0, 255).astype(np.uint8) for step in range(80)]
    assert set(states(watchdog, lambda index: settling[index - 80], 8, begin=8)) == {"frozen"}


def test_a_still_scene_taken_for_frozen_comes_alive_again_by_its_noise():
    rng = np.random.default_rng(3)
    watchdog = PictureWatchdog(5)
    states(watchdog, lambda index: SCENE, 8)
    watchdog.restart(asked_for=True)
    noisy = [np.clip(SCENE + rng.normal(0, 3, SCENE.shape), 0, 255).astype(np.uint8) for _ in range(60)]
    told = states(watchdog, lambda index: noisy[index - 80], 6, begin=8)
    assert (told[0], told[-1]) == ("frozen", "live")


def test_backoff_doubles_with_jitter_up_to_its_limit():
    for seed in range(20):
        backoff = Backoff(10, random.Random(seed))
        for limit in (0.5, 1, 2, 4, 8, 10, 10):
            assert 0.4 * limit <= backoff.wait_s(0) <= 0.8 * limit


def test_a_connection_that_held_begins_anew_and_a_refusal_waits_longest():
    backoff = Backoff(30)
    assert backoff.wait_s(0, is_refused=True) >= 12
    assert backoff.wait_s(0) >= 12
    assert backoff.wait_s(60) <= 0.5
    assert Backoff(0.2).wait_s(0) <= 0.2


def test_an_attempt_that_had_to_time_out_has_waited_already():
    backoff = Backoff(30, random.Random(0))
    assert [backoff.wait_s(0, tried_s=10) for _ in range(4)] == [0, 0, 0, 0]
    assert [backoff.wait_s(0) for _ in range(4)][-1] >= 12, "and is no connection that held"
    assert backoff.wait_s(0, tried_s=10) <= 14


def test_rates_are_of_the_last_ten_seconds():
    meter = RateMeter()
    for index in range(600):
        meter.count(index + 1, index / 20)
    assert meter.per_second(30.0) == pytest.approx(20, rel=0.05)
    assert meter.per_second(45.0) == 0.0


class Camera:
    """Offers frames at ``fps`` and takes the share it is told."""

    def __init__(self, fps: float) -> None:
        self.fps, self.share, self.frames_offered = fps, 1.0, 0

    def shed(self, share: float) -> None:
        self.share = share


def worked_off(
    control: LoadControl, cameras: list[Camera], clock: list[float], cost_s: float, seconds: int
) -> float:
    """Run ``seconds`` on a machine where a frame costs ``cost_s``; returns the last second's busy share."""
    busy = 0.0
    for _ in range(seconds):
        clock[0] += 1
        frames = 0
        for camera in cameras:
            camera.frames_offered += round(camera.fps)
            frames += round(camera.fps * camera.share)
        done = min(frames, int(1 / cost_s))
        busy = frames * cost_s
        control.worked(done, done * cost_s, cameras)
    return busy


def test_a_slow_machine_uses_fewer_frames_and_says_so_and_a_fast_one_all(caplog: pytest.LogCaptureFixture):
    clock = [0.0]
    control, cameras = LoadControl(lambda: clock[0]), [Camera(20), Camera(20)]
    assert worked_off(control, cameras, clock, 0.02, 20) <= 0.95
    assert control.share == 1.0
    with caplog.at_level("INFO"):
        assert worked_off(control, cameras, clock, 0.1, 20) < 1.0, "no queue grows"
        assert control.share == pytest.approx(0.85 / 4, rel=0.1)
        assert worked_off(control, cameras, clock, 0.02, 40) <= 0.95
    assert control.share == 1.0
    assert ["too slow" in record.message for record in caplog.records] == [True, False]
    assert all(camera.share == 1.0 for camera in cameras)


def test_one_slow_start_sheds_nothing():
    clock = [0.0]
    control, cameras = LoadControl(lambda: clock[0]), [Camera(10)]
    worked_off(control, cameras, clock, 0.5, 4)
    worked_off(control, cameras, clock, 0.02, 10)
    assert control.share == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:s3cret@10.0.0.1/live",
        "rtsp://admin:s3@cret@10.0.0.1/live: refused",
        "rtsp://admin:s3/cret@10.0.0.1/live",
        "http://10.0.0.1/video.cgi?user=admin&pwd=s3cret&resolution=640",
        "https://host/live.m3u8?access_token=s3cret",
        "'rtsps://s3cret@host:322/a', 'rtsp://admin:s3cret@host/b'",
    ],
)
def test_credentials_are_masked(text: str):
    shown = masked(text)
    assert "s3" not in shown
    assert "cret" not in shown.replace("secret", "")
    assert "***" in shown


def test_what_holds_no_credentials_is_not_touched():
    for text in ("rtsp://10.0.0.1:554/live?channel=1", "camera a: stream lost (404 Not Found)", "a@b.org"):
        assert masked(text) == text


@dataclass
class Decoded:
    """A decoder's picture."""

    is_corrupt: bool


def test_damaged_pictures_are_shown_only_where_there_are_no_others(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr("pipeline.sources.stream.time.monotonic", lambda: now[0])
    stream = Stream.__new__(Stream)
    stream._whole = 100.0
    fits = []
    for second in range(8):
        now[0] = 100.0 + second
        fits.append(stream._is_fit(Decoded(is_corrupt=second not in (1, 6))))
    assert fits == [False, True, False, False, True, True, True, False]


def passed_over(delays_s: list[float], drift: float = 0.0, group: int = 20) -> list[bool]:
    """Which packets of a stream of ten a second are passed over, that come so late, every ``group``-th a key frame."""
    catch_up = CatchUp()
    return [
        catch_up.passes_over(index / 10, index / 10 * (1 + drift) + delay_s, is_key=index % group == 0)
        for index, delay_s in enumerate(delays_s)
    ]


def test_who_falls_behind_passes_over_what_has_waited_up_to_a_key_frame():
    told = passed_over([0.1] * 20 + [2.5 - 0.08 * step for step in range(30)] + [0.1] * 40)
    assert told.index(True) == 20
    assert told.index(False, 20) == 60, "level again after 43, but decoding begins with a key frame"
    assert not any(told[60:])


def test_a_little_late_and_a_slow_clock_are_not_behind():
    assert not any(passed_over([0.1, 1.5, 0.3, 1.9] * 100))
    assert not any(passed_over([0.1] * 500_000, drift=1e-4))


def test_a_stream_that_is_late_itself_is_taken_as_it_is_after_a_while():
    told = passed_over([0.1] * 100 + [30.0] * 200)
    assert sum(told) == pytest.approx(50, abs=2)
    assert not any(told[160:])
    assert not any(passed_over([0.1] * 100 + [30.0] * 200, group=10**9)[160:]), "nor without key frames"
