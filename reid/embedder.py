"""Crops in, unit embeddings out: what the pipeline and every command use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from reid.backends.backend import Backend
from reid.preprocess import Crop, InputForm, prepare
from reid.sie import SieRow, row_codes

if TYPE_CHECKING:
    from reid.transreid import TransReID

__all__ = ["Embedder", "EmbeddingError"]

BackendName = Literal["torch", "onnx", "openvino"]


class EmbeddingError(RuntimeError):
    """A network gave something that is no embedding."""


class Embedder:
    """Embeds crops in batches.

    Args:
        network: a back end, or a :class:`TransReID` (run on torch, on the device it is on).
        batch_size: crops per forward pass.
        name: shown in messages and reports.
    """

    def __init__(
        self, network: Backend | TransReID, *, batch_size: int = 16, name: str = "TransReID"
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        self._backend: Backend = _on_torch(network) if hasattr(network, "state_dict") else network
        self._batch_size = batch_size
        self.name = name

    @classmethod
    def open(
        cls,
        path: str | Path,
        backend: BackendName = "torch",
        *,
        device: str = "auto",
        precision: str = "fp32",
        batch_size: int = 16,
        form: InputForm | None = None,
        **known: Any,
    ) -> Embedder:
        """Load a network from a file.

        Args:
            path: a TransReID checkpoint for ``torch``; for the others a file of ``python -m reid export`` or
                any network that maps images to one vector each; for ``openvino`` also the folder of one.
            backend: ``torch``, ``onnx`` or ``openvino``.
            device: ``cpu``, ``cuda`` …, or ``auto``.
            precision: ``fp32``, ``bf16`` or ``fp16``, for ``torch`` on the CPU also ``int8``; ``onnx`` computes in
                what the file holds.
            batch_size: crops per forward pass.
            form: the input form; needed for a foreign network, otherwise overrides the file's own.
            known: fields of :class:`TransReIDConfig` for ``torch``, where the file does not show them.

        Raises:
            ValueError: the file does not fit, or an option does not; the message names it.
            FileNotFoundError: no such file.
        """
        path = _network_file(Path(path), backend)
        network = _open_backend(path, backend, device, precision, form, known)
        return cls(network, batch_size=batch_size, name=path.stem)

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._backend.card.dim

    @property
    def num_sie_rows(self) -> int:
        """Rows of the SIE table; 0 without one."""
        return self._backend.card.num_sie_rows

    @property
    def model_hash(self) -> str:
        """SHA-256 of what decides the embeddings; the same for a checkpoint and its exports."""
        return self._backend.card.model_hash

    @property
    def form(self) -> InputForm:
        return self._backend.card.form

    def embed(
        self, crops: Sequence[Crop], sie_rows: SieRow | Sequence[SieRow] = "off"
    ) -> npt.NDArray[np.float32]:
        """Embed crops.

        Args:
            crops: BGR uint8 ``(h, w, 3)`` each, of any size.
            sie_rows: a row of the SIE table, ``"mean"`` or ``"off"``: one for all crops or one each.

        Returns:
            ``(N, dim)`` float32 of unit norm; N = 0 is a normal value.

        Raises:
            ValueError: a crop that is no image, or a row outside the table.
            EmbeddingError: the network gave NaN, infinity or zero for a crop (named by its position).
        """
        codes = row_codes(sie_rows, len(crops), self.num_sie_rows)
        raw = np.zeros((len(crops), self.dim), dtype=np.float32)
        for start in range(0, len(crops), self._batch_size):
            chosen = slice(start, start + self._batch_size)
            raw[chosen] = self._backend.run(prepare(crops[chosen], self.form), codes[chosen])
        return self._unit(raw)

    def _unit(self, raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        norms = np.linalg.norm(raw.astype(np.float64), axis=1)
        wrong = np.flatnonzero(~np.isfinite(norms) | (norms < 1e-12))
        if len(wrong):
            what = "zero" if norms[wrong[0]] < 1e-12 else "NaN or infinity"
            raise EmbeddingError(
                f"{self.name}: the embedding of crop {wrong[0]} is {what} ({len(wrong)} such)"
            )
        unit: npt.NDArray[np.float32] = (raw / norms[:, None]).astype(np.float32)
        return unit


def _on_torch(model: Any) -> Backend:
    """A network in memory; torch is imported only here, so that exported networks run without it."""
    from reid.backends.torch import TorchBackend

    return TorchBackend(model, device=str(model.base.pos_embed.device))


def _network_file(path: Path, backend: str) -> Path:
    """The file itself, or the only ``.xml`` of a folder for ``openvino``."""
    if path.is_dir() and backend == "openvino":
        inside = sorted(path.glob("*.xml"))
        if len(inside) != 1:
            raise FileNotFoundError(f"{path}: expected one .xml in the folder, found {len(inside)}; name the file")
        return inside[0]
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such network{' (a folder)' if path.is_dir() else ''}")
    return path


def _open_backend(
    path: Path, backend: str, device: str, precision: str, form: InputForm | None, known: dict[str, Any]
) -> Backend:
    """Imports the back end's library only when it is asked for."""
    if known and backend != "torch":
        raise ValueError(f"{', '.join(known)}: only a checkpoint takes this, not an exported network")
    if backend == "torch":
        from reid.backends.torch import TorchBackend
        from reid.checkpoint import build_network, read_checkpoint

        stored = read_checkpoint(path)
        model = build_network(stored, str(path), **known)
        return TorchBackend(model, form or stored.form, device=device, precision=precision)
    if backend == "onnx":
        from reid.backends.onnx import OnnxBackend

        if precision != "fp32":
            raise ValueError(f"precision {precision}: onnx computes in what the file holds; leave it at fp32")
        return OnnxBackend(path, form, device=device)
    if backend == "openvino":
        try:
            from reid.backends.openvino import OpenVinoBackend
        except ImportError as error:
            raise ValueError("backend openvino: install it with `pip install crosscam[openvino]`") from error
        return OpenVinoBackend(path, form, device=device, precision=precision)
    raise ValueError(f"backend: expected torch, onnx or openvino, got {backend!r}")
