"""Health, readiness, metrics and the live table: what they say of a run, and to whom."""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from pipeline.config import ServeConfig
from pipeline.errors import ConfigError
from pipeline.progress import LiveTable, live_tables
from pipeline.serve.metrics import Metrics
from pipeline.serve.server import StatusServer
from pipeline.serve.status import Monitor
from pipeline.sinks.delivery import SinkStatus
from pipeline.sources.health import CameraHealth
from pipeline.timing import StageTimes
from tracking.online import Event
from tracking.types import TrackletKey, Trajectory

TOKEN = "0123456789abcdef"


def reader(camera: str, **health: Any) -> Any:
    told = CameraHealth(camera, **health)
    return SimpleNamespace(camera_id=camera, health=lambda: told, info=SimpleNamespace(is_live=True))


def watched(*readers: Any, stall_s: float = 30.0, latency: Callable[[float], None] = lambda s: None) -> Monitor:
    times = StageTimes()
    times.add("detect", 1.5, 30)
    shard: Any = SimpleNamespace(readers=readers, times=times, load=SimpleNamespace(share=0.5, load=1.7))
    linker: Any = SimpleNamespace(identities=4, remembered=9)
    sink: Any = SimpleNamespace(status=lambda: SinkStatus("mqtt", False, 12, 3456, 100, 3, 7))
    monitor = Monitor(stall_s, latency)
    monitor.watch(shard, linker, [sink])
    return monitor


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """By name and label values."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_metrics_show_cameras_sinks_stages_identities_and_the_process():
    metrics = Metrics()
    one = reader("gate", state="live", frames_in=50, frames_dropped=3, reconnects=2, queued=4, lag_s=0.25, fps_in=9.5)
    monitor = watched(one, reader("hall", state="lost"), latency=metrics.latency)
    for number in [*range(40), 37, 38]:  # two are told again
        monitor.frame("gate", number / 10)
    monitor.event(Event("new", 0.0, 1, Trajectory(1, 0, (TrackletKey("gate", 1),)), ()))
    metrics.show(monitor.status)
    found = samples(metrics)
    expected = {
        ("crosscam_camera_frames_in_total", "gate"): 50,
        ("crosscam_camera_frames_out_total", "gate"): 40,
        ("crosscam_camera_frames_dropped_total", "gate"): 3,
        ("crosscam_camera_reconnects_total", "gate"): 2,
        ("crosscam_camera_queue_frames", "gate"): 4,
        ("crosscam_camera_lag_seconds", "gate"): 0.25,
        ("crosscam_camera_fps_in", "gate"): 9.5,
        ("crosscam_camera_state", "gate", "live"): 1,
        ("crosscam_camera_state", "hall", "lost"): 1,
        ("crosscam_camera_state", "hall", "live"): 0,
        ("crosscam_sink_up", "mqtt"): 0,
        ("crosscam_sink_spool_records", "mqtt"): 12,
        ("crosscam_sink_dropped_total", "mqtt"): 7,
        ("crosscam_stage_seconds_total", "detect"): 1.5,
        ("crosscam_stage_items_total", "detect"): 30,
        ("crosscam_events_total", "new"): 1,
        ("crosscam_events_total", "revision"): 0,
        ("crosscam_event_latency_seconds_count",): 1,
        ("crosscam_identities_open",): 4,
        ("crosscam_gallery_size",): 9,
        ("crosscam_frames_share",): 0.5,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found[("process_resident_memory_bytes",)] > 1e6
    assert found[("process_open_fds",)] > 0


def test_a_camera_that_came_back_shows_its_latest_reader():
    monitor = watched(reader("gate", state="ended", frames_in=9), reader("gate", state="live", frames_in=2))
    assert [(one.health.state, one.health.frames_in) for one in monitor.status().cameras] == [("live", 2)]


def test_health_and_readiness_follow_the_run(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr("pipeline.serve.status.time.monotonic", lambda: now[0])
    starting = Monitor()
    assert (starting.fault(), starting.not_ready()) == (None, "starting"), "loading networks is no fault"
    monitor = watched(reader("a", state="lost"), stall_s=5.0)
    monitor.beat()
    assert (monitor.fault(), monitor.not_ready()) == (None, "no camera gives frames")
    monitor = watched(reader("a", state="lost"), reader("b", state="live", frames_in=1), stall_s=5.0)
    monitor.beat()
    assert (monitor.fault(), monitor.not_ready()) == (None, None)
    now[0] = 6.0
    assert monitor.fault() == monitor.not_ready() == "the loop stands still for 6 s"


@pytest.fixture
def serve() -> Iterator[Callable[..., StatusServer]]:
    opened: list[StatusServer] = []

    def make(fault: str | None = None, not_ready: str | None = None, **settings: Any) -> StatusServer:
        config = ServeConfig(port=0, **settings)
        opened.append(StatusServer(config, lambda: fault, lambda: not_ready, lambda: b"metric 1\n"))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def ask(server: StatusServer, path: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_three_paths_and_no_other(serve: Callable[..., StatusServer]):
    server = serve(not_ready="no camera gives frames")
    assert ask(server, "/healthz") == (200, '{"status": "ok"}\n')
    assert ask(server, "/readyz")[0] == 503
    assert "no camera gives frames" in ask(server, "/readyz")[1]
    assert ask(server, "/metrics") == (200, "metric 1\n")
    assert ask(server, "/metrics/../etc/passwd")[0] == ask(server, "/")[0] == 404


def test_only_loopback_is_open_without_a_token(serve: Callable[..., StatusServer]):
    assert ServeConfig().host == "127.0.0.1"
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(ValueError, match="give token"):
            ServeConfig(host=host)
    server = serve(host="0.0.0.0", token=TOKEN)
    assert ask(server, "/metrics")[0] == 401
    assert ask(server, "/metrics", "wrong")[0] == ask(server, "/metrics", TOKEN[:-1])[0] == 401
    assert ask(server, "/metrics", TOKEN) == (200, "metric 1\n")
    assert ask(server, "/healthz")[0] == 200, "a probe needs none"
    with pytest.raises(ValueError, match="at least 16"):
        ServeConfig(host="0.0.0.0", token="short")


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"serve: 127\.0\.0\.1:{port} cannot be listened on"):
            StatusServer(ServeConfig(port=port), lambda: None, lambda: None, lambda: b"")


def test_a_silent_client_holds_up_nobody_and_threads_end(serve: Callable[..., StatusServer]):
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port)):
        assert ask(server, "/healthz")[0] == 200
        server.close()
    assert not any(thread.name == "serve" for thread in threading.enumerate())


def test_the_live_table_is_renewed_while_it_stands_and_its_thread_ends():
    before = set(threading.enumerate())
    one = reader("gate", state="live", frames_in=50, fps_in=9.5)
    out = io.StringIO()
    with LiveTable(watched(one).status, Console(file=out, width=160, force_terminal=True)) as table:
        table.frame("gate", 0.0)
        time.sleep(1.3)
    assert out.getvalue().count("gate") >= 2
    patience_s = time.monotonic() + 10  # the thread is told to end and does so at its next turn
    while not set(threading.enumerate()) <= before and time.monotonic() < patience_s:
        time.sleep(0.05)
    assert set(threading.enumerate()) <= before


def test_without_a_terminal_a_line_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    caplog.set_level(logging.INFO, logger="pipeline")
    now = [0.0]
    monkeypatch.setattr("pipeline.progress.time.monotonic", lambda: now[0])
    one = reader("gate", state="live", frames_in=50, fps_in=9.5, lag_s=0.3)
    with LiveTable(watched(one).status, Console(file=io.StringIO())) as table:
        for now[0] in range(0, 130, 10):
            table.frame("gate", 0.0)
    said = [entry.message for entry in caplog.records if "gate live" in entry.message]
    assert len(said) == 2
    assert "of 9.5 fps, lag 0.3 s" in said[0]


def test_the_live_table_names_what_is_wrong():
    monitor = watched(
        reader("gate", state="live", frames_in=50, fps_in=9.5, reconnects=2, clock_kind="rtcp"),
        reader("hall", state="lost"),
        reader("door", state="live", picture="frozen"),
    )
    out = io.StringIO()
    Console(file=out, width=160).print(live_tables(monitor.status()))
    text = out.getvalue()
    for word in ("gate", "9.5", "rtcp", "lost", "frozen", "mqtt", "down", "12", "4 identities open", "50 %"):
        assert word in text, word
