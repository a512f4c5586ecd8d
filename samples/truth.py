"""What is true of a recording: boxes with global ids and visibility, ground positions, visits, travel times.

What counts: an actor at least ``MIN_VISIBLE`` visible (of its drawn pixels, by occluders and the frame's border) whose
box is at least ``MIN_HEIGHT_PX`` high (people) or ``MIN_VEHICLE_WIDTH_PX`` wide (vehicles) is scored, column 7 is 1.
Everything less is in the files too, with column 7 at 0: not scored, the ignore mark of MOTChallenge.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from samples.appearance import vehicle_class
from samples.plan import SiteCamera
from samples.types import ActorState, ActorView, CarAppearance

MIN_VISIBLE = 0.25
MIN_HEIGHT_PX = 26.0
MIN_VEHICLE_WIDTH_PX = 26.0
SEEN_AT_ALL = 0.02
MIN_GLIMPSED = 0.1
"""A detector may see somebody this far visible, and half as large as what is scored."""

MAX_ABSENCE_S = 1.5
CLASSES = ("person", "car", "truck", "bus")


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One actor in one recorded frame; ``frame`` counts from 0, ``time_s`` is true site time."""

    frame: int
    time_s: float
    actor_id: int
    class_name: str
    box_xyxy: tuple[float, float, float, float]
    visible: float
    ground_m: tuple[float, float]
    heading_rad: float

    @property
    def is_scored(self) -> bool:
        return self.visible >= MIN_VISIBLE and self._share_of_least() >= 1.0

    @property
    def is_glimpsed(self) -> bool:
        return self.visible >= MIN_GLIMPSED and self._share_of_least() >= 0.5

    def _share_of_least(self) -> float:
        """Its size against the least that is scored."""
        x0, y0, x1, y1 = self.box_xyxy
        return (y1 - y0) / MIN_HEIGHT_PX if self.class_name == "person" else (x1 - x0) / MIN_VEHICLE_WIDTH_PX

    def mot_line(self) -> str:
        """``frame,id,left,top,width,height,scored,class,visibility``; frame and class count from 1."""
        x0, y0, x1, y1 = self.box_xyxy
        box = f"{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f}"
        tail = f"{int(self.is_scored)},{CLASSES.index(self.class_name) + 1},{self.visible:.3f}"
        return f"{self.frame + 1},{self.actor_id},{box},{tail}\n"

    def aicity_line(self, camera_number: int) -> str:
        """``camera id frame xmin ymin width height xworld yworld``; the frame counts from 0, as AI City 2024 does."""
        x0, y0, x1, y1 = (round(value) for value in self.box_xyxy)
        world = f"{self.ground_m[0]:.3f} {self.ground_m[1]:.3f}"
        return f"{camera_number} {self.actor_id} {self.frame} {x0} {y0} {x1 - x0} {y1 - y0} {world}\n"


@dataclass(frozen=True, slots=True)
class Visit:
    """An unbroken stay of one identity in one camera's view, in true site seconds and frames from 0."""

    camera: str
    first_s: float
    last_s: float
    first_frame: int
    last_frame: int


def rows_of(
    views: Iterable[ActorView], states: Iterable[ActorState], frame: int, time_s: float
) -> list[TruthRow]:
    """Truth rows of a rendered frame, leaving out who is not seen at all."""
    looks = {state.actor_id: state.appearance for state in states}
    rows = []
    for view in views:
        if view.visible_fraction >= SEEN_AT_ALL:
            look = looks[view.actor_id]
            name = vehicle_class(look) if isinstance(look, CarAppearance) else "person"
            box = tuple(float(value) for value in view.box_xyxy)
            rows.append(TruthRow(frame, time_s, view.actor_id, name, box, float(view.visible_fraction),
                                 view.ground_m, view.heading_rad))  # type: ignore[arg-type]  # fmt: skip
    return rows


def visits(
    camera: str, rows: Sequence[TruthRow], max_absence_s: float = MAX_ABSENCE_S, *, glimpsed: bool = False
) -> dict[int, list[Visit]]:
    """Stays of every identity in one camera's scored (or glimpsed) rows; shorter absences do not end a stay."""
    seen: dict[int, list[TruthRow]] = defaultdict(list)
    for row in rows:
        if row.is_glimpsed if glimpsed else row.is_scored:
            seen[row.actor_id].append(row)
    stays: dict[int, list[Visit]] = {}
    for actor_id, mine in sorted(seen.items()):
        times = np.array([row.time_s for row in mine])
        groups = np.split(np.arange(len(mine)), np.flatnonzero(np.diff(times) > max_absence_s) + 1)
        stays[actor_id] = [
            Visit(camera, mine[g[0]].time_s, mine[g[-1]].time_s, mine[g[0]].frame, mine[g[-1]].frame)
            for g in groups
        ]
    return stays


