"""What is known of a run before its first frame, and of each camera after its last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Literal

from pipeline import __version__
from pipeline.export.clock import iso, rounded_s
from pipeline.packets import CameraEnd
from pipeline.secrets import masked

FORMAT = "crosscam-trajectories"
FORMAT_VERSION = "1.0"

_LIBRARIES = (
    *("av", "faiss-cpu", "lap", "numpy", "onnxruntime", "opencv-python", "openvino", "scipy", "torch"),
    *("torchvision", "ultralytics"),
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A network that took part: ``name`` is its file name or registered name, never a path.

    ``runtime`` is the library that computed it, where ``backend`` leaves that open.
    """

    role: Literal["detector", "embedder"]
    backend: str
    name: str
    sha256: str | None = None
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera as the run knows it before its first frame.

    Attributes:
        id: its name in the config.
        source: where its pictures come from: an absolute path, glob or URL. Credentials are masked here.
        width, height: pixels of a full-resolution frame; 0 where the source has no pixels.
        fps: nominal frames per second of the frames used, or None.
        start_s: site time of the first moment, epoch seconds; 0 where none was given; None for live.
        frames_declared: frames that were to come, or None.
        site: floor or site.
        sie: the checkpoint's camera row, ``mean``, ``off``, or None without an embedder.
        ground: whether ground positions are known.
    """

    id: str
    source: str
    width: int
    height: int
    fps: float | None
    start_s: float | None = 0.0
    frames_declared: int | None = None
    site: str = "site"
    is_live: bool = False
    sie: int | str | None = None
    ground: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", masked(self.source))


@dataclass(frozen=True, slots=True)
class RunHeader:
    """Everything that explains a result besides the pixels; nothing in it changes from run to run.

    Attributes:
        classes: names; class ids index them.
        cameras: any order; written by name.
        models: the networks, with the hashes of their files.
        settings: association mode, thresholds, seed, and whatever else decided the result; JSON values.
        versions: of crosscam and of the libraries, by distribution name.
    """

    classes: tuple[str, ...]
    cameras: tuple[CameraInfo, ...]
    models: tuple[ModelInfo, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=lambda: installed_versions())

    def __post_init__(self) -> None:
        object.__setattr__(self, "cameras", tuple(sorted(self.cameras, key=lambda camera: camera.id)))

    def camera(self, camera_id: str) -> CameraInfo:
        """The camera of this name; KeyError if there is none."""
        return {camera.id: camera for camera in self.cameras}[camera_id]


def installed_versions() -> dict[str, str]:
    """Versions of crosscam and of the libraries that shape results, where installed."""
    found = {"crosscam": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def header_to_json(header: RunHeader) -> dict[str, Any]:
    """The header as JSON values."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "run": {
            "versions": dict(sorted(header.versions.items())),
            "models": [asdict(model) for model in header.models],
            "settings": dict(header.settings),
        },
        "classes": list(header.classes),
        "cameras": [_camera_to_json(camera) for camera in header.cameras],
    }


def _camera_to_json(camera: CameraInfo) -> dict[str, Any]:
    values = asdict(camera)
    if camera.start_s is not None:
        values["start_s"] = rounded_s(camera.start_s)
    values["start"] = None if camera.start_s is None else iso(camera.start_s)
    return values


def header_from_json(value: Mapping[str, Any]) -> RunHeader:
    """The inverse of ``header_to_json``; keys of a finished document's cameras are ignored.

    Raises:
        KeyError, TypeError: not such a header.
    """
    known = CameraInfo.__dataclass_fields__
    cameras = [{name: entry for name, entry in one.items() if name in known} for one in value["cameras"]]
    return RunHeader(
        classes=tuple(value["classes"]),
        cameras=tuple(CameraInfo(**camera) for camera in cameras),
        models=tuple(ModelInfo(**model) for model in value["run"]["models"]),
        settings=value["run"]["settings"],
        versions=value["run"]["versions"],
    )


def camera_result(camera: CameraInfo, end: CameraEnd | None) -> dict[str, Any]:
    """A camera of the finished document: what was known before, and how its source ended."""
    frames = {
        "frames_decoded": end.frames_decoded if end else None,
        "frames_skipped": end.frames_skipped if end else None,
        "truncated": end.truncated if end else False,
        "error": end.error if end else "the run stopped before this camera ended",
    }
    declared = end.frames_declared if end and end.frames_declared is not None else camera.frames_declared
    whole = end is not None and not end.truncated and end.error is None
    return _camera_to_json(camera) | {"frames_declared": declared} | frames | {"complete": whole}
