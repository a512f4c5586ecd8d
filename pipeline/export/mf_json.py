"""OGC Moving Features JSON (19-045r3): a feature for each identity that moves on the ground plane.

Plain GeoJSON readers see its ``geometry`` and ``properties``. Positions of several cameras at one time are
averaged; cameras and confidence follow as temporal properties. Longitude and latitude need the site's origin
(and its bearing); without it coordinates are metres, declared as a local engineering system. Pixel-only
tracks have no place in it, and boxes do not fit in, so there is no way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ExportError
from pipeline.export.clock import iso
from pipeline.export.document import write_atomically
from pipeline.export.lines import dumps
from pipeline.export.record import ObservationTable, RunRecord, observations

_EARTH_RADIUS_M = 6_378_137.0
_LOCAL_CRS = "urn:crosscam:def:crs:site-metres"
_WGS84_CRS = "urn:ogc:def:crs:OGC:1.3:CRS84"
_GREGORIAN = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
_CLOCK = {"type": "Link", "properties": {"type": "OGCDEF", "href": _GREGORIAN}}


@dataclass(frozen=True, slots=True)
class GeoOrigin:
    """Where the ground plane's (0, 0) lies, degrees; ``bearing_deg`` is where +y points, clockwise from north."""

    latitude_deg: float
    longitude_deg: float
    bearing_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (-89 <= self.latitude_deg <= 89 and -180 <= self.longitude_deg <= 180):
            raise ValueError(f"expected latitude -89..89 and longitude -180..180, got {self}")

    def lon_lat(self, ground_m: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """``(N, 2)`` metres to ``(N, 2)`` degrees, on the plane that touches the globe at the origin."""
        turn = np.deg2rad(self.bearing_deg)
        east = ground_m[:, 0] * np.cos(turn) + ground_m[:, 1] * np.sin(turn)
        north = ground_m[:, 1] * np.cos(turn) - ground_m[:, 0] * np.sin(turn)
        latitude = self.latitude_deg + np.rad2deg(north / _EARTH_RADIUS_M)
        radius = _EARTH_RADIUS_M * np.cos(np.deg2rad(self.latitude_deg))
        return np.stack([self.longitude_deg + np.rad2deg(east / radius), latitude], axis=1)


def write_mf_json(record: RunRecord, path: Path, origin: GeoOrigin | None = None) -> None:
    """Write a feature collection of every identity with at least one ground position.

    Raises:
        ExportError: nothing in the run has a ground position, or the file cannot be written.
    """
    table = observations(record)
    table = table[np.flatnonzero(np.isfinite(table.ground).all(axis=1))]
    if not len(table):
        raise ExportError(f"{path}: nothing to write: no camera of this run has a homography")
    write_atomically(path, (piece.encode() for piece in _pieces(table, record.header.classes, origin)))


def _pieces(table: ObservationTable, classes: tuple[str, ...], origin: GeoOrigin | None) -> Iterator[str]:
    crs = {"type": "Name", "properties": {"name": _WGS84_CRS if origin else _LOCAL_CRS}}
    yield f'{{"type":"FeatureCollection",\n"crs":{dumps(crs)},\n"trs":{dumps(_CLOCK)},\n"features":['
    for number, global_id in enumerate(np.unique(table.global_id).tolist()):
        rows = table[table.global_id == global_id]
        yield (",\n" if number else "\n") + dumps(_feature(global_id, rows, classes, origin) | {"crs": crs})
    yield "\n]}\n"


def _feature(
    global_id: int, rows: ObservationTable, classes: tuple[str, ...], origin: GeoOrigin | None
) -> dict[str, Any]:
    times, group = np.unique(np.round(rows.time_s, 3), return_inverse=True)
    counts = np.bincount(group)
    metres = np.stack([np.bincount(group, rows.ground[:, axis]) / counts for axis in (0, 1)], axis=1)
    sure = np.bincount(group, rows.confidence) / counts
    places = origin.lon_lat(metres).round(8).tolist() if origin else metres.round(3).tolist()
    moments = [iso(time_s) for time_s in times]
    cameras = ["+".join(sorted(set(rows.camera[group == at].tolist()))) for at in range(len(times))]
    kinds = rows.class_id.tolist()
    return {
        "type": "Feature",
        "id": global_id,
        "trs": _CLOCK,
        "temporalGeometry": {
            "type": "MovingPoint",
            "datetimes": moments,
            "coordinates": places,
            "interpolation": "Linear",
        },
        "temporalProperties": [
            {
                "datetimes": moments,
                "camera": {"type": "Text", "values": cameras, "interpolation": "Discrete"},
                "confidence": {
                    "type": "Measure",
                    "form": "1",
                    "values": sure.round(4).tolist(),
                    "interpolation": "Discrete",
                },
            }
        ],
        "geometry": _geometry(places),
        "properties": {"global_id": global_id, "class": classes[max(sorted(set(kinds)), key=kinds.count)]},
        "bbox": [*np.min(places, axis=0).tolist(), *np.max(places, axis=0).tolist()],
        "time": [moments[0], moments[-1]],
    }


def _geometry(places: list[list[float]]) -> dict[str, Any]:
    if len(places) == 1:
        return {"type": "Point", "coordinates": places[0]}
    return {"type": "LineString", "coordinates": places}
