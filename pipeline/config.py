"""The configuration: pydantic models own every default; the YAML file only overrides.

Loading is pure: no file is opened, no camera probed (``check`` does that). Unknown keys are refused. Names carry
units; thresholds say their direction. The settings of `reid` and `tracking` are their own frozen dataclasses,
embedded here unchanged, so that each default has one home.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tracking.association import AssociationConfig
from tracking.tracker import TrackerConfig

Polygon = list[tuple[float, float]]
SieChoice = Annotated[int, Field(ge=0)] | Literal["mean", "off"]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
InputSize = Annotated[int, Field(ge=32, le=4096)]

STREAM_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://", "udp://", "rtmp://")


class Section(BaseModel):
    """A part of the configuration: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class LiveConfig(Section):
    """How a live stream is read, and what its clock is worth."""

    transport: Annotated[Literal["tcp", "udp"], Field(description="RTSP: how the media travels.")] = "tcp"
    open_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    read_timeout_s: Annotated[float, Field(gt=0, description="A stream silent for longer is opened again.")] = 10.0
    max_backoff_s: Annotated[float, Field(gt=0, description="Longest wait between two attempts.")] = 30.0
    latency_s: Annotated[float, Field(ge=0, description="From the lens to us, where the stream does not say.")] = 0.0
    max_clock_error_s: Annotated[
        float, Field(gt=0, description="A camera clock further off than this is corrected to arrival.")
    ] = 2.0
    freeze_s: Annotated[float, Field(gt=0, description="The same or a black picture for so long is a fault.")] = 10.0
    reopen_frozen: Annotated[bool, Field(description="Open a frozen or black stream again.")] = True


class CameraConfig(Section):
    """One camera: where its pictures come from and what is known of it."""

    id: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    source: Annotated[str, Field(min_length=1, description="Video file, image folder, glob, or stream URL.")]
    fps: Annotated[float | None, Field(gt=0, description="For image folders and raw .264, which have no clock.")] = None
    start_time: Annotated[datetime | None, Field(description="Site time of the first frame, ISO 8601; UTC if no zone.")] = None
    start_offset_s: Annotated[float, Field(description="Added to start_time: this camera's offset on the site clock.")] = 0.0
    start_s: Annotated[float, Field(ge=0, description="Skip this much of the recording.")] = 0.0
    end_s: Annotated[float | None, Field(gt=0, description="Stop here in the recording.")] = None
    every_nth: Annotated[int, Field(ge=1, description="Use every n-th frame.")] = 1
    max_fps: Annotated[float | None, Field(gt=0, description="Skip frames above this rate.")] = None
    roi: Annotated[
        list[Polygon] | None,
        Field(description="Polygons in pixels; detections whose foot point lies outside are ignored."),
    ] = None
    roi_mask: Annotated[Path | None, Field(description="Image of the frame's size; non-zero is inside.")] = None
    sie: Annotated[SieChoice, Field(description="Row of the checkpoint's camera table, its mean, or off.")] = "off"
    view: Annotated[int | None, Field(ge=0, description="View label, for checkpoints with view SIE.")] = None
    calibration: Annotated[Path | None, Field(description="Calibration file: intrinsics/extrinsics or homography.")] = None
    site: Annotated[str, Field(description="Floor or site; nobody overlaps between two sites.")] = "site"
    moving: Annotated[
        bool, Field(description="It shakes, pans or rides along: measure that in the picture and take it out of tracks.")
    ] = False
    live: Annotated[LiveConfig, Field(description="For streams and devices only.")] = LiveConfig()

    @property
    def is_live(self) -> bool:
        """Whether the source is a stream or a device."""
        return self.source.lower().startswith(STREAM_SCHEMES) or self.source.startswith("/dev/")

    @model_validator(mode="after")
    def _one_roi_and_a_range(self) -> CameraConfig:
        if self.roi is not None and self.roi_mask is not None:
            raise ValueError("give roi or roi_mask, not both")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s ({self.end_s}) must be greater than start_s ({self.start_s})")
        return self


NETWORK_GAIN = 2.5
"""Reads 0.3 as 0.59: what follows people behind a YOLO elsewhere takes 0.25 to 0.3 for sure (the tracker: 0.6)."""


