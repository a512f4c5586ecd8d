"""``doctor CONFIG``: open every camera at once and look, before the run: clock, rate, size, codec, and the load to expect.

`check` looks at files and networks; this reads the streams themselves for a few seconds, side by side as a run would.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.config import CameraConfig, Config
from pipeline.config_loader import load_config
from pipeline.errors import SourceError
from pipeline.load import TARGET
from pipeline.models import open_detector, weights_path
from pipeline.packets import Frame
from pipeline.secrets import masked
from pipeline.sources.health import CameraHealth
from pipeline.sources.opening import needs_pixels, open_source, stored_detections
from pipeline.sources.reader import Reader

TIMED_ROUNDS = 3
CLOCK_ERROR_S = 0.5


@dataclass(slots=True)
class _Patient:
    """A camera under examination.

    Attributes:
        error: why it cannot be read, or None.
        wanted_fps: frames per second that a run would use.
        decode_s: seconds of one core that reading a second of it costs; 0 for recordings, which wait for nobody.
        frame: one of its pictures.
    """

    camera: CameraConfig
    reader: Reader | None = None
    error: str | None = None
    wanted_fps: float = 0.0
    decode_s: float = 0.0
    frame: Frame | None = None

    @property
    def health(self) -> CameraHealth:
        return self.reader.health() if self.reader is not None else CameraHealth(self.camera.id, "lost")


def doctor(config_path: Path, seconds: float, out: Console) -> int:
    """Read every camera for ``seconds`` and print what was found; returns 0, or 3 where one gives no picture.

    Raises:
        ConfigError: the file itself is wrong.
        ModelError: the detector cannot be loaded.
    """
    config, stop = load_config(config_path), threading.Event()
    patients = [_admitted(camera, config, stop) for camera in config.cameras]
    try:
        _watch(patients, seconds)
    finally:
        stop.set()
        for patient in patients:
            if patient.reader is not None:
                patient.reader.join(1.0)
    out.print(_table(patients))
    for line in [*_complaints(patients), *_load(config, patients)]:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    return SourceError.exit_code if any(patient.error for patient in patients) else 0


def _admitted(camera: CameraConfig, config: Config, stop: threading.Event) -> _Patient:
    patient = _Patient(camera)
    try:
        stored = {} if needs_pixels(config) else stored_detections(config)
        patient.reader = Reader(open_source(camera, stored.get(camera.id)), config.run.buffer_frames, stop)
    except SourceError as error:
        patient.error = str(error)
    return patient


def _watch(patients: Sequence[_Patient], seconds: float) -> None:
    """Let all cameras run side by side; recordings only give their first picture."""
    reading = [patient for patient in patients if patient.reader is not None]
    for patient in reading:
        assert patient.reader is not None
        patient.reader.start()
    until = time.monotonic() + seconds
    live = [patient for patient in reading if patient.camera.is_live]
    while time.monotonic() < until and (live or any(one.frame is None for one in reading)):
        for patient in reading:
            if patient.camera.is_live or patient.frame is None:
                _look(patient)
        time.sleep(0.02)
    for patient in reading:
        _conclude(patient, seconds)


def _look(patient: _Patient) -> None:
    assert patient.reader is not None
    item = patient.reader.next(0.0)
    if isinstance(item, Frame):
        patient.frame = item
    elif item is not None:
        patient.error = item.error


def _conclude(patient: _Patient, seconds: float) -> None:
    """What a camera is found to be when its time is over."""
    assert patient.reader is not None
    health, camera = patient.health, patient.camera
    if patient.frame is None and patient.error is None:
        patient.error = (
            f"camera {camera.id}: no picture within {seconds:g} s; {health.last_error or health.state}"
        )
    fps = health.fps_in / camera.every_nth if camera.is_live else (patient.reader.info.fps or 0.0)
    patient.wanted_fps = min(fps, camera.max_fps) if camera.max_fps else fps
    patient.decode_s = patient.reader.decode_s / seconds if camera.is_live else 0.0


def _table(patients: Sequence[_Patient]) -> Table:
    table = Table("camera", title="Cameras", title_justify="left")
    for name in ("state", "codec", "size", "fps", "clock", "off by", "drift", "picture", "core"):
        table.add_column(name)
    for patient in patients:
        health = patient.health
        state = "bad" if patient.error else ("live" if patient.camera.is_live else "recorded")
        size = f"{health.width}x{health.height}" if health.width else "?"
        is_told = health.clock_kind == "rtcp"
        table.add_row(
            patient.camera.id,
            state,
            health.codec or "?",
            size,
            f"{health.fps_in if patient.camera.is_live else patient.wanted_fps:.1f}",
            health.clock_kind,
            f"{health.clock_error_s:+.2f} s" if is_told else "",
            f"{health.drift_ppm:+.0f} ppm" if health.drift_ppm else "",
            health.picture if patient.camera.is_live and not patient.error else "",
            f"{100 * patient.decode_s:.0f} %" if patient.camera.is_live else "",
        )
    return table


def _complaints(patients: Sequence[_Patient]) -> list[str]:
    """What is wrong, in words, and what follows from it."""
    told = [masked(f"bad: {line}") for patient in patients for line in (patient.error or "").splitlines()]
    for patient in patients:
        health = patient.health
        if patient.error or not patient.camera.is_live:
            continue
        if health.clock_kind == "arrival":
            told.append(f"note: camera {health.camera_id} gives no clock: frames are stamped on arrival, "
                        f"less live.latency_s ({patient.camera.live.latency_s:g} s)")  # fmt: skip
        elif abs(health.clock_error_s) > CLOCK_ERROR_S:
            is_out = abs(health.clock_error_s) > patient.camera.live.max_clock_error_s
            cure = (
                "is taken out" if is_out else "stays: set live.max_clock_error_s lower to have it taken out"
            )
            told.append(
                f"note: camera {health.camera_id}: its clock is off by {health.clock_error_s:+.2f} s; that {cure}"
            )
        if health.picture != "live":
            told.append(f"note: camera {health.camera_id}: the picture is {health.picture}")
        if health.reconnects:
            told.append(f"note: camera {health.camera_id}: the stream broke meanwhile ({health.last_error})")
    return told


def _load(config: Config, patients: Sequence[_Patient]) -> list[str]:
    """What a run will cost here: decoding on every core, detection on one after the other."""
    cores, decode_s = os.cpu_count() or 1, sum(patient.decode_s for patient in patients)
    is_live = any(
        patient.camera.is_live for patient in patients
    )  # then recordings have the time that is left
    rate = sum(patient.wanted_fps for patient in patients if patient.camera.is_live or not is_live)
    told = [f"load: decoding takes {decode_s:.2f} of {cores} cores; {rate:.1f} frames/s are to be worked off"]
    frames = [patient.frame for patient in patients if patient.frame is not None and patient.frame.image.size]
    if config.detector.backend == "replay" or not frames:
        return told
    cost_s = _seconds_per_frame(config, frames)
    load = rate * cost_s
    told.append(f"load: detection takes {1000 * cost_s:.1f} ms a frame, {100 * load:.0f} % of the time")
    if load > TARGET and is_live:
        told.append(
            f"note: too much: live cameras will use about {100 * TARGET / load:.0f} % of their frames"
        )
    return told


def _seconds_per_frame(config: Config, frames: Sequence[Frame]) -> float:
    detector = open_detector(config.detector, weights_path(config.detector.weights))
    batch = [frames[number % len(frames)] for number in range(config.run.batch_size)]
    detector.detect(batch)  # the first call also sets the network up
    began = time.perf_counter()
    for _ in range(TIMED_ROUNDS):
        detector.detect(batch)
    return (time.perf_counter() - began) / (TIMED_ROUNDS * len(batch))
