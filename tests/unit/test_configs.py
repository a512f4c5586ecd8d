"""Every configuration that is shipped loads, and names only weights that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.config_loader import load_config
from pipeline.weights import registry

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_loads(path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in re.findall(r"\$\{(\w+)\}", path.read_text()):
        monkeypatch.setenv(name, "from-the-environment")
    config = load_config(path)
    for weights in (config.detector.weights, config.embedder.weights):
        if weights is not None and not re.search(r"[./\\]", weights):
            assert weights in registry()


def test_there_is_one_for_each_situation():
    assert {"demo", "recorded", "live", "vehicles", "permissive", "replay"} <= {path.stem for path in CONFIGS}
