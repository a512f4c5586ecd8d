"""Scoring a network on a dataset's query and gallery: numbers, a threshold, and two pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from reid.blur import BlurTarget
from reid.data.datasets import DatasetKind, LabelledImage, ReIDDataset, load_dataset
from reid.data.loader import SideTable
from reid.embedder import Embedder
from reid.image_files import embed_files, read_crop
from reid.metrics import cosine_distances, rank_scores, vehicle_id_scores
from reid.ranklist import draw_rank_list, ranked_gallery
from reid.reranking import re_rank
from reid.sie import SieRow
from reid.threshold import PairDistances, draw_histogram, suggest_threshold

__all__ = ["SieSource", "evaluate", "parse_sie"]

SieSource = Literal["camera"] | SieRow
IntArray = npt.NDArray[np.int64]

DRAWN_QUERIES, DRAWN_RANKS = 10, 10


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Query or gallery, embedded: images, ``(N, D)`` embeddings, and their labels ``(N,)``."""

    images: tuple[LabelledImage, ...]
    embeddings: npt.NDArray[np.float32]
    ids: IntArray
    cameras: IntArray

    @classmethod
    def of(cls, images: Sequence[LabelledImage], embedder: Embedder, rows: Sequence[SieRow]) -> Split:
        embeddings = embed_files(embedder, [image.path for image in images], rows)
        ids, cameras = ([getattr(image, name) for image in images] for name in ("identity", "camera"))
        return cls(tuple(images), embeddings, np.array(ids, np.int64), np.array(cameras, np.int64))


def evaluate(
    embedder: Embedder,
    kind: DatasetKind,
    root: str | Path,
    *,
    sie: SieSource = "camera",
    rerank: bool = False,
    output: str | Path | None = None,
    blur: BlurTarget | None = None,
) -> dict[str, Any]:
    """Score ``embedder`` by the dataset's own protocol.

    Args:
        embedder: the network.
        kind, root: the dataset (:func:`reid.data.datasets.load_dataset`).
        sie: ``"camera"`` gives every image the row of its camera (and view) in the training split, the mean
            row where it has none; otherwise one row for all.
        rerank: also score k-reciprocal re-ranking.
        output: folder for ``evaluation.json``, ``rank_list.png`` and ``distances.png``; None writes nothing.
        blur: what of everybody in ``rank_list.png`` is made unrecognisable.

    Returns:
        What ``evaluation.json`` holds.

    Raises:
        ValueError: a dataset that cannot be read or scored, or a row outside the table.
    """
    dataset = load_dataset(kind, root)
    side = side_table(dataset, embedder.num_sie_rows) if sie == "camera" and embedder.num_sie_rows else None
    splits = (dataset.query, dataset.gallery)
    query, gallery = (Split.of(images, embedder, _rows(images, side, sie)) for images in splits)
    distance = cosine_distances(query.embeddings, gallery.embeddings)
    labels = (query.ids, gallery.ids, query.cameras, gallery.cameras)
    report: dict[str, Any] = {
        "network": embedder.name,
        "model_hash": embedder.model_hash,
        "dataset": kind,
        "sie": sie,
        "queries": len(query.images),
        "gallery": len(gallery.images),
        "scores": _scores(kind, distance, query, gallery),
    }
    if rerank:
        again = re_rank(query.embeddings, gallery.embeddings)
        report["reranked"] = rank_scores(again, *labels).summary()
    threshold = suggest_threshold(distance, *labels)
    report["threshold"] = asdict(threshold)
    if output is not None:
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        draw_histogram(PairDistances.of(distance, labels), threshold, folder / "distances.png")
        _draw_ranks(distance, query, gallery, folder / "rank_list.png", blur)
        (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def _scores(kind: str, distance: npt.NDArray[np.float32], query: Split, gallery: Split) -> dict[str, float]:
    if kind == "vehicleid":
        embeddings = np.concatenate([query.embeddings, gallery.embeddings])
        return vehicle_id_scores(embeddings, np.concatenate([query.ids, gallery.ids]))
    labels = (query.ids, gallery.ids, query.cameras, gallery.cameras)
    trapezoid = rank_scores(distance, *labels, average_precision="trapezoid").mean_ap
    return {**rank_scores(distance, *labels).summary(), "mAP_trapezoid": trapezoid}


def side_table(dataset: ReIDDataset, num_rows: int) -> SideTable:
    """The cameras and views that the rows of a table stand for, told by its size.

    Raises:
        ValueError: it fits neither the cameras nor the views of the training split, nor their product.
    """
    cameras, views = dataset.cameras, dataset.views
    for side in (SideTable(cameras), SideTable((), views), SideTable(cameras, views)):
        if side.num_rows == num_rows:
            return side
    raise ValueError(
        f"the SIE table has {num_rows} rows, the training split {len(cameras)} cameras and {len(views)} views; "
        "use sie mean, off or one row"
    )


def _rows(images: Sequence[LabelledImage], side: SideTable | None, sie: SieSource) -> list[SieRow]:
    if sie != "camera":
        return [sie] * len(images)
    if side is None:
        return ["off"] * len(images)
    codes = side.codes(images).tolist()
    return ["mean" if code == side.num_rows else code for code in codes]


def _draw_ranks(distance: npt.NDArray[np.float32], query: Split, gallery: Split, path: Path, blur: BlurTarget | None
) -> None:
    """Evenly spread queries with their nearest; captions tell identity, camera and distance."""
    chosen = np.unique(np.linspace(0, len(query.images) - 1, DRAWN_QUERIES).round().astype(int))
    queries, found = [], []
    for q in chosen:
        queries.append((read_crop(query.images[q].path), f"{query.ids[q]} c{query.cameras[q]}"))
        nearest = ranked_gallery(
            distance[q], int(query.ids[q]), int(query.cameras[q]), gallery.ids, gallery.cameras, DRAWN_RANKS
        )
        captions = [f"{gallery.ids[g]} {distance[q, g]:.2f}" for g in nearest]
        right = (gallery.ids[nearest] == query.ids[q]).tolist()
        crops = [read_crop(gallery.images[g].path) for g in nearest]
        found.append(list(zip(crops, captions, right, strict=True)))
    draw_rank_list(queries, found, path, blur=blur)


def parse_sie(text: str) -> SieSource:
    """``camera``, ``mean``, ``off`` or a row's number.

    Raises:
        ValueError: anything else.
    """
    if text in ("camera", "mean", "off"):
        return cast(SieSource, text)
    if not text.isdecimal():
        raise ValueError(f"sie: expected a row's number, mean or off, got {text!r}")
    return int(text)
