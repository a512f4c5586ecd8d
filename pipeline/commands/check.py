"""``check CONFIG``: would a run work, and how fast?

Opens every source and network and looks at one picture of each camera. Faults come in the form of the loader's
messages, ``file:line:col: key.path: message``, all of them at once.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from pipeline.calibrations import load_calibration
from pipeline.config import CameraConfig, Config, SinkConfig
from pipeline.config_loader import key_text, load_config
from pipeline.errors import CrosscamError, ExportError, SourceError
from pipeline.linking import load_corrections
from pipeline.models import open_detector, open_embedder, sie_rows, weights_path
from pipeline.packets import Frame
from pipeline.roi import region_of
from pipeline.secrets import masked
from pipeline.sinks.opening import open_sink
from pipeline.sources.opening import needs_pixels, open_source, stored_detections
from pipeline.stages.detection_files import StoredDetections
from pipeline.stages.embedding_files import model_folder, read_embeddings
from pipeline.topologies import load_topology
from pipeline.yaml_values import KeyPath, YamlValues, read_yaml

TIMED_ROUNDS = 3

Check = Callable[[], str]


@dataclass(slots=True)
class _Seen:
    """What the checks learn on the way.

    Attributes:
        frames: the first picture of each camera; their rates: frames per second to be worked off.
        detect_s: seconds per frame; boxes: found per frame; embed_s: seconds per crop.
    """

    frames: list[Frame] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    boxes: float = 0.0
    detect_s: float = 0.0
    embed_s: float = 0.0


def check_command(config_path: Path, output: Path | None) -> int:
    """Print what was found; returns 0, or the exit code that a run would end with for the first fault.

    Raises:
        ConfigError: the file itself is wrong.
    """
    config = load_config(config_path)
    places = read_yaml(config_path.read_text(encoding="utf-8"))
    out, exit_code = Console(), 0
    for key, check in _checks(config, output or config.output.folder):
        try:
            told = check()
            out.print("[green]ok[/]  ", end="")
            out.print(f"{key_text(key)}: {told}", markup=False, highlight=False, soft_wrap=True)
        except CrosscamError as error:
            exit_code = exit_code or error.exit_code
            _fault(out, config_path, places, key, error)
    return exit_code


def _fault(out: Console, path: Path, places: YamlValues, key: KeyPath, error: CrosscamError) -> None:
    place = places.place_of(key)
    for line in str(error).splitlines():
        told = f"{path}:{place.line}:{place.column}: {key_text(key)}: {line}"
        out.print("[red]bad[/] ", end="")
        out.print(masked(told), markup=False, highlight=False, soft_wrap=True)


def _checks(config: Config, output: Path) -> Iterator[tuple[KeyPath, Check]]:
    seen = _Seen()
    stored: dict[str, StoredDetections] = {}
    if config.detector.backend == "replay":
        yield ("detector", "detections"), partial(_stored, config, stored)
    for index, camera in enumerate(config.cameras):
        yield ("cameras", index, "source"), partial(_source, config, camera, stored, seen)
        if camera.roi_mask is not None:
            yield ("cameras", index, "roi_mask"), partial(_mask, camera, seen)
        if camera.calibration is not None:
            yield ("cameras", index, "calibration"), partial(_calibration, camera)
    if config.detector.backend != "replay":
        yield ("detector", "weights"), partial(_detector, config, seen)
    if config.embedder.backend == "replay":
        yield ("embedder", "embeddings"), partial(_embeddings, config)
    elif config.embedder.backend != "off":
        yield ("embedder", "weights"), partial(_embedder, config, seen)
    if isinstance(config.association.topology, Path):
        yield ("association", "topology"), lambda: f"{len(load_topology(config).links)} camera links"
    if config.association.corrections is not None:
        yield ("association", "corrections"), lambda: f"{load_corrections(config)}"
    yield ("output", "folder"), partial(_output, output)
    for index, sink in enumerate(config.output.sinks):
        yield ("output", "sinks", index), partial(_sink, sink)
    yield ("run",), partial(_speed, config, seen)


def _stored(config: Config, stored: dict[str, StoredDetections]) -> str:
    stored.update(stored_detections(config))
    return ", ".join(f"{camera} {len(one.rows)} boxes" for camera, one in sorted(stored.items()))


def _source(config: Config, camera: CameraConfig, stored: dict[str, StoredDetections], seen: _Seen) -> str:
    """Opens a recording and decodes its first picture; a stream is only named, since its camera may be off now."""
    if camera.is_live:
        return f"{masked(camera.source)} (live, opened by the run)"
    source = open_source(camera, None if needs_pixels(config) else stored.get(camera.id))
    try:
        began = time.perf_counter()
        first = next(iter(source), None)
        seen.decode_s.append(time.perf_counter() - began)
    finally:
        source.close()
    if first is None:
        raise SourceError(f"camera {camera.id}: {camera.source}: gives no frame")
    seen.frames.append(first)
    seen.rates.append(source.info.fps or 0.0)
    info = source.info
    frames = "?" if info.frames_declared is None else info.frames_declared
    return f"camera {camera.id}: {info.width}x{info.height}, {info.fps or 0:g} fps, {frames} frames"


def _mask(camera: CameraConfig, seen: _Seen) -> str:
    shape = next((frame.image.shape for frame in seen.frames if frame.ref.camera_id == camera.id), (0, 0))
    region_of(camera, shape[1], shape[0])
    return f"{camera.roi_mask}"


def _calibration(camera: CameraConfig) -> str:
    calibration = load_calibration(camera)
    return "floor only" if calibration is None or calibration.projection is None else "full camera"


def _detector(config: Config, seen: _Seen) -> str:
    weights = weights_path(config.detector.weights)
    detector = open_detector(config.detector, weights)
    told = f"{weights.name} on {detector.runtime}"
    if not seen.frames:
        return told
    batch = [seen.frames[number % len(seen.frames)] for number in range(config.run.batch_size)]
    detector.detect(batch)
    began = time.perf_counter()
    found = [detector.detect(batch) for _ in range(TIMED_ROUNDS)][-1]
    seen.detect_s = (time.perf_counter() - began) / (TIMED_ROUNDS * len(batch))
    seen.boxes = sum(map(len, found)) / len(found)
    return f"{told}: {1 / seen.detect_s:.1f} frames/s"


def _embedder(config: Config, seen: _Seen) -> str:
    weights = weights_path(config.embedder.weights)
    embedder = open_embedder(config.embedder, weights)
    sie_rows(config.cameras, embedder.num_sie_rows, config.embedder)
    pictures = [frame.image for frame in seen.frames if frame.image.size]
    if pictures:
        crops = [pictures[number % len(pictures)][:256, :128] for number in range(config.embedder.batch_size)]
        embedder.embed(crops, config.cameras[0].sie)
        began = time.perf_counter()
        embedder.embed(crops, config.cameras[0].sie)
        seen.embed_s = (time.perf_counter() - began) / len(crops)
    speed = f", {1 / seen.embed_s:.1f} crops/s" if seen.embed_s else ""
    return f"{weights.name}: {embedder.dim} numbers, {embedder.num_sie_rows} SIE rows{speed}"


def _embeddings(config: Config) -> str:
    folder = model_folder(Path(config.embedder.embeddings or ""))
    counts = {
        one.id: sum(map(len, read_embeddings(folder / f"{one.id}.jsonl").values())) for one in config.cameras
    }
    return f"{folder.name}: " + ", ".join(f"{camera} {count} crops" for camera, count in counts.items())


def _sink(settings: SinkConfig) -> str:
    """Its client is there and takes the settings; a broker may be down now, so it is not asked."""
    open_sink(settings).close()
    where = settings.url.split("://", 1)[1].rpartition("@")[2].split("/", 1)[0]  # a webhook's path may be its secret
    return f"{settings.label}: {', '.join(settings.records)} to {where}"


def _output(folder: Path) -> str:
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return f"{folder} can be written"
    except OSError as error:
        raise ExportError(f"{folder}: cannot be written: {error.strerror}") from error


def _speed(config: Config, seen: _Seen) -> str:
    """What the networks allow; decoding runs beside them. Crops count only where every one is embedded."""
    per_frame_s = seen.detect_s
    if config.crops.policy == "every_crop":
        per_frame_s += seen.boxes * seen.embed_s
    if not per_frame_s:
        return "nothing to measure"
    rate, needed = 1 / per_frame_s, sum(seen.rates)
    share = f", {rate / needed:.2f} x real time" if needed else ""
    return f"expected about {rate:.1f} frames/s over all cameras{share}"
