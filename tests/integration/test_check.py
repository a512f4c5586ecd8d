"""``check``: everything that would stop a run, at once, with its place in the file; and ``schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.commands.check import check_command
from pipeline.commands.schema import schema
from pipeline.config_loader import load_config
from pipeline.errors import ModelError, SourceError

ROOT = Path(__file__).resolve().parents[2]


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = check_command(path, None)
    return code, capsys.readouterr().out.splitlines()


def changed(path: Path, change: Any) -> Path:
    plain = yaml.safe_load(path.read_text())
    change(plain)
    path.write_text(yaml.safe_dump(plain))
    return path


def test_what_would_run_is_told(site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, lines = checked(site.config(tmp_path), capsys)
    assert code == 0, lines
    assert all(line.startswith("ok") for line in lines)
    told = "\n".join(lines)
    assert "cameras[0].source: camera a: 240x160, 10 fps, 50 frames" in told
    assert "embedder.weights: colour.onnx: 24 numbers, 0 SIE rows" in told
    assert not (tmp_path / "out").exists(), "checking writes nothing"


def test_every_fault_is_told_at_once_with_its_place(
    site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def spoil(plain: dict[str, Any]) -> None:
        plain["cameras"][0]["source"] = str(tmp_path / "gone.mp4")
        plain["cameras"][1]["calibration"] = str(tmp_path / "none.json")
        plain["embedder"]["weights"] = str(tmp_path / "none.onnx")
        (tmp_path / "file").touch()
        plain["output"]["folder"] = str(tmp_path / "file" / "out")

    path = changed(site.config(tmp_path), spoil)
    code, lines = checked(path, capsys)
    assert code == SourceError.exit_code, "what a run would end with for the first fault"
    bad = [line for line in lines if line.startswith("bad")]
    row = next(
        number for number, line in enumerate(path.read_text().splitlines(), 1) if "gone.mp4" in line
    )
    assert bad[0].startswith(f"bad {path}:{row}:")
    for part in ("cameras[0].source: camera a: ", "cameras[1].calibration: camera b: ",
                 "embedder.weights: ", "output.folder: "):  # fmt: skip
        assert sum(part in line for line in bad) == 1, (part, bad)


def test_sie_rows_are_held_against_the_networks_table(
    site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def rows(plain: dict[str, Any]) -> None:
        plain["cameras"][0]["sie"] = 10_000
        plain["cameras"][1]["sie"] = "mean"
        weights = ROOT / "samples/weights/transreid-synthetic.safetensors"
        plain["embedder"] = {"backend": "torch", "weights": str(weights)}

    code, lines = checked(changed(site.config(tmp_path), rows), capsys)
    assert code == ModelError.exit_code
    (bad,) = [line for line in lines if line.startswith("bad")]
    assert "camera a: sie 10000: transreid-synthetic.safetensors has rows 0 to " in bad


def test_the_configs_fit_the_published_schema(monkeypatch: pytest.MonkeyPatch):
    for name in ("CAMERA_USER", "CAMERA_PASSWORD"):
        monkeypatch.setenv(name, "given")
    published = json.loads(schema("config"))
    jsonschema.Draft202012Validator.check_schema(published)
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        plain = json.loads(load_config(path).model_dump_json())
        jsonschema.validate(plain, published)


def test_the_results_schema_is_printed():
    published = json.loads(schema("trajectories"))
    assert published["properties"]["version"]
    assert "trajectories" in published["required"]
