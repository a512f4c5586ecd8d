"""Training configs: every shipped file loads, and every mistake of a file is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from reid.data.loader import SideTable
from reid.training_config import load_training_config
from reid.yaml_dataclass import YamlError

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs" / "reid").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_load(path: Path) -> None:
    config = load_training_config(path)
    cameras = tuple(range(6)) if "camera" in config.model.sie else ()
    views = tuple(range(8)) if "view" in config.model.sie else ()
    network = config.model.network(SideTable(cameras, views), 10)
    assert network.num_classes == 10 and network.num_cameras == len(cameras)
    assert config.data.root.is_absolute() == path.is_absolute()


def test_published_settings_are_expressed() -> None:
    by_name = {path.stem: load_training_config(path) for path in CONFIGS}
    assert by_name["occ_duke"].model.network(SideTable(), 0).num_patches == 22 * 11
    assert by_name["msmt17"].model.network(SideTable(), 0).num_patches == 21 * 10
    veri = by_name["veri"].model.network(SideTable(tuple(range(20)), tuple(range(8))), 576)
    assert (veri.num_patches, veri.num_sie_rows, veri.shift) == (441, 160, 8)
    for name in ("market1501", "msmt17", "dukemtmc", "occ_duke"):
        optimiser = by_name[name].optimiser
        assert (optimiser.lr, optimiser.bias_lr_factor, optimiser.weight_decay) == (0.008, 2.0, 1e-4)


def load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    load_training_config(path)


def test_every_problem_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(YamlError) as caught:
        load(
            tmp_path,
            """data: {kind: marked1501, root: data}
model: {backbon: vit_base, jpm: maybe, stride: [12]}
optimiser:
  lr: fast
  lr: 1
sampler: [16, 4]
shedule: {epochs: 3}
""",
        )
    lines = str(caught.value).splitlines()
    file = tmp_path / "run.yaml"
    assert lines == [
        f"{file}:1:14: data.kind: 'marked1501' is none of market1501, dukemtmc, occ_duke, msmt17, veri, vehicleid, "
        "synthetic; did you mean market1501?",
        f"{file}:2:9: model.backbon: unknown key; did you mean backbone?",
        f"{file}:2:33: model.jpm: expected true or false, found 'maybe'",
        f"{file}:2:48: model.stride: expected a list of 2 values",
        f"{file}:4:7: optimiser.lr: expected number, found 'fast'",
        f"{file}:5:3: optimiser.lr: given twice",
        f"{file}:6:10: sampler: expected keys and values",
        f"{file}:7:1: shedule: unknown key; did you mean schedule?",
    ]


def test_missing_keys_and_impossible_networks_are_told(tmp_path: Path) -> None:
    with pytest.raises(YamlError, match=r"run\.yaml:1:1: data: missing"):
        load(tmp_path, "")
    with pytest.raises(YamlError, match=r"run\.yaml:1:7: data\.root: missing"):
        load(tmp_path, "data: {kind: veri}")
    with pytest.raises(YamlError, match="model: backbone: 'vit_huge' is unknown"):
        load(tmp_path, "data: {kind: veri, root: x}\nmodel: {backbone: vit_huge}")
    with pytest.raises(YamlError, match="not YAML"):
        load(tmp_path, "data: {kind: veri")


def test_scalars_are_read_by_their_field_and_paths_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: {kind: veri, root: sets}\noptimiser: {weight_decay: 1e-4}\nloss: {margin: null}\n")
    config = load_training_config(path)
    assert config.optimiser.weight_decay == 1e-4
    assert config.loss.margin is None
    assert config.data.root == tmp_path / "sets"


def test_a_backbones_fields_can_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: {kind: veri, root: x}\nmodel: {backbone: vit_small, depth: 3, num_heads: 16}\n")
    network = load_training_config(path).model.network(SideTable(), 0)
    assert (network.depth, network.num_heads, network.embed_dim) == (3, 16, 768)
    assert network.qk_scale == 768**-0.5 and not network.qkv_bias
