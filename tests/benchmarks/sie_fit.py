"""Does a row estimated from unlabelled crops help a camera that the network never saw?

Takes a trained network and a re-identification set whose cameras ``--new`` are unknown to it. For every new camera, its
queries are searched in the gallery of all other cameras under different rows for that camera; gallery cameras keep
their own rows where known, the mean row elsewhere. Rows are estimated from the set's training people, who are nobody in
query or gallery. Prints a table; claims nothing.

    python tests/benchmarks/sie_fit.py WEIGHTS SET --new 5 6 7 8
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from reid.checkpoint import load_checkpoint
from reid.data.datasets import LabelledImage, load_dataset
from reid.data.transforms import normalised, read_resized
from reid.metrics import cosine_distances, rank_scores
from reid.sie_fit import fit_sie
from reid.transreid import TransReID

FIT_CROPS = 128


def prepared(model: TransReID, images: Sequence[LabelledImage]) -> torch.Tensor:
    crops = np.stack([read_resized(image.path, model.config.image_size, "bilinear") for image in images])
    return normalised(torch.from_numpy(crops), (0.5,) * 3, (0.5,) * 3)


@torch.inference_mode()
def embedded(model: TransReID, crops: torch.Tensor, sides: torch.Tensor) -> np.ndarray:
    parts = zip(crops.split(64), sides.split(64), strict=True)
    return torch.cat([model.embedding(model.features(crop, side)) for crop, side in parts]).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--new", type=int, nargs="+", required=True, help="numbers of the cameras, from 1")
    options = parser.parse_args()
    model = load_checkpoint(options.weights)
    dataset = load_dataset("synthetic", options.data)
    table, known = model.sie_table(), model.config.num_cameras
    new = {number - 1 for number in options.new}
    codes = np.array([i.camera if i.camera not in new else known for i in dataset.gallery])
    gallery_crops = prepared(model, dataset.gallery)
    gallery = embedded(model, gallery_crops, table[codes])
    identities, cameras = (
        np.array([getattr(i, name) for i in dataset.gallery]) for name in ("identity", "camera")
    )
    totals: dict[str, list[float]] = {}
    for camera in sorted(new):
        unlabelled = [image for image in dataset.train if image.camera == camera]
        chosen = np.random.default_rng(camera).permutation(len(unlabelled))[:FIT_CROPS]
        fit = fit_sie(model, prepared(model, [unlabelled[index] for index in chosen]))
        queries = [image for image in dataset.query if image.camera == camera]
        names = [*range(known), "mean", "off"]
        rows = {"mean": table[known], "off": table[known + 1]}
        rows["best row"] = table[names.index(fit.best)]
        rows["new row"] = fit.row * model.config.sie_coefficient
        crops, found = prepared(model, queries), {}
        for name, row in (rows | {f"row {n}": table[n] for n in range(known)}).items():
            query = embedded(model, crops, row.expand(len(crops), -1))
            found[name] = rank_scores(
                cosine_distances(query, gallery),
                [image.identity for image in queries],
                identities,
                [image.camera for image in queries],
                cameras,
            ).mean_ap
        trained = sorted(found[f"row {n}"] for n in range(known))
        summary = {name: found[name] for name in rows} | {
            "median row": float(np.median(trained)),
            "oracle row": trained[-1],
        }
        print(
            f"camera {camera + 1}: best {fit.best!r}; "
            + ", ".join(f"{k} {v:.3f}" for k, v in summary.items()),
            flush=True,
        )
        for name, value in summary.items():
            totals.setdefault(name, []).append(value)
    print("mean over new cameras: " + ", ".join(f"{name} {np.mean(v):.3f}" for name, v in totals.items()))


if __name__ == "__main__":
    main()
