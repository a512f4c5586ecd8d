"""The published JSON Schemas of ``trajectories.json`` and of the records written and sent while running."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from pipeline.export.header import FORMAT_VERSION

_RESULT_KEYS = ("frames_decoded", "frames_skipped", "truncated", "error", "complete")


def trajectories_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the version that this program writes."""
    return _stored("trajectories")


def lines_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one record; what it shares with the document is taken from there."""
    schema, document = _stored("lines"), trajectories_schema()
    shared = {name: document["$defs"][name] for name in ("time_s", "time", "tracklet_key", "model", "link")}
    camera = document["$defs"]["camera"]
    camera["required"] = [name for name in camera["required"] if name not in _RESULT_KEYS]
    for name in _RESULT_KEYS:
        camera["properties"].pop(name)
    schema["$defs"] |= {**shared, "header_camera": camera, "run": document["properties"]["run"]}
    return schema


def _stored(which: str) -> dict[str, Any]:
    name = f"{which}-{FORMAT_VERSION}.json"
    text = (resources.files("pipeline.export") / "schemas" / name).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