class DetectorConfig(Section):
    """What finds people and vehicles in a frame."""

    backend: Annotated[
        Literal["ultralytics", "yolox", "replay"],
        Field(description="ultralytics weights, YOLOX ONNX (Apache-2.0) or stored detections."),
    ] = "ultralytics"
    weights: Annotated[str | None, Field(description="Path or registered name of the weights.")] = None
    detections: Annotated[
        str | None, Field(description="replay: file pattern with {camera}, MOT det.txt or our .jsonl.")
    ] = None
    classes: Annotated[list[str], Field(min_length=1, description="Class names to follow.")] = ["person"]
    class_groups: Annotated[
        list[list[str]], Field(description="Classes that may share an identity, e.g. [[car, truck]].")
    ] = []
    min_confidence: Annotated[
        Unit | dict[str, Unit], Field(description="Lowest confidence kept: one number or one per class.")
    ] = 0.1
    max_iou: Annotated[Unit, Field(description="NMS: boxes overlapping more than this are one.")] = 0.6
    confidence_gain: Annotated[
        float | None,
        Field(gt=0, le=20, description="Following takes 1 - (1 - confidence)^gain; null: 2.5 for networks, 1 for replay."),
    ] = None
    image_size: Annotated[
        InputSize | Annotated[list[InputSize], Field(min_length=1, max_length=4)],
        Field(description="Longer side of the network's input, px; several: large objects from the small picture."),
    ] = 640
    device: Annotated[str, Field(description="cpu, cuda, cuda:0 or auto.")] = "auto"

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """Ascending, each once."""
        sizes = self.image_size if isinstance(self.image_size, list) else [self.image_size]
        return tuple(sorted(set(sizes)))

    @property
    def gain(self) -> float:
        """How many times the evidence a confidence claims: YOLO-like networks are surer than they say."""
        if self.confidence_gain is not None:
            return self.confidence_gain
        return 1.0 if self.backend == "replay" else NETWORK_GAIN

    @model_validator(mode="after")
    def _needs_its_input(self) -> DetectorConfig:
        needed = "detections" if self.backend == "replay" else "weights"
        if getattr(self, needed) is None:
            raise ValueError(f"backend {self.backend} needs {needed}")
        if self.backend == "yolox" and len(self.image_sizes) > 1:
            raise ValueError("image_size: a YOLOX file has one size of its own")
        known = set(self.classes)
        named = {name for group in self.class_groups for name in group}
        named |= set(self.min_confidence) if isinstance(self.min_confidence, dict) else set()
        if named - known:
            raise ValueError(f"not in classes: {', '.join(sorted(named - known))}")
        return self


class CropConfig(Section):
    """Which crops are embedded: the quality gate and the policy."""

    policy: Literal["every_crop", "every_s", "best_k"] = "best_k"
    k: Annotated[int, Field(ge=1, le=64, description="best_k: crops kept of each stretch between two meetings.")] = 8
    every_s: Annotated[float, Field(gt=0, description="every_s: seconds between crops of a track; best_k: spacing.")] = 0.5
    min_width_px: Annotated[float, Field(ge=1)] = 12
    min_height_px: Annotated[float, Field(ge=1)] = 32
    min_confidence: Unit = 0.4
    max_overlap: Annotated[Unit, Field(description="Share of the box covered by other boxes in front.")] = 0.6
    max_truncation: Annotated[Unit, Field(description="Share of the box's border lying on the frame's border.")] = 0.5
    min_sharpness: Annotated[float, Field(ge=0, description="Variance of the Laplacian of the crop; 0 is off.")] = 0.0


class EmbedderConfig(Section):
    """What turns crops into embeddings: TransReID, or another network with a declared input form."""

    backend: Literal["torch", "onnx", "openvino", "replay", "off"] = "torch"
    weights: Annotated[str | None, Field(description="Path or registered name of the weights.")] = None
    embeddings: Annotated[str | None, Field(description="replay: the folder that save_embeddings wrote.")] = None
    image_size: Annotated[
        tuple[int, int] | None, Field(description="(height, width); for foreign networks. TransReID knows its own.")
    ] = None
    colour: Annotated[Literal["rgb", "bgr"], Field(description="Channel order of a foreign network.")] = "rgb"
    mean: Annotated[tuple[float, float, float], Field(description="Subtracted, in 0..255 units.")] = (127.5, 127.5, 127.5)
    scale: Annotated[tuple[float, float, float], Field(description="Divided by, in 0..255 units.")] = (127.5, 127.5, 127.5)
    neck: Annotated[Literal["before", "after"], Field(description="TransReID: feature before or after the BNNeck.")] = "before"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "int8"], Field(description="int8: torch on a CPU, half as fast again as fp32.")
    ] = "fp32"
    batch_size: Annotated[int, Field(ge=1, le=512)] = 16
    device: str = "auto"

    @model_validator(mode="after")
    def _needs_its_input(self) -> EmbedderConfig:
        needed = {"replay": "embeddings", "off": None}.get(self.backend, "weights")
        if needed and getattr(self, needed) is None:
            raise ValueError(f"backend {self.backend} needs {needed}")
        return self


