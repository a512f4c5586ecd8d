"""Who may import whom, read from the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

FORBIDDEN = {
    "reid": {"pipeline", "tracking", "samples"},
    "tracking": {"pipeline", "reid", "samples", "torch", "cv2", "ultralytics"},
    "samples": {"pipeline", "reid", "tracking"},
    "pipeline": {"samples"},
}
"""Package to packages it never imports. Scripts of samples/ that measure or train may use the others."""

ADAPTERS = {
    "lap": {"tracking/assignment.py"},
    "faiss": {"reid/gallery.py"},
    "ultralytics": {"pipeline/stages/detect_ultralytics.py"},
    "openvino": {"reid/backends/openvino.py", "reid/export.py", "pipeline/stages/openvino_network.py"},
    "trackeval": {"tracking/scoring.py"},
    "paho": {"pipeline/sinks/mqtt.py"},
    "redis": {"pipeline/sinks/redis_streams.py"},
    "confluent_kafka": {"pipeline/sinks/kafka.py"},
    "httpx": {"pipeline/sinks/webhook.py"},
    "prometheus_client": {"pipeline/serve/metrics.py"},
}
"""Foreign library to the files that may import it."""


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ["pipeline", "reid", "tracking"])
def test_packages_import_one_way(package: str):
    wrong = {
        str(path.relative_to(ROOT)): sorted(imported(path) & FORBIDDEN[package])
        for path in modules(package)
        if imported(path) & FORBIDDEN[package]
    }
    assert not wrong


def test_foreign_libraries_have_one_adapter_each():
    wrong = [
        (str(path.relative_to(ROOT)), library)
        for package in ("pipeline", "reid", "tracking")
        for path in modules(package)
        for library in imported(path) & ADAPTERS.keys()
        if path.relative_to(ROOT).as_posix() not in ADAPTERS[library]
    ]
    assert not wrong


HEAVY = ("torch", "ultralytics", "cv2", "av", "onnxruntime", "openvino", "faiss", "scipy", "numpy", "pydantic")


def test_help_loads_nothing_heavy():
    code = f"import sys, pipeline.__main__; print(*[name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split() == []


def test_the_main_job_loads_torch_only_for_the_networks_that_need_it():
    code = "import sys, pipeline.app; print('torch' in sys.modules, 'ultralytics' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("package", ["pipeline", "reid"])
def test_openvino_does_not_call_home(package: str):
    pytest.importorskip("openvino")
    code = f"import sys, {package}, openvino.tools.ovc, threading; print(threading.active_count())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split() == ["1"], "its telemetry sends from a thread, as soon as it is imported"
