"""What a user sees while a run goes on."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from pipeline import progress
from pipeline.packets import CameraEnd
from pipeline.progress import CameraProgress, RunProgress, camera_table, clock_text


def test_a_frame_told_again_for_a_track_confirmed_later_counts_once():
    camera = CameraProgress(expected=3)
    for time_s in (0.0, 0.1, 0.0, 0.1, 0.2, 0.2):
        camera.frame(time_s)
    assert (camera.done, camera.time_s, camera.eta_s) == (3, 0.2, 0.0)


def test_lag_is_behind_the_camera_that_is_furthest():
    camera = CameraProgress(expected=None)
    assert camera.lag_s(5.0) == 0
    camera.frame(3.5)
    assert camera.lag_s(5.0) == 1.5
    assert camera.eta_s is None


def test_without_a_terminal_a_line_tells_all_cameras(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    console = Console(force_terminal=False, quiet=True)
    caplog.set_level(logging.INFO)
    with RunProgress({"a": CameraProgress(20), "b": CameraProgress(None)}, console) as shown:
        shown._next_line = 0.0
        shown.frame("a", 1.0)
    (line,) = caplog.messages
    assert "a 1/20 frames" in line
    assert "fps" in line
    assert "to go" in line
    assert "b 0/? frames" in line


def test_the_table_says_how_each_camera_ended():
    console = Console(record=True, width=120, file=io.StringIO())
    ends = [
        CameraEnd("b", 10, 20, 1, truncated=True),
        CameraEnd("a", 0, None, 0, truncated=False, error="camera a: gone.mp4: no such file"),
    ]
    console.print(camera_table(ends, {"b": 2}, {"b": 3}))
    told = console.export_text().splitlines()
    rows = [line for line in told if line.startswith("│")]
    assert [cell.strip() for cell in rows[0].strip("│").split("│")] == [
        *("a", "0", "?", "0", "0", "0", "camera a: gone.mp4: no such file")
    ]
    assert [cell.strip() for cell in rows[1].strip("│").split("│")] == [
        *("b", "10", "20", "1", "2", "3", "truncated")
    ]


@pytest.mark.parametrize(("seconds", "text"), [(75, "1:15"), (3700, "1:01:40"), (0, "0:00")])
def test_times_to_go(seconds: float, text: str):
    assert clock_text(seconds) == text
