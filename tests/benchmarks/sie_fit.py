"""Does a row estimated from unlabelled crops help a camera whose row nobody has?

Takes a trained network and a re-identification set, and makes every camera in turn the new one: its row is taken out of
the network's table (where it has one), and its queries are searched in the gallery of all other cameras, which keep
their own rows (the mean row where they have none). Rows are estimated from crops of the new camera among the set's
training people, who are nobody in query or gallery; labels are not used. Prints a table; claims nothing.

    python tests/benchmarks/sie_fit.py WEIGHTS SET [--new 5 6] [--kind synthetic] [--crops 128]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reid.checkpoint import load_checkpoint
from reid.data.datasets import LabelledImage, ReIDDataset, load_dataset
from reid.data.transforms import normalised, read_resized
from reid.metrics import cosine_distances, rank_scores
from reid.sie_fit import SieFit, fit_sie
from reid.transreid import TransReID


def prepared(model: TransReID, images: Sequence[LabelledImage]) -> torch.Tensor:
    crops = np.stack([read_resized(image.path, model.config.image_size, "bilinear") for image in images])
    return normalised(torch.from_numpy(crops), (0.5,) * 3, (0.5,) * 3)


@torch.inference_mode()
def embedded(model: TransReID, crops: torch.Tensor, sides: torch.Tensor) -> np.ndarray:
    parts = zip(crops.split(64), sides.split(64), strict=True)
    return torch.cat([model.embedding(model.features(crop, side)) for crop, side in parts]).numpy()


def without_row(model: TransReID, camera: int) -> TransReID:
    """The network as if it had never had a row for ``camera``."""
    if camera >= model.config.num_cameras:
        return model
    smaller = TransReID(replace(model.config, num_cameras=model.config.num_cameras - 1))
    state = model.state_dict()
    keep = [row for row in range(model.config.num_cameras) if row != camera]
    smaller.load_state_dict({**state, "base.sie_embed": state["base.sie_embed"][keep]})
    return smaller.eval()


def fitted(model: TransReID, dataset: ReIDDataset, camera: int, crops: int) -> tuple[TransReID, SieFit]:
    unlabelled = [image for image in dataset.train if image.camera == camera]
    chosen = np.random.default_rng(camera).permutation(len(unlabelled))[:crops]
    blind = without_row(model, camera)
    return blind, fit_sie(blind, prepared(blind, [unlabelled[index] for index in chosen]))


def rows_for(model: TransReID, blind: TransReID, fit: SieFit, camera: int) -> dict[str, torch.Tensor]:
    """The rows to try for a new camera, times lambda."""
    table = blind.sie_table()
    known = len(table) - 2
    own = {"own row": model.sie_table()[camera]} if camera < model.config.num_cameras else {}
    best = list(fit.mismatch).index(fit.best)
    fixed = {"mean": table[known], "off": table[known + 1], "best of table": table[best]}
    return {**own, **fixed, "new row": fit.row * model.config.sie_coefficient}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kind", default="synthetic")
    parser.add_argument("--new", type=int, nargs="+", help="numbers of the cameras, from 1; otherwise all in turn")
    parser.add_argument("--crops", type=int, default=128)
    options = parser.parse_args()
    model, dataset = load_checkpoint(options.weights), load_dataset(options.kind, options.data)
    table, known = model.sie_table(), model.config.num_cameras
    codes = [min(image.camera, known) for image in dataset.gallery]
    gallery = embedded(model, prepared(model, dataset.gallery), table[codes])
    ids, cameras = (np.array([getattr(i, name) for i in dataset.gallery]) for name in ("identity", "camera"))
    totals: dict[str, list[float]] = {}
    for camera in [number - 1 for number in options.new or range(1, known + 1)]:
        blind, fit = fitted(model, dataset, camera, options.crops)
        queries = [image for image in dataset.query if image.camera == camera]
        crops, others = prepared(model, queries), cameras != camera
        wanted = [image.identity for image in queries]
        found = {}
        for name, row in rows_for(model, blind, fit, camera).items():
            distance = cosine_distances(embedded(model, crops, row.expand(len(crops), -1)), gallery[others])
            found[name] = rank_scores(distance, wanted, ids[others]).mean_ap
            totals.setdefault(name, []).append(found[name])
        scores = "  ".join(f"{name} {value:.3f}" for name, value in found.items())
        print(f"camera {camera + 1}, {len(queries)} queries: {scores}  ({fit.best} of the rest)", flush=True)
    print("mAP over the cameras:  " + "  ".join(f"{name} {np.mean(v):.3f}" for name, v in totals.items()))


if __name__ == "__main__":
    main()
