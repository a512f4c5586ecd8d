"""One live camera at a real RTSP server that misbehaves in every way we have heard of."""

from __future__ import annotations

import logging
import random
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import CameraConfig, LiveConfig
from pipeline.sources.live import LiveSource
from pipeline.sources.site_clock import SITE_CLOCK
from pipeline.sources.stream import Stream
from tests.live.conftest import Watcher
from tests.live.servers import RtspServer, faketime, free_port, taken_at

Serve = Callable[..., RtspServer]
Watch = Callable[..., Watcher]
MOUNT = "a=320x240@10"
WRAP_S = 2**32 / 1000


def time_errors(watcher: Watcher, last: int) -> np.ndarray:
    """Of the last frames: site time minus the moment that the camera wrote into the picture, seconds."""
    pairs = list(zip(watcher.frames, watcher.arrivals, strict=False))[-last:]
    wall_s = np.array([taken_at(frame.image) + offset_s for frame, offset_s in pairs])
    stamps = np.array([frame.ref.timestamp_s for frame, _ in pairs])
    return (stamps - wall_s + WRAP_S / 2) % WRAP_S - WRAP_S / 2


def test_frames_carry_the_time_they_were_taken(serve: Serve, watch: Watch):
    watcher = watch(serve(MOUNT).url("a"))
    watcher.wait_for(lambda one: one.health.clock_kind == "rtcp")
    watcher.wait_for_more(12)
    assert np.median(np.abs(time_errors(watcher, 10))) < 0.02
    health = watcher.health
    assert (health.state, health.picture, health.width, health.height) == ("live", "live", 320, 240)
    assert abs(health.clock_error_s) < 1
    assert (health.reconnects, health.frames_skipped, health.clock_jumps, health.last_error) == (0, 0, 0, "")
    stamps = [frame.ref.timestamp_s for frame in watcher.frames]
    assert stamps == sorted(set(stamps))


def test_wrong_credentials_are_told_masked_and_do_not_hammer_the_camera(
    serve: Serve, watch: Watch, caplog: pytest.LogCaptureFixture
):
    server = serve(MOUNT, user="viewer", password="s3cret")
    with caplog.at_level(logging.DEBUG):
        wrong = watch(server.url("a", "viewer:wr0ng"), max_backoff_s=30)
        wrong.wait_for(lambda one: one.health.state == "lost")
        right = watch(server.url("a", "viewer:s3cret"))
        right.wait_for_more()
    assert "401" in wrong.health.last_error
    assert wrong.health.reconnects == 1
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text + wrong.health.last_error


def test_a_camera_that_is_down_at_the_start_is_waited_for(serve: Serve, watch: Watch):
    server = RtspServer(MOUNT)
    watcher = watch(server.url("a"))
    watcher.wait_for(lambda one: one.health.reconnects >= 2)
    assert watcher.health.state == "lost"
    assert "refused" in watcher.health.last_error
    try:
        server.start()
        watcher.wait_for_more()
        assert watcher.health.state == "live"
    finally:
        server.kill()


@pytest.mark.slow
def test_a_server_that_is_killed_comes_back_every_time(serve: Serve, watch: Watch):
    server = serve(MOUNT)
    watcher = watch(server.url("a"))
    watcher.wait_for_more()
    for round_ in range(3):
        server.kill()
        watcher.wait_for(lambda one: one.health.state == "lost")
        time.sleep(1.5)
        server.start()
        assert watcher.wait_for_more(1) < 1 + 2, "the longest back-off and two seconds"
        assert watcher.health.reconnects > round_
    stamps = [frame.ref.timestamp_s for frame in watcher.frames]
    assert stamps == sorted(set(stamps)), "time ascends over reconnections"


@pytest.mark.slow
def test_a_connection_that_is_half_open_is_given_up_and_made_anew(serve: Serve, watch: Watch):
    """The server's machine is there, its kernel acknowledges, but nothing ever comes: a frozen NVR."""
    server = serve(MOUNT)
    watcher = watch(server.url("a"))
    watcher.wait_for_more()
    server.halt()
    watcher.wait_for(lambda one: one.health.state == "lost")
    assert watcher.health.last_error == "no answer in time"
    server.resume()
    watcher.wait_for_more()


