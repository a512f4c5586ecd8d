"""Fixtures shared by every test: where real data and reference numbers live, when they are there."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"{variable} is not set and {default.name}/ is not beside the checkout")
    return folder


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """What a command did to the loggers in this process does not reach the next test."""
    yield
    for name in ("pipeline", "reid", "tracking"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real footage, detections and truth beside the checkout; skips where it is missing."""
    return _folder("CROSSCAM_DATA", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def reference() -> Path:
    """Reference numbers of the official TransReID beside the checkout; skips where they are missing."""
    return _folder("CROSSCAM_REFERENCE", ROOT.parent / "shared" / "reference")


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """Writes a video: ``make_clip(path, images, fps=10, codec="libx264", format=None, muxer=None, **codec_options)``."""

    def make(
        path: Path,
        images: Iterable[np.ndarray],
        fps: float | Fraction = 10,
        codec: str = "libx264",
        format: str | None = None,  # noqa: A002
        muxer: dict[str, str] | None = None,
        **options: str,
    ) -> Path:
        import av

        rate = Fraction(fps).limit_denominator(100_000)
        container: Any = av.open(str(path), "w", format=format, options=muxer or {})
        stream = None
        for image in images:
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options)
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
        container.close()
        return path

    return make


@pytest.fixture(scope="session")
def make_site(make_clip: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a site as rendered: ``make_site(folder, {camera: (images, lines of truth)}, fps=10.0)``."""

    def make(folder: Path, cameras: Mapping[str, tuple[Iterable[np.ndarray], Iterable[str]]], fps: float = 10.0) -> Path:
        for name in ("clips", "truth"):
            (folder / name).mkdir(parents=True)
        for camera, (images, truth) in cameras.items():
            make_clip(folder / "clips" / f"{camera}.mp4", images, fps=fps)
            (folder / "truth" / f"{camera}.txt").write_text("".join(truth))
        entries = [{"id": camera, "fps": fps} for camera in cameras]
        (folder / "truth" / "site.json").write_text(json.dumps({"cameras": entries}))
        return folder

    return make


@pytest.fixture(scope="session")
def colour_network() -> Callable[[Path], None]:
    """Writes an ONNX network ``(N, 3, 32, 16)`` to ``(N, 24)``: the mean colour of 4 x 2 cells."""

    def write(path: Path) -> None:
        import onnx
        from onnx import TensorProto, helper

        nodes = [
            helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
            helper.make_node("Flatten", ["cells"], ["embedding"], axis=1),
        ]
        graph = helper.make_graph(
            nodes,
            "colour",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 32, 16])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 24])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, str(path))

    return write
