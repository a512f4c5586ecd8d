"""``schema``: the JSON Schema of what goes in and what comes out."""

from __future__ import annotations

import json
from typing import Literal


def schema(which: Literal["config", "trajectories", "lines"]) -> str:
    """The JSON Schema of the configuration, of ``trajectories.json``, or of one record, as indented text."""
    if which == "config":
        from pipeline.config import json_schema

        content = json_schema()
    elif which == "lines":
        from pipeline.export.schema import lines_schema

        content = lines_schema()
    else:
        from pipeline.export.schema import trajectories_schema

        content = trajectories_schema()
    return json.dumps(content, indent=2, ensure_ascii=False)
