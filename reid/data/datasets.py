"""Public re-identification datasets, read by their directory conventions, and the synthetic site.

Training identities are relabelled 0, 1, ... in ascending order; query and gallery keep the identities of
the files. Cameras are 0-based. Data without view labels has the view `NO_VIEW` everywhere, as in the
reference, so it counts one view and cannot have a view embedding.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

DatasetKind = Literal["market1501", "dukemtmc", "occ_duke", "msmt17", "veri", "vehicleid", "synthetic"]

NO_VIEW = 1
JUNK = -1
"""Market-style identity of boxes that are neither a person of interest nor a distractor."""

_NAME = re.compile(r"([-\d]+)_c(\d+)")
_VIEW_NAME = re.compile(r"_v(\d+)")
_FOLDERS = {
    "market1501": "market1501",
    "dukemtmc": "dukemtmcreid",
    "occ_duke": "Occluded_Duke",
    "msmt17": "MSMT17",
    "veri": "VeRi",
    "vehicleid": "VehicleID_V1.0",
    "synthetic": "synthetic",
}


@dataclass(frozen=True, slots=True, order=True)
class LabelledImage:
    """One crop on disk: its identity, 0-based camera, and view."""

    path: Path
    identity: int
    camera: int
    view: int = NO_VIEW


@dataclass(frozen=True, slots=True)
class ReIDDataset:
    """The three splits of a dataset; ``train`` identities are 0 .. ``num_identities - 1``."""

    train: tuple[LabelledImage, ...]
    query: tuple[LabelledImage, ...]
    gallery: tuple[LabelledImage, ...]

    @property
    def num_identities(self) -> int:
        return len({image.identity for image in self.train})

    @property
    def cameras(self) -> tuple[int, ...]:
        """Distinct cameras of the training split, ascending: row ``i`` of a camera table belongs to
        ``cameras[i]``."""
        return tuple(sorted({image.camera for image in self.train}))

    @property
    def views(self) -> tuple[int, ...]:
        """Distinct views of the training split, ascending: the rows of a view table."""
        return tuple(sorted({image.view for image in self.train}))


def load_dataset(kind: DatasetKind, root: str | Path, seed: int = 0) -> ReIDDataset:
    """Read a dataset; ``root`` is its own folder, or the folder holding it under its usual name.

    ``seed`` draws VehicleID's gallery (one image per identity) and matters to nothing else.

    Raises:
        ValueError: unknown kind, a missing folder or list, a name that does not follow the convention, or a
            split without images; the message names the path.
    """
    if kind not in get_args(DatasetKind):
        raise ValueError(f"unknown dataset {kind!r}; one of {', '.join(get_args(DatasetKind))}")
    folder = _dataset_folder(Path(root), _FOLDERS[kind])
    dataset = _vehicle_id(folder, seed) if kind == "vehicleid" else _READERS[kind](folder)
    for split in ("train", "query", "gallery"):
        if not getattr(dataset, split):
            raise ValueError(f"{folder}: the {split} split of this {kind} dataset holds no images")
    return dataset


def _dataset_folder(root: Path, name: str) -> Path:
    nested = root / name
    folder = nested if nested.is_dir() else root
    if not folder.is_dir():
        raise ValueError(f"{root}: no such folder")
    return folder


def _relabelled(images: Iterable[LabelledImage]) -> tuple[LabelledImage, ...]:
    images = tuple(images)
    labels = {identity: label for label, identity in enumerate(sorted({image.identity for image in images}))}
    return tuple(replace(image, identity=labels[image.identity]) for image in images)


def _named_images(folder: Path) -> list[LabelledImage]:
    """Images directly in ``folder``, sorted by name, whose names start with identity and 1-based camera."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    images = []
    for path in sorted(folder.glob("*.jpg")):
        match = _NAME.match(path.name)
        if match is None:
            raise ValueError(f"{path}: expected a name such as 0002_c1...jpg (identity, camera)")
        images.append(LabelledImage(path, int(match[1]), int(match[2]) - 1))
    return [image for image in images if image.identity != JUNK]


def _market_style(folder: Path) -> ReIDDataset:
    train, query, gallery = (
        _named_images(folder / split) for split in ("bounding_box_train", "query", "bounding_box_test")
    )
    return ReIDDataset(_relabelled(train), tuple(query), tuple(gallery))


def _synthetic(folder: Path) -> ReIDDataset:
    """Market-style folders whose names also carry the view: ``0002_c1_v3_....jpg``."""
    dataset = _market_style(folder)
    return ReIDDataset(
        *(_with_named_views(split) for split in (dataset.train, dataset.query, dataset.gallery))
    )


