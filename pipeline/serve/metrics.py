"""Prometheus metrics: a status is turned into them when they are asked for; nothing is counted twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from pipeline.serve.status import CameraStatus, RunStatus
from pipeline.sinks.delivery import SinkStatus
from pipeline.sources.health import CameraState

LATENCY_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)

_CAMERA_COUNTERS: tuple[tuple[str, str, Callable[[CameraStatus], float]], ...] = (
    ("frames_in", "Pictures decoded.", lambda one: one.health.frames_in),
    ("frames_out", "Frames tracked and written.", lambda one: one.frames_out),
    ("frames_dropped", "Frames not used: the machine is too slow.", lambda one: one.health.frames_dropped),
    ("frames_late", "Frames that came after max_lateness_s.", lambda one: one.health.frames_late),
    ("frames_skipped", "Pictures that could not be decoded.", lambda one: one.health.frames_skipped),
    ("reconnects", "Times the stream was lost.", lambda one: one.health.reconnects),
    ("clock_jumps", "Steps of the camera's clock, corrected.", lambda one: one.health.clock_jumps),
    ("tracklets", "Tracklets that ended.", lambda one: one.tracklets),
)
_CAMERA_GAUGES: tuple[tuple[str, str, Callable[[CameraStatus], float]], ...] = (
    ("fps_in", "Frames per second that come in, lately.", lambda one: one.health.fps_in),
    ("fps_out", "Frames per second that go out, lately.", lambda one: one.fps_out),
    ("lag_seconds", "Now minus the time of the last frame used.", lambda one: one.health.lag_s),
    ("silent_seconds", "Since the last frame came.", lambda one: one.health.silent_s),
    ("queue_frames", "Decoded frames that wait.", lambda one: one.health.queued),
    (
        "clock_error_seconds",
        "How far the camera's clock is ahead of ours.",
        lambda one: one.health.clock_error_s,
    ),
    ("clock_drift_ppm", "How much faster than ours its clock runs.", lambda one: one.health.drift_ppm),
    ("picture_ok", "0 while it is frozen or black.", lambda one: one.health.picture == "live"),
)
_SINK_COUNTERS: tuple[tuple[str, str, Callable[[SinkStatus], float]], ...] = (
    ("sent", "Records acknowledged.", lambda one: one.sent),
    ("failures", "Attempts that failed.", lambda one: one.failures),
    ("dropped", "Records lost: the spool was full.", lambda one: one.dropped),
)
_SINK_GAUGES: tuple[tuple[str, str, Callable[[SinkStatus], float]], ...] = (
    ("up", "1 while records are delivered.", lambda one: one.is_up),
    ("spool_records", "Records that wait on disk.", lambda one: one.waiting),
    ("spool_bytes", "Their size.", lambda one: one.waiting_bytes),
)


class Metrics:
    """Everything ``/metrics`` shows: the run, and this process (memory, processor time, descriptors).

    Attributes:
        latency: takes the seconds from a frame's time to its event being written.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        histogram = Histogram(
            "crosscam_event_latency_seconds",
            "From the time up to which the cameras were seen to the event being written.",
            registry=self._registry,
            buckets=LATENCY_S,
        )
        self.latency: Callable[[float], None] = histogram.observe

    def show(self, status: Callable[[], RunStatus]) -> None:
        """Whose status is shown; once."""
        self._registry.register(_StatusCollector(status))

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        return generate_latest(self._registry)


class _StatusCollector(Collector):
    def __init__(self, status: Callable[[], RunStatus]) -> None:
        self._status = status

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield from _labelled("camera", [(one.health.camera_id, one) for one in status.cameras],
                             _CAMERA_COUNTERS, _CAMERA_GAUGES)  # fmt: skip
        yield _states(status.cameras)
        yield from _labelled("sink", [(one.name, one) for one in status.sinks], _SINK_COUNTERS, _SINK_GAUGES)
        yield from _stages(status)
        events = CounterMetricFamily("crosscam_events", "Events by kind.", labels=["kind"])
        for kind in ("new", "update", "end", "revision"):
            events.add_metric([kind], (status.events or {}).get(kind, 0))
        yield events
        for name, text, value in (
            ("identities_open", "Identities that may still grow.", status.identities),
            ("gallery_size", "Tracklets whose appearance is kept for comparing.", status.remembered),
            ("frames_share", "Share of the frames that this machine can use.", status.share),
            ("load", "Seconds of work that come in per second.", status.load),
            ("threads", "Threads of this process.", threading.active_count()),
            ("up_seconds", "Since the start.", status.up_s),
        ):
            yield GaugeMetricFamily(f"crosscam_{name}", text, value=value)


def _labelled(label: str, entries: list[tuple[str, object]], counters: Iterable[tuple[str, str, Callable[..., float]]],
              gauges: Iterable[tuple[str, str, Callable[..., float]]]) -> Iterator[Metric]:  # fmt: skip
    for family, rows in ((CounterMetricFamily, counters), (GaugeMetricFamily, gauges)):
        for name, text, value_of in rows:
            metric = family(f"crosscam_{label}_{name}", text, labels=[label])
            for key, entry in entries:
                metric.add_metric([key], value_of(entry))
            yield metric


def _states(cameras: Iterable[CameraStatus]) -> Metric:
    metric = GaugeMetricFamily(
        "crosscam_camera_state", "1 for the state it is in.", labels=["camera", "state"]
    )
    for one in cameras:
        for state in get_args(CameraState):
            metric.add_metric([one.health.camera_id, state], one.health.state == state)
    return metric


def _stages(status: RunStatus) -> Iterator[Metric]:
    seconds = CounterMetricFamily("crosscam_stage_seconds", "Time spent in a stage.", labels=["stage"])
    items = CounterMetricFamily("crosscam_stage_items", "What went through it.", labels=["stage"])
    for stage, (spent_s, count) in (status.stages or {}).items():
        seconds.add_metric([stage], spent_s)
        items.add_metric([stage], count)
    yield from (seconds, items)
