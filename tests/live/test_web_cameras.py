"""MJPEG over HTTP and HLS, from real servers on loopback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.live.conftest import Watcher
from tests.live.servers import taken_at
from tests.live.web_servers import MjpegCamera, hls_camera, serving

Watch = Callable[..., Watcher]


def delays(watcher: Watcher, last: int) -> np.ndarray:
    """Of the last frames: site time minus the moment written into the picture, seconds."""
    pairs = list(zip(watcher.frames, watcher.arrivals, strict=False))[-last:]
    errors = np.array([frame.ref.timestamp_s - offset_s - taken_at(frame.image) for frame, offset_s in pairs])
    wrap_s = 2**32 / 1000
    return (errors + wrap_s / 2) % wrap_s - wrap_s / 2


def test_mjpeg_over_http_with_a_password(watch: Watch, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG), serving(MjpegCamera) as port:
        wrong = watch(f"http://viewer:wr0ng@127.0.0.1:{port}/video", max_backoff_s=30)
        watcher = watch(f"http://viewer:s3cret@127.0.0.1:{port}/video")
        watcher.wait_for_more(25)
        assert np.abs(np.median(delays(watcher, 10))) < 0.3
        assert watcher.health.codec == "mjpeg"
        assert watcher.health.clock_kind == "arrival"
        assert "401" in wrong.health.last_error
        watcher.close()
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text


@pytest.mark.slow
def test_hls_is_played_out_evenly_though_it_comes_in_segments(watch: Watch, tmp_path: Path):
    with hls_camera(tmp_path) as address:
        watcher = watch(address, read_timeout_s=10)
        watcher.wait_for_more(60, 60)
        stamps = np.array([frame.ref.timestamp_s for frame in watcher.frames])[-40:]
        assert np.median(np.diff(stamps)) == pytest.approx(0.1, abs=0.01)
        assert np.diff(stamps).max() < 1.0
        behind = delays(watcher, 20)
        assert 0 < np.median(behind) < 8, "HLS has no clock: frames are stamped when they are played"
        assert np.ptp(behind) < 1.5
        watcher.close()
