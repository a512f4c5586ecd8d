"""The published JSON Schema of ``trajectories.json``, and what makes a document break it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from pipeline.export.header import FORMAT_VERSION


def trajectories_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the version that this program writes."""
    name = f"trajectories-{FORMAT_VERSION}.json"
    text = (resources.files("pipeline.export") / "schemas" / name).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
