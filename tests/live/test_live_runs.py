"""Several live cameras in one run: the faults of one are not seen in the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.config import CameraConfig, DetectorConfig, RunConfig
from pipeline.packets import CameraEnd, Frame, ShardMessage, Watermark
from pipeline.shard import Shard, run_shard
from pipeline.sources.live import LiveSource
from pipeline.sources.reader import Reader
from pipeline.sources.site_clock import SITE_CLOCK
from pipeline.stages.detect import DetectStage, class_groups_of
from pipeline.stages.embed import NoEmbeddings
from pipeline.stages.track import TrackStage
from pipeline.stages.tracklets import TrackletStage
from tests.live.conftest import QUICK
from tests.live.servers import RtspServer, free_port
from tracking.tracker import TrackerConfig
from tracking.types import Detections, TrackedFrame, Tracklet

pytestmark = pytest.mark.slow
DETECTOR = DetectorConfig(backend="yolox", weights="none")


class StandingPerson:
    """Finds somebody who stands still in every frame, and takes its time."""

    def __init__(self, cost_s: float) -> None:
        self._cost_s = cost_s

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        time.sleep(self._cost_s * len(frames))
        box, sure = np.array([[100, 80, 140, 200]], np.float32), np.array([0.9], np.float32)
        return [Detections(box, sure, np.zeros(1, np.int64)) for _ in frames]


class LiveRun:
    """A shard driven in a thread, and what it gave when."""

    def __init__(self, sources: dict[str, str], cost_s: float = 0.0, **settings: Any) -> None:
        self.stop, self.settings = threading.Event(), RunConfig(max_lateness_s=1.0, **settings)
        self.shard = Shard(
            readers=[self.reader(name, source) for name, source in sources.items()],
            detect=DetectStage(StandingPerson(cost_s), DETECTOR, {}),
            track=TrackStage(TrackerConfig(), class_groups_of(DETECTOR)),
            appearance=NoEmbeddings(),
            tracklets=TrackletStage({}, 0),
        )
        self.messages: list[tuple[float, ShardMessage]] = []
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def reader(self, name: str, source: str) -> Reader:
        return Reader(LiveSource(CameraConfig(id=name, source=source, live=QUICK)), 8, self.stop)

    def _drive(self) -> None:
        for message in run_shard(self.shard, self.settings, self.stop):
            self.messages.append((SITE_CLOCK.now_s(), message))

    def of(self, kind: type, camera_id: str, since: int = 0) -> list[tuple[float, Any]]:
        """When each message of a kind came, and the message."""

        def name(message: Any) -> str:
            frame = message.frame if isinstance(message, TrackedFrame) else message
            return str(frame.camera_id)

        return [
            (at, one) for at, one in self.messages[since:] if isinstance(one, kind) and name(one) == camera_id
        ]

    def lags_s(self, camera_id: str, since: int = 0) -> list[float]:
        """Capture to tracked, of the frames that came in order (not those given again when a track was confirmed)."""
        lags, newest = [], 0.0
        for at, tracked in self.of(TrackedFrame, camera_id, since):
            if tracked.frame.timestamp_s > newest:
                newest = tracked.frame.timestamp_s
                lags.append(at - newest)
        return lags

    def wait_for(self, told: Callable[[], object], timeout_s: float = 30.0) -> None:
        until = time.monotonic() + timeout_s
        while not told():
            assert time.monotonic() < until, [reader.health() for reader in self.shard.readers]
            time.sleep(0.05)

    def close(self) -> None:
        self.stop.set()
        self._thread.join(15)
        assert not self._thread.is_alive()


@pytest.fixture
def drive() -> Iterator[Callable[..., LiveRun]]:
    runs: list[LiveRun] = []

    def start(sources: dict[str, str], **settings: Any) -> LiveRun:
        runs.append(LiveRun(sources, **settings))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def test_a_dead_camera_delays_no_other_and_holds_no_tracklet_back(
    serve: Callable[..., RtspServer], drive: Callable[..., LiveRun]
):
    run = drive({"alive": serve("a=320x240@10").url("a"), "dead": f"rtsp://127.0.0.1:{free_port()}/a"})
    run.wait_for(lambda: len(run.lags_s("alive")) > 40)
    assert np.median(run.lags_s("alive")[-30:]) < 0.5
    passed = [at - mark.time_s for at, mark in run.of(Watermark, "dead")]
    assert max(passed) < run.settings.max_lateness_s + 1.0, (
        "what others saw is released that much later at most"
    )
    alive, dead = (reader.health() for reader in run.shard.readers)
    assert (alive.frames_dropped, alive.frames_late, alive.reconnects) == (0, 0, 0)
    assert (dead.state, dead.frames_used) == ("lost", 0)
    assert dead.reconnects > 1


def test_a_server_that_dies_takes_only_its_own_camera_and_its_tracks_end(
    serve: Callable[..., RtspServer], drive: Callable[..., LiveRun]
):
    steady, frail = serve("a=320x240@10"), serve("a=320x240@10")
    run = drive({"steady": steady.url("a"), "frail": frail.url("a")})
    run.wait_for(lambda: len(run.lags_s("steady")) > 30 and len(run.lags_s("frail")) > 30)
    since, before = len(run.messages), run.shard.readers[0].health()
    frail.kill()
    began = time.monotonic()
    run.wait_for(lambda: any(one.is_final for _, one in run.of(Tracklet, "frail", since)))
    assert time.monotonic() - began < 1.8 + run.settings.max_lateness_s + 2, (
        "max_lost_s, max_lateness_s and some slack"
    )
    run.wait_for(lambda: time.monotonic() - began > 5)
    after, seconds = run.shard.readers[0].health(), time.monotonic() - began
    assert after.frames_used - before.frames_used == pytest.approx(10 * seconds, rel=0.15)
    assert not any(one.is_final for _, one in run.of(Tracklet, "steady", since))
    assert (after.frames_dropped, after.frames_late) == (before.frames_dropped, before.frames_late)
    frail.start()
    since = len(run.messages)
    run.wait_for(lambda: len(run.lags_s("frail", since)) > 5)
    keys = [one.key for _, one in run.of(Tracklet, "frail") if one.is_final]
    assert len(keys) == len(set(keys)), "numbers of tracks are not used again"


def test_cameras_join_and_leave_while_the_others_go_on(
    serve: Callable[..., RtspServer], drive: Callable[..., LiveRun]
):
    server = serve("a=320x240@10", "b=320x240@10")
    run = drive({"a": server.url("a")})
    run.wait_for(lambda: len(run.lags_s("a")) > 10)
    run.shard.join(run.reader("b", server.url("b")))
    run.wait_for(lambda: len(run.lags_s("b")) > 10)
    run.shard.leave("b")
    run.wait_for(lambda: run.of(CameraEnd, "b"))
    assert run.of(CameraEnd, "b")[0][1].error is None
    run.shard.join(run.reader("b", server.url("b")))
    since = len(run.messages)
    run.wait_for(lambda: len(run.lags_s("b", since)) > 5)
    assert not run.of(CameraEnd, "a")


def test_on_a_machine_that_is_too_slow_latency_stays_under_its_bound(
    serve: Callable[..., RtspServer], drive: Callable[..., LiveRun], caplog: pytest.LogCaptureFixture
):
    server = serve("a=320x240@10", "b=320x240@10")
    with caplog.at_level("WARNING"):
        run = drive({"a": server.url("a"), "b": server.url("b")}, cost_s=0.12, max_latency_s=0.8)
        run.wait_for(lambda: len(run.lags_s("a")) > 100 and len(run.lags_s("b")) > 100, 90)
    batch_s = 0.12 * 8
    for camera_id in ("a", "b"):
        assert max(run.lags_s(camera_id)[-30:]) < 0.8 + batch_s + 0.4, (
            "waiting, its own batch, and the network"
        )
    used, share = [reader.health() for reader in run.shard.readers], run.shard.load.share
    assert share < 0.6
    assert all(health.frames_dropped > 0.3 * health.frames_in for health in used)
    assert abs(used[0].frames_used - used[1].frames_used) < 0.2 * used[0].frames_used, "both cameras alike"
    assert "too slow" in caplog.text
