"""Weights by name: a registry of what their authors publish, a cache, and hashes that are always checked."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pipeline.downloads import DownloadError, Progress, download
from pipeline.errors import ModelError

DRIVE = "https://drive.google.com/uc?export=download&id={id}"
_ULTRALYTICS = re.compile(r"(yolov?\d+[a-z0-9-]*|rtdetr-[a-z]+)(\.pt)?")
_ENDINGS = frozenset({".pt", ".pth", ".onnx", ".xml", ".safetensors", ".engine", ".npz"})


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of a network; a hash is given as far as its author publishes one.

    Attributes:
        name: path below the cache's ``weights`` folder.
        url: where it is; of files on Google Drive, made of the file id.
        size: bytes, or None.
        sha256, sha384, sha256_prefix: hexadecimal, or None.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    sha384: str | None = None
    sha256_prefix: str | None = None

    @property
    def is_published(self) -> bool:
        return bool(self.sha256 or self.sha384 or self.sha256_prefix)


@dataclass(frozen=True, slots=True)
class Weights:
    """A named network.

    Attributes:
        files: the first one is what a configuration points at.
        form: its input in the terms of the configuration's embedder: image_size, colour, mean, scale.
        network: fields of the network's shape that its tensors do not show.
        sie: ``cameras`` and ``views`` of its side-information table; empty without one.
    """

    name: str
    title: str
    role: Literal["embedder", "detector", "backbone"]
    backend: str
    licence: str
    origin: str
    files: tuple[WeightsFile, ...]
    form: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    sie: Mapping[str, int] = field(default_factory=dict)


@cache
def registry() -> Mapping[str, Weights]:
    """Every named network, by name."""
    import yaml

    text = (resources.files("pipeline") / "weights.yaml").read_text(encoding="utf-8")
    return {name: weights_from(name, entry) for name, entry in yaml.safe_load(text).items()}


def weights_from(name: str, entry: Mapping[str, Any], drive: str = DRIVE) -> Weights:
    """An entry of the registry; ``drive`` is the address of a Google Drive file with ``{id}`` in it."""
    files = []
    for given in entry["files"]:
        values = dict(given)
        if "drive" in values:
            values["url"] = drive.format(id=values.pop("drive"))
        files.append(WeightsFile(**values))
    return Weights(name, **{**entry, "files": tuple(files)})


def cache_folder() -> Path:
    """``CROSSCAM_CACHE``, else the platform's cache folder of this program."""
    given = os.environ.get("CROSSCAM_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "crosscam"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "crosscam"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crosscam"


def find(name: str) -> Weights:
    """The named network.

    Raises:
        ModelError: no such name; says which ones are like it.
    """
    known = registry()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "see `python -m pipeline weights list`"
        raise ModelError(f"no weights called {name!r}; {hint}")
    return known[name]


def resolve(name_or_path: str | Path, progress: Callable[[str], Progress] | None = None) -> Path:
    """The file or folder that a configuration's ``weights`` means; a named network is downloaded if it has
    to be.

    Args:
        name_or_path: a path, a registered name, or the name of an ultralytics release (``yolo11n.pt``), which
            ultralytics itself fetches into the place that is returned.
        progress: makes a progress callback for a file of this name.

    Raises:
        ModelError: no such file and no such name, the download failed, or a hash is not what it should be.
    """
    path = Path(name_or_path).expanduser()
    text = str(name_or_path)
    if path.exists():
        return path
    if text in registry():
        return fetch(find(text), progress)
    if _ULTRALYTICS.fullmatch(path.name):
        folder = cache_folder() / "weights"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{path.name.removesuffix('.pt')}.pt"
    if path.name != text or path.suffix in _ENDINGS:
        raise ModelError(f"{path}: no such weights file")
    return fetch(find(text), progress)


def fetch(weights: Weights, progress: Callable[[str], Progress] | None = None) -> Path:
    """Have every file of a network in the cache, with its hash checked.

    Returns:
        Where its first file is.

    Raises:
        ModelError: see :func:`resolve`.
    """
    places = [_fetched(file, progress) for file in weights.files]
    return places[0]


def location(weights: Weights) -> Path:
    """Where the network's first file is, or would be."""
    return _place(weights.files[0])


def is_cached(weights: Weights) -> bool:
    """Whether every file of it is there (hashes are checked when it is used)."""
    return all(_place(file).exists() for file in weights.files)


def _place(file: WeightsFile) -> Path:
    return cache_folder() / "weights" / file.name


def _fetched(file: WeightsFile, progress: Callable[[str], Progress] | None) -> Path:
    place = _place(file)
    if not place.exists():
        if os.environ.get("CROSSCAM_OFFLINE"):
            raise ModelError(f"{file.name} is not in the cache and CROSSCAM_OFFLINE is set; {_by_hand(file)}")
        try:
            download(file.url, place, progress(file.name) if progress else None)
        except DownloadError as error:
            raise ModelError(
                f"{file.name} cannot be downloaded: {error}. Try again; {_by_hand(file)}"
            ) from error
    _check(file, place)
    return place


def _by_hand(file: WeightsFile) -> str:
    return f"or fetch {file.url} by other means and save it as {_place(file)}"


def _check(file: WeightsFile, place: Path) -> None:
    """Compare with what the author publishes, else with what came the first time.

    A file that has not been touched since its last check is not read again.
    """
    status = place.stat()
    trusted = _trusted()
    known = trusted.get(file.name)
    stamp = [status.st_size, status.st_mtime_ns]
    if known and known["stamp"] == stamp and known["url"] == file.url:
        return
    digests = _digests(place)
    wrong = _mismatch(file, status.st_size, digests, None if file.is_published else known)
    if wrong:
        raise ModelError(
            f"{place}: {wrong}. The file is damaged or not the one that was published: delete it and try again"
            f" (it comes from {file.url})"
        )
    entry = {"url": file.url, "sha256": digests["sha256"], "stamp": stamp}
    _trust(trusted | {file.name: entry})


def _mismatch(
    file: WeightsFile, size: int, digests: Mapping[str, str], known: Mapping[str, Any] | None
) -> str | None:
    if file.size is not None and size != file.size:
        return f"has {size} bytes, published are {file.size}"
    for kind, published in (("sha256", file.sha256), ("sha384", file.sha384)):
        if published and digests[kind] != published.lower():
            return f"{kind} is {digests[kind]}, published is {published}"
    if file.sha256_prefix and not digests["sha256"].startswith(file.sha256_prefix.lower()):
        return f"sha256 is {digests['sha256']}, published is one that begins with {file.sha256_prefix}"
    if known and known["sha256"] != digests["sha256"]:
        return f"sha256 is {digests['sha256']}, at its first download it was {known['sha256']}"
    return None


def _digests(place: Path) -> dict[str, str]:
    sums = {"sha256": hashlib.sha256(), "sha384": hashlib.sha384()}
    with place.open("rb") as file:
        while block := file.read(1 << 20):
            for total in sums.values():
                total.update(block)
    return {kind: total.hexdigest() for kind, total in sums.items()}


def weights_hash(weights: Path) -> str:
    """SHA-256 of a weights file, of an OpenVINO description with its ``.bin``, or of a folder's files by name."""
    digest = hashlib.sha256()
    for path in _parts(weights):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _parts(weights: Path) -> list[Path]:
    if weights.is_dir():
        return sorted(path for path in weights.rglob("*") if path.is_file())
    beside = weights.with_suffix(".bin")
    return [weights, beside] if weights.suffix == ".xml" and beside.is_file() else [weights]


def _ledger() -> Path:
    return cache_folder() / "weights" / "checked.json"


def _trusted() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_ledger().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(
            f"{_ledger()}: damaged ({error}); delete it, and hashes are recorded anew"
        ) from error
    return found


def _trust(entries: Mapping[str, Any]) -> None:
    temporary = _ledger().with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(_ledger())