def _with_named_views(images: Sequence[LabelledImage]) -> tuple[LabelledImage, ...]:
    def view(image: LabelledImage) -> int:
        match = _VIEW_NAME.search(image.path.name)
        return int(match[1]) if match else NO_VIEW

    return tuple(replace(image, view=view(image)) for image in images)


def _msmt17(folder: Path) -> ReIDDataset:
    """MSMT17 (V1): lists of ``relative/path identity``; the training split is train and val together."""
    train = [
        *_listed_msmt17(folder, "train", "list_train.txt"),
        *_listed_msmt17(folder, "train", "list_val.txt"),
    ]
    query = _listed_msmt17(folder, "test", "list_query.txt")
    gallery = _listed_msmt17(folder, "test", "list_gallery.txt")
    return ReIDDataset(_relabelled(train), tuple(query), tuple(gallery))


def _listed_msmt17(folder: Path, split: str, list_name: str) -> list[LabelledImage]:
    images = []
    for relative, identity in _list_entries(folder / list_name):
        fields = relative.split("_")
        if len(fields) < 3 or not fields[2].isdigit():
            raise ValueError(f"{folder / list_name}: {relative!r} has no camera as its third '_' field")
        images.append(LabelledImage(folder / split / relative, identity, int(fields[2]) - 1))
    return images


def _list_entries(path: Path) -> list[tuple[str, int]]:
    """``name identity`` per line."""
    if not path.is_file():
        raise ValueError(f"{path}: no such list")
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        fields = line.split()
        if len(fields) != 2 or not fields[1].lstrip("-").isdigit():
            raise ValueError(f"{path}:{number}: expected 'name identity', found {line!r}")
        entries.append((fields[0], int(fields[1])))
    return entries


def _veri(folder: Path) -> ReIDDataset:
    """VeRi-776; images without a view label in ``keypoint_train.txt`` or ``keypoint_test.txt`` are left
    out."""
    labels = _veri_views(folder)
    splits = []
    for split in ("image_train", "image_query", "image_test"):
        images = _named_images(folder / split)
        splits.append([replace(i, view=labels[i.path.name]) for i in images if i.path.name in labels])
    return ReIDDataset(_relabelled(splits[0]), tuple(splits[1]), tuple(splits[2]))


def _veri_views(folder: Path) -> dict[str, int]:
    """View by image name: the last number of its line; the training file wins."""
    labels: dict[str, int] = {}
    names = ("keypoint_train.txt", "keypoint_test.txt")
    files = [candidate for name in names if (candidate := folder / name).is_file()]
    if not files:
        raise ValueError(f"{folder}: neither {names[0]} nor {names[1]} (VeRi's view labels) is there")
    for path in files:
        for line in path.read_text().splitlines():
            fields = line.split()
            if fields:
                labels.setdefault(Path(fields[0]).name, int(fields[-1]))
    return labels


def _vehicle_id(folder: Path, seed: int, test_list: str = "test_list_800.txt") -> ReIDDataset:
    """VehicleID has no cameras: train and query are camera 0 and the gallery camera 1, so nothing is junk."""
    lists = folder / "train_test_split"
    train = _listed_vehicles(folder, lists / "train_list.txt")
    test = _listed_vehicles(folder, lists / test_list)
    gallery, query = draw_gallery(test, seed)
    return ReIDDataset(_relabelled(train), query, gallery)


def _listed_vehicles(folder: Path, path: Path) -> list[LabelledImage]:
    entries = _list_entries(path)
    return [
        LabelledImage(folder / "image" / f"{Path(name).stem}.jpg", identity, 0) for name, identity in entries
    ]


def draw_gallery(
    images: Sequence[LabelledImage], seed: int
) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """VehicleID's protocol: one random image per identity is the gallery (camera 1), the others are
    queries."""
    by_identity: dict[int, list[LabelledImage]] = {}
    for image in images:
        by_identity.setdefault(image.identity, []).append(image)
    draw = random.Random(seed)
    chosen = {draw.choice(members) for _, members in sorted(by_identity.items())}
    gallery = tuple(replace(image, camera=1) for image in images if image in chosen)
    return gallery, tuple(image for image in images if image not in chosen)


_READERS: dict[str, Callable[[Path], ReIDDataset]] = {
    "market1501": _market_style,
    "dukemtmc": _market_style,
    "occ_duke": _market_style,
    "msmt17": _msmt17,
    "veri": _veri,
    "synthetic": _synthetic,
}
