"""How a run stands at any moment: one snapshot, for the metrics, the health checks and the table in the terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.linking import Linker
from pipeline.shard import Shard
from pipeline.sinks.delivery import Delivery, SinkStatus
from pipeline.sources.health import CameraHealth, RateMeter
from pipeline.sources.site_clock import SITE_CLOCK
from tracking.online import Event


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera: its health, frames that went through in all and per second lately, tracklets that ended."""

    health: CameraHealth
    frames_out: int
    fps_out: float
    tracklets: int


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run at one moment; nothing here ever changes.

    Attributes:
        stages: seconds and items by stage.
        events: by kind.
        identities: that may still grow.
        remembered: tracklets whose appearance is kept.
        share: of the frames that this machine can use, in (0, 1].
        load: seconds of work that come in per second.
    """

    cameras: tuple[CameraStatus, ...] = ()
    sinks: tuple[SinkStatus, ...] = ()
    stages: Mapping[str, tuple[float, int]] | None = None
    events: Mapping[str, int] | None = None
    identities: int = 0
    remembered: int = 0
    share: float = 1.0
    load: float = 0.0
    up_s: float = 0.0


class Monitor:
    """Written by the run's loop, read by any thread.

    Args:
        stall_s: the loop standing still for longer is a fault.
        latency: told how long after the site's time each event was written, seconds; live only.
    """

    def __init__(
        self, stall_s: float = 30.0, latency: Callable[[float], None] = lambda seconds: None
    ) -> None:
        self._stall_s = stall_s
        self._latency = latency
        self._began = time.monotonic()
        self._beat: float | None = None
        self._shard: Shard | None = None
        self._linker: Linker | None = None
        self._deliveries: Sequence[Delivery] = ()
        self._events: Counter[str] = Counter()
        self._frames: dict[str, tuple[int, RateMeter, float]] = {}
        self._tracklets: Counter[str] = Counter()

    def watch(self, shard: Shard, linker: Linker, deliveries: Sequence[Delivery]) -> None:
        """What the run is made of, once it is built."""
        self._shard, self._linker, self._deliveries = shard, linker, deliveries

    def beat(self) -> None:
        """The loop has come round."""
        self._beat = time.monotonic()

    def frame(self, camera_id: str, time_s: float) -> None:
        """A frame is through; one that is told again, for a track confirmed later, counts once."""
        count, meter, last_s = self._frames.get(camera_id, (0, RateMeter(), float("-inf")))
        if time_s > last_s:
            meter.count(count + 1, time.monotonic())
            self._frames[camera_id] = count + 1, meter, time_s

    def tracklet(self, camera_id: str) -> None:
        """A tracklet has ended."""
        self._tracklets[camera_id] += 1

    def event(self, event: Event) -> None:
        """An event was written."""
        self._events[event.kind] += 1
        if self._is_live():
            self._latency(max(0.0, SITE_CLOCK.now_s() - event.at_s))

    def _is_live(self) -> bool:
        return self._shard is not None and any(reader.info.is_live for reader in self._shard.readers)

    def fault(self) -> str | None:
        """Why the run is not healthy, or None; loading networks is no fault."""
        if self._beat is None or time.monotonic() - self._beat <= self._stall_s:
            return None
        return f"the loop stands still for {time.monotonic() - self._beat:.0f} s"

    def not_ready(self) -> str | None:
        """Why no results can be expected yet, or None."""
        if self._beat is None or self._shard is None:
            return "starting"
        if not any(_gives_frames(reader.health()) for reader in self._shard.readers):
            return "no camera gives frames"
        return self.fault()

    def status(self) -> RunStatus:
        """The snapshot."""
        up_s = time.monotonic() - self._began
        if self._shard is None or self._linker is None:
            return RunStatus(up_s=up_s)
        times = self._shard.times
        latest = {reader.camera_id: reader for reader in self._shard.readers}
        return RunStatus(
            cameras=tuple(self._camera(latest[camera_id].health()) for camera_id in sorted(latest)),
            sinks=tuple(delivery.status() for delivery in self._deliveries),
            stages={name: (s, times.items[name]) for name, s in dict(times.seconds).items()},
            events=dict(self._events),
            identities=self._linker.identities,
            remembered=self._linker.remembered,
            share=self._shard.load.share,
            load=self._shard.load.load,
            up_s=up_s,
        )

    def _camera(self, health: CameraHealth) -> CameraStatus:
        frames, meter, _ = self._frames.get(health.camera_id, (0, RateMeter(), 0.0))
        fps = meter.per_second(time.monotonic())
        return CameraStatus(health, frames, fps, self._tracklets[health.camera_id])


def _gives_frames(health: CameraHealth) -> bool:
    return health.state == "live" and health.frames_in > 0
