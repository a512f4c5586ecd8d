"""How a site's cameras hang together: directed links with travel-time windows and zones, sites and floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tracking.types import BoolArray, IntArray

__all__ = ["CameraLink", "Topology", "Windows"]

Polygon = tuple[tuple[float, float], ...]
SecondsMatrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CameraLink:
    """People or vehicles can go from one camera's view to another's.

    Attributes:
        from_camera, to_camera: camera ids; equal for coming back to the same view.
        min_s, max_s: travel-time window, from the last sight in the first to the first sight in the second. Within
            one view ``min_s`` bounds nothing: a track that broke off goes on at once.
        overlap: the views share ground, so one may be seen in both at once (any negative gap passes).
        exit_zone, entry_zone: polygon of foot points, px of each camera, or None for the whole view.
        pinned: stated by a person; learning leaves it alone.
        matches: how many confident matches stand behind a learned link.
    """

    from_camera: str
    to_camera: str
    min_s: float
    max_s: float
    overlap: bool = False
    exit_zone: Polygon | None = None
    entry_zone: Polygon | None = None
    pinned: bool = True
    matches: int = 0

    def __post_init__(self) -> None:
        name = f"link {self.from_camera} -> {self.to_camera}"
        if not self.min_s <= self.max_s:
            raise ValueError(f"{name}: min_s {self.min_s} is above max_s {self.max_s}")
        for zone in (self.exit_zone, self.entry_zone):
            if zone is not None and len(zone) < 3:
                raise ValueError(f"{name}: a zone needs three or more points, got {len(zone)}")


@dataclass(frozen=True)
class Topology:
    """The camera graph.

    Attributes:
        links: directed; a two-way passage is two links.
        sites: camera to site or floor; cameras of different sites never share an identity, unless a link says
            so.
        closed: camera pairs without a link cannot follow each other; open (the default) leaves them
            undecided.
    """

    links: tuple[CameraLink, ...] = ()
    sites: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False

    def __post_init__(self) -> None:
        pairs = [(link.from_camera, link.to_camera) for link in self.links]
        if len(set(pairs)) != len(pairs):
            twice = sorted({f"{a} -> {b}" for a, b in pairs if pairs.count((a, b)) > 1})
            raise ValueError(f"topology: links given twice: {', '.join(twice)}")

    def windows(self, cameras: Sequence[str], max_gap_s: float) -> Windows:
        """Lay the links out as camera-by-camera matrices for looking up many pairs at once."""
        return _windows(self, list(cameras), max_gap_s)

    def to_dict(self) -> dict[str, Any]:
        """A plain dict for YAML, cameras and seconds readable by a person."""
        links = [_link_dict(link) for link in self.links]
        return {"closed": self.closed, "sites": dict(self.sites), "links": links}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Topology:
        """Read what ``to_dict`` wrote or a person typed.

        Raises:
            ValueError: an unknown or missing key, named together with the link.
        """
        _refuse_unknown("topology", plain, {"closed", "sites", "links"})
        links = tuple(_link_from_dict(number, entry) for number, entry in enumerate(plain.get("links") or ()))
        return cls(links, dict(plain.get("sites") or {}), bool(plain.get("closed", False)))


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Travel windows as ``(C, C)`` matrices over camera indices, row = from, column = to.

    Attributes:
        min_s, max_s: the window of the direct link, or what holds for pairs without one.
        floor_s: no identity gets from one to the other faster, over any path (-inf where unknown or
            overlapping).
        linked: a direct link is known.
        allowed: a direct step is possible.
        apart: different sites.
        link_index: row in ``Topology.links``, or -1.
    """

    min_s: SecondsMatrix
    max_s: SecondsMatrix
    floor_s: SecondsMatrix
    linked: BoolArray
    allowed: BoolArray
    apart: BoolArray
    link_index: IntArray


def _windows(topology: Topology, cameras: list[str], max_gap_s: float) -> Windows:
    index = {camera: number for number, camera in enumerate(cameras)}
    shape = (len(cameras), len(cameras))
    link_index = np.full(shape, -1, np.int64)
    low, high = np.full(shape, -np.inf), np.full(shape, float(max_gap_s))
    for number, link in enumerate(topology.links):
        if link.from_camera in index and link.to_camera in index:
            at = index[link.from_camera], index[link.to_camera]
            link_index[at] = number
            is_unbounded = link.overlap or link.from_camera == link.to_camera
            low[at], high[at] = (-np.inf if is_unbounded else link.min_s), link.max_s
    linked = link_index >= 0
    sites = np.array([topology.sites.get(camera, "") for camera in cameras])
    apart = (sites[:, None] != sites[None, :]) & ~linked
    same = np.eye(len(cameras), dtype=bool)
    allowed = ~apart & (linked | same | (not topology.closed))
    floor = _fastest(topology, index, len(cameras))
    return Windows(low, high, floor, linked, allowed, apart, link_index)


def _fastest(topology: Topology, index: Mapping[str, int], count: int) -> SecondsMatrix:
    """Shortest path over the links' minimum times (Floyd & Warshall 1962).

    An open topology may lack links, so only pairs that have one are bounded; nothing bounds coming back.
    """
    fastest = np.full((count, count), np.inf)
    for link in topology.links:
        if link.from_camera in index and link.to_camera in index:
            at = index[link.from_camera], index[link.to_camera]
            fastest[at] = -np.inf if link.overlap else max(link.min_s, 0.0)
    known = np.isfinite(fastest)
    for via in range(count):
        with np.errstate(invalid="ignore"):
            through = fastest[:, via, None] + fastest[None, via, :]
        fastest = np.fmin(fastest, np.where(np.isnan(through), np.inf, through))
    if not topology.closed:
        fastest[~known] = -np.inf
    np.fill_diagonal(fastest, -np.inf)
    return fastest


_LINK_KEYS = {"from", "to", "min_s", "max_s", "overlap", "exit_zone", "entry_zone", "pinned", "matches"}


def _link_dict(link: CameraLink) -> dict[str, Any]:
    plain: dict[str, Any] = {"from": link.from_camera, "to": link.to_camera}
    plain |= {"min_s": round(link.min_s, 2), "max_s": round(link.max_s, 2), "overlap": link.overlap}
    for name in ("exit_zone", "entry_zone"):
        zone = getattr(link, name)
        if zone is not None:
            plain[name] = [list(point) for point in zone]
    return plain | {"pinned": link.pinned, "matches": link.matches}


def _link_from_dict(number: int, plain: Mapping[str, Any]) -> CameraLink:
    where = f"topology.links[{number}]"
    _refuse_unknown(where, plain, _LINK_KEYS)
    missing = [name for name in ("from", "to", "min_s", "max_s") if name not in plain]
    if missing:
        raise ValueError(f"{where}: missing {', '.join(missing)}")
    zones = {
        name: _polygon(plain[name]) for name in ("exit_zone", "entry_zone") if plain.get(name) is not None
    }
    return CameraLink(
        str(plain["from"]),
        str(plain["to"]),
        float(plain["min_s"]),
        float(plain["max_s"]),
        overlap=bool(plain.get("overlap", False)),
        pinned=bool(plain.get("pinned", True)),
        matches=int(plain.get("matches", 0)),
        **zones,
    )


def _polygon(points: Sequence[Sequence[float]]) -> Polygon:
    return tuple((float(x), float(y)) for x, y in points)


def _refuse_unknown(where: str, plain: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(plain) - known)
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; expected {', '.join(sorted(known))}")
