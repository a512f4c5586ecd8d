"""The networks of a run: weights by path or registered name, loaded, with the hash that results carry."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.config import CameraConfig, DetectorConfig, EmbedderConfig, SieChoice
from pipeline.errors import ModelError
from pipeline.export.header import ModelInfo
from pipeline.stages.detect import NetworkDetector, min_confidence_of
from pipeline.weights import registry, resolve, weights_hash

if TYPE_CHECKING:
    from reid.embedder import Embedder


def weights_path(text: str | None) -> Path:
    """The file or folder that a config's ``weights`` means.

    Raises:
        ModelError: no such file, and no such registered name.
    """
    return resolve(text or "")


def open_detector(config: DetectorConfig, weights: Path) -> NetworkDetector:
    """Load a detection network.

    Raises:
        ModelError: the weights are unreadable, of another kind, or do not know a wanted class.
    """
    lowest = float(min_confidence_of(config).min())
    if config.backend == "yolox":
        from pipeline.stages.detect_yolox import YoloxDetector

        return YoloxDetector(weights, config.classes, lowest, config.device)
    from pipeline.stages.detect_ultralytics import UltralyticsDetector

    return UltralyticsDetector(
        weights, config.classes, lowest, config.max_iou, config.image_sizes, config.device
    )


def open_embedder(config: EmbedderConfig, weights: Path) -> Embedder:
    """Load an embedding network; torch is imported only for the backend of that name.

    What a registered name says of its network's shape and input form counts where the config does not say.

    Raises:
        ModelError: the weights are unreadable or do not fit the config.
    """
    from reid.embedder import Embedder
    from reid.preprocess import InputForm

    entry = registry().get(config.weights or "")
    form = InputForm(**entry.form) if entry is not None and entry.form else None
    if config.image_size is not None:
        form = InputForm(config.image_size, config.colour, config.mean, config.scale)
    network: dict[str, Any] = {}
    if config.backend == "torch":
        network = {**(entry.network if entry is not None else {}), "neck": config.neck}
    try:
        return Embedder.open(
            weights,
            config.backend,  # type: ignore[arg-type]  # replay and off are no networks
            device=config.device,
            precision=config.precision,
            batch_size=config.batch_size,
            form=form,
            **network,
        )
    except (ValueError, OSError) as error:
        raise ModelError(f"embedder: {error}") from error


def sie_rows(cameras: Iterable[CameraConfig], num_rows: int, config: EmbedderConfig) -> dict[str, SieChoice]:
    """Each camera's row of the SIE table: its own, or ``sie * views + view`` for a network that also knows views.

    Raises:
        ModelError: every row that the network does not have.
    """
    name = Path(config.weights or "").name
    entry = registry().get(config.weights or "")
    views = entry.sie.get("views", 1) if entry is not None else 1
    rows: dict[str, SieChoice] = {}
    wrong = []
    for camera in cameras:
        rows[camera.id] = camera.sie
        if isinstance(camera.sie, int):
            row = rows[camera.id] = camera.sie if camera.view is None else camera.sie * views + camera.view
            if row >= num_rows or (camera.view is not None and camera.view >= views):
                wrong.append(f"camera {camera.id}: {_asked(camera)}: {name} {_offered(num_rows, views)}")
    if wrong:
        raise ModelError("\n".join(wrong))
    return rows


def _asked(camera: CameraConfig) -> str:
    return f"sie {camera.sie}" if camera.view is None else f"sie {camera.sie}, view {camera.view}"


def _offered(num_rows: int, views: int) -> str:
    if not num_rows:
        return "has no SIE table; use off"
    of_views = f" ({num_rows // views} cameras x {views} views)" if views > 1 else ""
    return f"has rows 0 to {num_rows - 1}{of_views}; use one of them without a view, mean or off"


def model_info(
    role: Literal["detector", "embedder"], backend: str, weights: Path, runtime: str | None = None
) -> ModelInfo:
    """Name and SHA-256 of a network's files, and what computes it where the back end does not say it."""
    return ModelInfo(role, backend, weights.name, weights_hash(weights), runtime)