@pytest.mark.slow
def test_a_camera_is_back_soon_after_a_halt_though_an_attempt_had_to_time_out(
    serve: Serve, watch: Watch, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(random.Random, "uniform", lambda self, low, high: high)  # the worst luck
    server = serve(MOUNT)
    watcher = watch(server.url("a"), open_timeout_s=3, max_backoff_s=4)
    watcher.wait_for_more()
    server.halt()
    for lost in range(1, 6):
        watcher.wait_for(lambda one, lost=lost: one.health.reconnects == lost)
    server.resume()
    assert watcher.wait_for_more(1) < 3.2 + 0.5, (
        "what is left of the back-off, opening, and up to a key frame"
    )


@pytest.mark.slow
def test_opening_a_stream_waits_for_little_more_than_its_first_packet(serve: Serve):
    server, waiting = serve(MOUNT), []
    for _ in range(3):
        stream = Stream(server.url("a"), LiveConfig(), threading.Event())
        waiting.append(sum(1 for _ in takewhile(lambda one: one.is_backlog, stream.pictures())))
        stream.close()
    assert min(waiting) <= 1, "probing keeps the first picture waiting, ten a second"


@pytest.mark.slow
def test_a_reader_that_is_too_slow_does_not_fall_behind_for_good(serve: Serve):
    source = LiveSource(CameraConfig(id="a", source=serve(MOUNT).url("a")))
    began, lags = time.monotonic(), []
    for frame in source:
        lags.append(SITE_CLOCK.now_s() - frame.ref.timestamp_s)
        time.sleep(0.3)
        if time.monotonic() - began > 15:
            break
    health = source.health()
    source.close()
    assert max(lags) < 4, "a third of the frames for fifteen seconds would make ten"
    assert health.frames_dropped > 20


@pytest.mark.slow
def test_a_stream_that_hangs_is_opened_again(serve: Serve, watch: Watch):
    server = serve(MOUNT)
    watcher = watch(server.url("a"))
    watcher.wait_for_more()
    server.tell("hang a")
    watcher.wait_for(lambda one: one.health.state == "lost")
    server.tell("go a")
    watcher.wait_for_more()


@pytest.mark.slow
@pytest.mark.parametrize(("order", "state"), [("freeze a", "frozen"), ("black a", "black")])
def test_a_frozen_or_black_picture_is_told_and_the_stream_opened_again(
    serve: Serve, watch: Watch, order: str, state: str
):
    server = serve(MOUNT)
    watcher = watch(server.url("a"))
    watcher.wait_for_more()
    server.tell(order)
    watcher.wait_for(lambda one: one.health.picture == state)
    watcher.wait_for(lambda one: one.health.reconnects == 1)
    assert watcher.health.last_error == f"the picture is {state}"
    watcher.wait_for_more(5)
    assert watcher.health.picture == state, "opening it again changed nothing"
    server.tell("go a")
    watcher.wait_for(lambda one: one.health.picture == "live")


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    if faketime() is None:
        pytest.skip("no libfaketime here; install faketime")
    return tmp_path / "clock"


@pytest.mark.slow
def test_a_wrong_clock_is_told_and_taken_out_and_so_is_its_jump(serve: Serve, watch: Watch, wall: Path):
    wall.write_text("+90s\n")
    watcher = watch(serve(MOUNT, clock=wall).url("a"))
    watcher.wait_for(lambda one: one.health.clock_kind == "rtcp")
    watcher.wait_for_more(10)
    assert watcher.health.clock_error_s == pytest.approx(90, abs=0.5)
    assert np.abs(time_errors(watcher, 8)).max() < 0.4, "stamped by arrival"
    wall.write_text("+30s\n")
    watcher.wait_for(lambda one: one.health.clock_jumps == 1, 40)
    watcher.wait_for_more(10)
    assert watcher.health.clock_error_s == pytest.approx(30, abs=0.5)
    assert np.abs(time_errors(watcher, 8)).max() < 0.4


@pytest.mark.slow
def test_a_small_clock_error_is_the_cameras_own_time(serve: Serve, watch: Watch, wall: Path):
    """Cameras that are set alike must agree, even where this host is the one that is off."""
    wall.write_text("-0.7s\n")
    watcher = watch(serve(MOUNT, clock=wall).url("a"))
    watcher.wait_for(lambda one: one.health.clock_kind == "rtcp")
    watcher.wait_for_more(10)
    assert np.median(time_errors(watcher, 8)) == pytest.approx(-0.7, abs=0.2), "neither 0 nor arrival"


@pytest.mark.slow
def test_rtp_times_that_wrap_twice_a_day_leave_no_trace(serve: Serve, watch: Watch):
    watcher = watch(serve(MOUNT, first_stamp=2**32 - 12 * 90_000).url("a"))
    watcher.wait_for(lambda one: one.health.clock_kind == "rtcp")
    watcher.wait_for_more(120)
    assert np.median(np.abs(time_errors(watcher, 100))) < 0.02
    assert (watcher.health.clock_jumps, watcher.health.reconnects) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["640 480", "160 120"])
def test_another_resolution_in_mid_stream_does_not_change_coordinates(serve: Serve, watch: Watch, size: str):
    server = serve(MOUNT)
    watcher = watch(server.url("a"))
    watcher.wait_for(lambda one: one.health.clock_kind == "rtcp")
    server.tell(f"size a {size}")
    time.sleep(3)
    watcher.wait_for_more(10)
    assert {frame.image.shape for frame in watcher.frames} == {(240, 320, 3)}
    errors = time_errors(watcher, 5)
    assert np.abs(errors).max() < 0.4, "the picture's content is where it was"


@pytest.mark.slow
def test_media_over_udp(serve: Serve, watch: Watch):
    watcher = watch(serve(MOUNT).url("a"), transport="udp")
    watcher.wait_for(lambda one: one.health.clock_kind == "rtcp")
    watcher.wait_for_more(10)
    assert np.median(np.abs(time_errors(watcher, 8))) < 0.03


@pytest.mark.slow
def test_rtsps(serve: Serve, watch: Watch, tmp_path: Path):
    pem, key = tmp_path / "server.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", str(key), "-out", str(pem)], capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl here to make a certificate")
    pem.write_bytes(key.read_bytes() + pem.read_bytes())
    watcher = watch(serve(MOUNT, certificate=pem).url("a"))
    watcher.wait_for_more()
    assert watcher.health.state == "live"


@pytest.mark.slow
def test_what_is_not_there_is_told(serve: Serve, watch: Watch):
    server = serve(MOUNT)
    no_mount, no_host = watch(server.url("b")), watch(f"rtsp://127.0.0.1:{free_port()}/a")
    no_device = watch("/dev/video99")
    for watcher, reason in ((no_mount, "404"), (no_host, "refused"), (no_device, "No such file")):
        watcher.wait_for(lambda one: one.health.reconnects)
        assert reason in watcher.health.last_error