def travel_times(
    stays: Sequence[dict[int, list[Visit]]], glimpses: Sequence[dict[int, list[Visit]]] = ()
) -> dict[tuple[str, str], list[float]]:
    """Seconds from the end of a stay to the begin of the same identity's next one, negative where views overlap.

    With ``glimpses`` from the last glimpse of the one to the first of the other: how short a detector may find them.
    """
    gaps: dict[tuple[str, str], list[float]] = defaultdict(list)
    for actor_id in sorted({actor_id for camera in stays for actor_id in camera}):
        wider = [visit for camera in glimpses for visit in camera.get(actor_id, [])]
        path = sorted(
            (v for camera in stays for v in camera.get(actor_id, [])), key=lambda v: (v.first_s, v.camera)
        )
        for before, after in itertools.pairwise(path):
            gap = _around(after, wider).first_s - _around(before, wider).last_s
            if before.camera == after.camera:  # one glimpsed stay may hold both
                gap = after.first_s - before.last_s
            gaps[before.camera, after.camera].append(gap)
    return dict(sorted(gaps.items()))


def _around(visit: Visit, wider: Sequence[Visit]) -> Visit:
    """The stay in the same camera that holds this one; itself if there is none."""
    holding = (v for v in wider if v.camera == visit.camera and v.first_s <= visit.first_s and v.last_s >= visit.last_s)
    return next(holding, visit)


def topology(
    gaps: dict[tuple[str, str], list[float]], shortest: dict[tuple[str, str], list[float]] | None = None
) -> dict[str, Any]:
    """Camera links with windows that hold every observed travel time, in the form of ``topology.yaml``.

    Windows begin at the least of ``shortest`` (glimpses count) and end at the most of ``gaps``.
    """
    links = []
    for (first, second), times in gaps.items():
        least = min((shortest or gaps)[first, second])
        links.append(
            {
                "from": first,
                "to": second,
                "min_s": round(max(0.0, least - 1.0), 2),
                "max_s": round(max(0.0, *times) + 2.0, 2),
                "overlap": bool(first != second and least < 0),
            }
        )
    return {"closed": False, "links": links}


def write_camera(folder: Path, camera: str, rows: Sequence[TruthRow]) -> None:
    """``truth/<camera>.txt`` in MOT ground-truth form."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{camera}.txt").write_text("".join(row.mot_line() for row in rows))


def write_site(
    folder: Path, cameras: Sequence[SiteCamera], rows: dict[str, list[TruthRow]], about: dict[str, Any]
) -> None:
    """``site.json``, ``aicity.txt``, ``identities.json`` of all cameras, and ``topology.yaml`` beside the folder."""
    lines = [
        row.aicity_line(n) for n, c in enumerate(cameras, 1) for row in rows[c.camera_id] if row.is_scored
    ]
    (folder / "aicity.txt").write_text("".join(lines))
    stays = [visits(camera.camera_id, rows[camera.camera_id]) for camera in cameras]
    glimpses = [visits(camera.camera_id, rows[camera.camera_id], glimpsed=True) for camera in cameras]
    windows = topology(travel_times(stays), travel_times(stays, glimpses))
    _write_json(
        folder / "site.json", about | {"cameras": [_camera_entry(n, c) for n, c in enumerate(cameras, 1)]}
    )
    _write_json(folder / "identities.json", _identities(stays, rows))
    (folder.parent / "topology.yaml").write_text(yaml.safe_dump(windows, sort_keys=False))


def _camera_entry(number: int, site_camera: SiteCamera) -> dict[str, Any]:
    response = site_camera.response
    return {
        "id": site_camera.camera_id,
        "number": number,
        "size": list(site_camera.camera.size),
        "fps": response.fps,
        "start_offset_s": site_camera.start_s,
        "clock_error_s": response.clock_offset_s,
        "drift_ppm": response.drift_ppm,
    }


def _identities(
    stays: Sequence[dict[int, list[Visit]]], rows: dict[str, list[TruthRow]]
) -> list[dict[str, Any]]:
    names = {row.actor_id: row.class_name for mine in rows.values() for row in mine}
    every = sorted({actor_id for camera in stays for actor_id in camera})
    return [
        {
            "id": actor_id,
            "class": names[actor_id],
            "visits": [
                {
                    key: round(value, 3) if isinstance(value, float) else value
                    for key, value in asdict(visit).items()
                }
                for visit in sorted((v for c in stays for v in c.get(actor_id, [])), key=lambda v: v.first_s)
            ],
        }
        for actor_id in every
    ]


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
