"""The composition root: from a configuration to the sources, stages and recorders of one run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.calibrations import ground_of, load_calibration
from pipeline.config import CameraConfig, Config, SieChoice
from pipeline.export.header import CameraInfo, ModelInfo, RunHeader
from pipeline.models import model_info, open_detector, open_embedder, sie_rows, weights_path
from pipeline.packets import CameraEnd
from pipeline.recorders import DetectionRecorder, EmbeddingRecorder
from pipeline.roi import RegionOfInterest, region_of
from pipeline.shard import Shard
from pipeline.sources.opening import needs_pixels, open_source, open_sources, stored_detections
from pipeline.sources.reader import Reader
from pipeline.sources.source import Source, SourceInfo, site_origin_s
from pipeline.stages.camera_motion import BackgroundFlow
from pipeline.stages.crop import CropStage
from pipeline.stages.detect import Detector, DetectStage, class_groups_of
from pipeline.stages.detect_replay import ReplayDetector
from pipeline.stages.detection_files import StoredDetections
from pipeline.stages.embed import AppearanceStage, EmbedStage, NoEmbeddings, ReplayEmbeddings
from pipeline.stages.embedding_files import StoredCrop, model_folder, read_embeddings
from pipeline.stages.track import TrackStage
from pipeline.stages.tracklets import GroundOf, TrackletStage

log = logging.getLogger(__name__)


@dataclass(slots=True)
class CameraTables:
    """What the stages look up by camera; they hold these very tables, so a camera that comes is entered here.

    Attributes:
        regions, ground, stored, sie: of each camera; ``sie`` for networks that run, ``stored`` for replay.
        num_sie_rows: of the network, or None where none runs.
        moving: cameras whose own motion is measured.
    """

    regions: dict[str, RegionOfInterest | None]
    ground: dict[str, GroundOf]
    stored: dict[str, StoredDetections]
    sie: dict[str, SieChoice]
    num_sie_rows: int | None
    moving: set[str]


@dataclass(slots=True)
class Run:
    """Everything one run is made of.

    Attributes:
        failed: cameras that could not be opened; the others run, and the result counts as incomplete.
        header: names every camera that ever took part.
        embedding_dim: length of an embedding; 0 without embeddings.
        tables: what the stages know of each camera.
    """

    config: Config
    shard: Shard
    header: RunHeader
    failed: Sequence[CameraEnd]
    recorders: Sequence[DetectionRecorder | EmbeddingRecorder]
    embedding_dim: int
    tables: CameraTables
    stop: threading.Event


@dataclass(slots=True)
class _Appearance:
    """How crops become embeddings in this run; ``model_hash`` names the folder they are saved in."""

    stage: AppearanceStage
    model: ModelInfo | None = None
    model_hash: str = ""
    dim: int = 0
    sie: dict[str, SieChoice] = field(default_factory=dict)
    num_sie_rows: int | None = None


def build_run(config: Config, output: Path, stop: threading.Event) -> Run:
    """Open every source and load every network.

    Raises:
        SourceError: no camera at all can be opened.
        ModelError, ConfigError: weights, SIE rows, calibration or masks do not fit.
    """
    stored = stored_detections(config)
    sources, failed = open_sources(config.cameras, {} if needs_pixels(config) else stored)
    try:
        return _run_of(config, sources, failed, stored, output, stop)
    except BaseException:
        for source in sources:
            source.close()
        raise


def _run_of(
    config: Config,
    sources: Sequence[Source],
    failed: Sequence[CameraEnd],
    stored: dict[str, StoredDetections],
    output: Path,
    stop: threading.Event,
) -> Run:
    infos = {source.camera_id: source.info for source in sources}
    cameras = [camera for camera in sorted(config.cameras, key=lambda one: one.id) if camera.id in infos]
    detector, detector_model = _detector(config, stored)
    appearance = _appearance(config, cameras)
    models = tuple(model for model in (detector_model, appearance.model) if model is not None)
    detections = _detection_recorder(config, cameras, infos, detector_model, output)
    embeddings = _embedding_recorder(config, cameras, appearance, output)
    regions = {one.id: region_of(one, infos[one.id].width, infos[one.id].height) for one in cameras}
    calibrations = {camera.id: load_calibration(camera) for camera in cameras}
    names = config.detector.classes
    ground = {id_: ground_of(one, infos[id_].height, names) for id_, one in calibrations.items() if one is not None}
    moving = {camera.id for camera in cameras if camera.moving}
    tables = CameraTables(regions, ground, stored, appearance.sie, appearance.num_sie_rows, moving)
    shard = Shard(
        readers=[Reader(source, config.run.buffer_frames, stop) for source in sources],
        detect=DetectStage(detector, config.detector, regions, detections),
        track=TrackStage(
            config.tracker,
            class_groups_of(config.detector),
            lambda id_: BackgroundFlow() if id_ in tables.moving else None,
            config.detector.gain,
        ),
        appearance=appearance.stage,
        tracklets=TrackletStage(ground, _early_crops(config), embeddings),
    )
    recorders = [recorder for recorder in (detections, embeddings) if recorder is not None]
    header = _header(config, infos, models)
    return Run(config, shard, header, failed, recorders, appearance.dim, tables, stop)


def admit(run: Run, camera: CameraConfig) -> Reader:
    """Make ready for a camera that comes while the run goes on, or comes back; the caller hands its reader to the shard.

    Raises:
        SourceError, ModelError, ConfigError: its mask, calibration, detections or SIE row do not fit; nothing changed.
    """
    tables, config = run.tables, run.config
    region, calibration = region_of(camera, 0, 0), load_calibration(camera)
    rows = {} if tables.num_sie_rows is None else sie_rows([camera], tables.num_sie_rows, config.embedder)
    stored = stored_detections(config.model_copy(update={"cameras": [camera]}))
    known = [reader.health().frames_in for reader in run.shard.readers if reader.camera_id == camera.id]
    source = open_source(camera, first_frame=max(known, default=0))
    tables.regions[camera.id] = region
    tables.ground.pop(camera.id, None)
    if calibration is not None:
        tables.ground[camera.id] = ground_of(calibration, source.info.height, config.detector.classes)
    tables.moving.discard(camera.id)
    if camera.moving:
        tables.moving.add(camera.id)
    tables.sie.update(rows)
    tables.stored.update(stored)
    info = _camera_info(camera, source.info, config)
    others = tuple(one for one in run.header.cameras if one.id != camera.id)
    run.header = replace(run.header, cameras=(*others, info))
    for recorder in run.recorders:
        recorder.begin(camera.id, site_origin_s(camera))
    return Reader(source, config.run.buffer_frames, run.stop)


def _detector(config: Config, stored: Mapping[str, StoredDetections]) -> tuple[Detector, ModelInfo | None]:
    if config.detector.backend == "replay":
        return ReplayDetector(stored, config.detector.classes), None
    weights = weights_path(config.detector.weights)
    detector = open_detector(config.detector, weights)
    log.info("detector %s runs on %s", weights.name, detector.runtime)
    return detector, model_info("detector", config.detector.backend, weights, detector.runtime)


def _appearance(config: Config, cameras: Sequence[CameraConfig]) -> _Appearance:
    settings = config.embedder
    if settings.backend == "off":
        return _Appearance(NoEmbeddings())
    if settings.backend == "replay":
        folder = model_folder(Path(settings.embeddings or ""))
        crops = {one.id: read_embeddings(folder / f"{one.id}.jsonl") for one in cameras}
        return _Appearance(ReplayEmbeddings(crops), dim=_stored_dim(crops))
    weights = weights_path(settings.weights)
    embedder = open_embedder(settings, weights)
    sie = sie_rows(cameras, embedder.num_sie_rows, settings)
    stage = EmbedStage(CropStage(config.crops, _early_crops(config)), embedder, sie)
    model = model_info("embedder", settings.backend, weights)
    return _Appearance(stage, model, embedder.model_hash, embedder.dim, sie, embedder.num_sie_rows)


def _stored_dim(stored: Mapping[str, Mapping[int, Sequence[StoredCrop]]]) -> int:
    lengths = (
        len(crop.embedding) for frames in stored.values() for crops in frames.values() for crop in crops
    )
    return next(lengths, 0)


def _early_crops(config: Config) -> int | None:
    """With how many embeddings a track is told of while it is still in view; None: only when it has ended."""
    if config.association.mode == "offline":
        return None
    return 0 if config.embedder.backend == "off" else config.association.rules.min_crops


def _detection_recorder(
    config: Config,
    cameras: Sequence[CameraConfig],
    infos: Mapping[str, SourceInfo],
    model: ModelInfo | None,
    output: Path,
) -> DetectionRecorder | None:
    hides = config.protection.blur != "off" and not any(camera.is_live for camera in cameras)
    if not (config.output.save_detections or hides):  # pictures drawn later must hide whoever was detected
        return None
    shared = {"classes": config.detector.classes, "model": asdict(model) if model else None}
    headers: dict[str, dict[str, Any]] = {}
    for camera in cameras:
        info = infos[camera.id]
        headers[camera.id] = {"width": info.width, "height": info.height, "fps": info.fps, **shared}
    origins = {camera.id: site_origin_s(camera) for camera in cameras}
    return DetectionRecorder(output / "detections", headers, origins)


def _embedding_recorder(
    config: Config, cameras: Sequence[CameraConfig], appearance: _Appearance, output: Path
) -> EmbeddingRecorder | None:
    if not config.output.save_embeddings or appearance.model is None:
        return None
    network = {"model": appearance.model.name, "model_hash": appearance.model_hash, "dim": appearance.dim}
    headers = {camera.id: {**network, "sie": appearance.sie[camera.id]} for camera in cameras}
    return EmbeddingRecorder(model_folder(output / "embeddings", appearance.model_hash), headers)


def _header(config: Config, infos: Mapping[str, SourceInfo], models: tuple[ModelInfo, ...]) -> RunHeader:
    return RunHeader(
        classes=tuple(config.detector.classes),
        cameras=tuple(_camera_info(camera, infos.get(camera.id), config) for camera in config.cameras),
        models=models,
        settings=settings_of(config),
    )


def _camera_info(camera: CameraConfig, info: SourceInfo | None, config: Config) -> CameraInfo:
    known = info or SourceInfo(0, 0, camera.fps, None, camera.is_live)
    source = camera.source if camera.is_live else str(Path(camera.source).absolute())
    return CameraInfo(
        id=camera.id,
        source=source,
        width=known.width,
        height=known.height,
        fps=known.fps,
        start_s=None if camera.is_live else site_origin_s(camera),
        frames_declared=known.frames_declared,
        site=camera.site,
        is_live=camera.is_live,
        sie=None if config.embedder.backend == "off" else camera.sie,
        ground=camera.calibration is not None,
    )


def settings_of(config: Config) -> dict[str, Any]:
    """What decides the result besides pictures and networks. Not here: how the work is cut up, and paths."""
    plain = config.model_dump(
        mode="json", include={"detector", "tracker", "crops", "embedder", "association"}
    )
    for section, key in (("detector", "weights"), ("detector", "detections"), ("detector", "device"),
                         ("embedder", "weights"), ("embedder", "embeddings"), ("embedder", "device"),
                         ("embedder", "batch_size"), ("association", "state")):  # fmt: skip
        plain[section].pop(key)
    for key in ("topology", "corrections"):
        path = plain["association"][key]
        plain["association"][key] = Path(path).name if path is not None else None
    return {**plain, "privacy": {"blur": config.protection.blur}, "seed": config.run.seed}