class LinkingConfig(Section):
    """How tracklets become identities across cameras."""

    mode: Annotated[Literal["offline", "online"], Field(description="All at once at the end, or as tracklets end.")] = "offline"
    topology: Annotated[
        Path | Literal["off", "learn"], Field(description="YAML of camera links, or learn it from confident matches.")
    ] = "learn"
    corrections: Annotated[Path | None, Field(description="links.yaml of accepted, rejected and merged pairs.")] = None
    state: Annotated[Path | None, Field(description="SQLite file that keeps global ids across restarts.")] = None
    rerank: Annotated[bool, Field(description="Offline: k-reciprocal re-ranking of the distances.")] = False
    multiview: Annotated[
        bool, Field(description="Offline: follow people over calibrated views that overlap, as evidence of who is who.")
    ] = False
    rules: Annotated[AssociationConfig, Field(description="Thresholds and gates.")] = AssociationConfig()


class RotationConfig(Section):
    """When the JSON Lines go on in a new file; closed ones are ``trajectories.000001.jsonl`` and so on."""

    max_mib: Annotated[float, Field(gt=0, description="Largest file, MiB.")] = 64.0
    max_age_s: Annotated[float, Field(gt=0, description="Longest time one file is written to.")] = 3600.0
    keep: Annotated[int, Field(ge=1, description="Closed files kept; the oldest beyond are deleted.")] = 168


SINK_SCHEMES = {
    "mqtt": ("mqtt", "mqtts"),
    "redis": ("redis", "rediss"),
    "kafka": ("kafka",),
    "webhook": ("http", "https"),
}
RecordType = Literal["run", "frame", "tracklet", "event", "camera_end", "trajectory", "run_end"]


class SinkConfig(Section):
    """Where records are also sent while running; what cannot be delivered waits in a bounded spool on disk."""

    kind: Annotated[Literal["mqtt", "redis", "kafka", "webhook"], Field(description="Redis: Streams.")]
    name: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="In messages and metrics; the kind.")
    ] = None
    url: Annotated[str, Field(description="mqtt(s)://, redis(s)://, kafka://host:9092,host2:9092 or http(s)://.")]
    topic: Annotated[str, Field(min_length=1, description="MQTT or Kafka topic, Redis stream.")] = "crosscam"
    records: Annotated[list[RecordType], Field(min_length=1, description="Types of records sent.")] = ["event"]
    headers: Annotated[dict[str, str], Field(description="webhook: HTTP headers, e.g. Authorization.")] = {}
    options: Annotated[dict[str, str], Field(description="kafka: librdkafka settings, e.g. sasl.username.")] = {}
    max_length: Annotated[int | None, Field(ge=1, description="redis: entries the stream keeps, about.")] = None
    batch: Annotated[int, Field(ge=1, le=1000, description="Records sent at once, at most.")] = 100
    timeout_s: Annotated[float, Field(gt=0, description="To connect, and to be acknowledged.")] = 5.0
    max_backoff_s: Annotated[float, Field(gt=0, description="Longest wait between two attempts.")] = 30.0
    spool_mib: Annotated[float, Field(gt=0, description="What waits on disk, at most; then the oldest goes.")] = 256.0

    @property
    def label(self) -> str:
        return self.name or self.kind

    @model_validator(mode="after")
    def _fits_its_kind(self) -> SinkConfig:
        schemes = SINK_SCHEMES[self.kind]
        if not self.url.lower().startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"url of kind {self.kind} must begin with {' or '.join(f'{s}://' for s in schemes)}")
        for field, kind in (("headers", "webhook"), ("options", "kafka"), ("max_length", "redis")):
            if getattr(self, field) and self.kind != kind:
                raise ValueError(f"{field} serves kind {kind} only")
        return self


class OutputConfig(Section):
    """What is written, and where."""

    folder: Path = Path("out")
    save_detections: bool = False
    save_embeddings: bool = False
    rotate: Annotated[
        RotationConfig | None, Field(description="Rotate the JSON Lines; live runs do by themselves.")
    ] = None
    sinks: Annotated[list[SinkConfig], Field(description="Brokers and webhooks told while running.")] = []

    @field_validator("sinks")
    @classmethod
    def _sinks_are_told_apart(cls, sinks: list[SinkConfig]) -> list[SinkConfig]:
        labels = [sink.label for sink in sinks]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"sinks of one name, give each its own: {', '.join(twice)}")
        return sinks


LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ServeConfig(Section):
    """``/healthz``, ``/readyz`` and Prometheus ``/metrics`` over HTTP while running."""

    host: Annotated[str, Field(description="Loopback; anything wider needs a token.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0 takes a free one and says which.")] = 9464
    token: Annotated[
        str | None, Field(min_length=16, description="Asked for as Authorization: Bearer; from the environment.")
    ] = None
    stall_s: Annotated[float, Field(gt=0, description="The loop standing still for longer is unhealthy.")] = 30.0

    @model_validator(mode="after")
    def _open_only_with_a_token(self) -> ServeConfig:
        if self.host not in LOOPBACK and self.token is None:
            raise ValueError(f"host {self.host} is open to other machines: give token, e.g. ${{CROSSCAM_TOKEN}}")
        return self


class PrivacyConfig(Section):
    """What protects the people seen."""

    blur: Annotated[
        Literal["off", "faces", "bodies"],
        Field(description="In every picture that is written: heads, or whoever and whatever is followed."),
    ] = "off"
    embeddings_max_age_s: Annotated[
        float | None, Field(gt=0, description="Stored embeddings older than this are deleted, also while running.")
    ] = None


class RunConfig(Section):
    """How the work is done."""

    batch_size: Annotated[int, Field(ge=1, le=256, description="Frames per detector batch, across cameras.")] = 8
    buffer_frames: Annotated[int, Field(ge=1, le=1024, description="Decoded frames waiting per camera, at most.")] = 8
    align_tolerance_s: Annotated[float, Field(ge=0, description="Frames this close in time share a batch.")] = 0.05
    align_wait_s: Annotated[
        float, Field(ge=0, description="Live: how long a frame waits for other cameras' frames of its moment.")
    ] = 0.1
    max_lateness_s: Annotated[
        float, Field(gt=0, description="Live: nobody waits longer for a silent camera; frames that come later are dropped.")
    ] = 2.0
    max_latency_s: Annotated[
        float, Field(gt=0, description="Live: no frame waits longer for its turn; a machine too slow uses fewer frames.")
    ] = 1.0
    seed: int = 0


class Config(Section):
    """A whole run."""

    cameras: Annotated[list[CameraConfig], Field(min_length=1)]
    detector: DetectorConfig
    tracker: TrackerConfig = TrackerConfig()
    crops: CropConfig = CropConfig()
    embedder: EmbedderConfig = EmbedderConfig(backend="off")
    association: LinkingConfig = LinkingConfig()
    output: OutputConfig = OutputConfig()
    run: RunConfig = RunConfig()
    serve: Annotated[ServeConfig | None, Field(description="Health and metrics over HTTP; null serves nothing.")] = None
    privacy: Annotated[
        PrivacyConfig | Literal["off", "blur"], Field(description="blur is short for {blur: bodies}.")
    ] = "off"

    @property
    def protection(self) -> PrivacyConfig:
        """What ``privacy`` means, in full."""
        if isinstance(self.privacy, PrivacyConfig):
            return self.privacy
        return PrivacyConfig(blur="bodies" if self.privacy == "blur" else "off")

    @property
    def rotation(self) -> RotationConfig | None:
        """How the JSON Lines are rotated: as configured; live runs always are, lest they fill memory and disk."""
        live = any(camera.is_live for camera in self.cameras)
        return self.output.rotate or (RotationConfig() if live else None)

    @model_validator(mode="after")
    def _embeddings_outlive_their_use(self) -> Config:
        max_age_s, needed_s = self.protection.embeddings_max_age_s, self.association.rules.max_gap_s
        if max_age_s is not None and max_age_s < needed_s:
            raise ValueError(
                f"privacy.embeddings_max_age_s ({max_age_s:g}) must not be below association.rules.max_gap_s ({needed_s:g})"
            )
        return self

    @field_validator("cameras")
    @classmethod
    def _names_are_unique(cls, cameras: list[CameraConfig]) -> list[CameraConfig]:
        names = [camera.id for camera in cameras]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"camera ids given twice: {', '.join(twice)}")
        return cameras

    @model_validator(mode="after")
    def _live_frames_can_be_in_time(self) -> Config:
        for camera in self.cameras:
            if camera.is_live and camera.live.latency_s >= self.run.max_lateness_s:
                raise ValueError(
                    f"camera {camera.id}: live.latency_s ({camera.live.latency_s:g}) must be less than "
                    f"run.max_lateness_s ({self.run.max_lateness_s:g}), or every frame is late"
                )
        return self


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file, for editors."""
    return Config.model_json_schema()
