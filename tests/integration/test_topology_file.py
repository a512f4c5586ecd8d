"""The learned topology as a file: written by a run, read by a person, pinned, and used by the next run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.topologies import LearnedTopology, read_topology, write_topology
from tests.integration.test_run import document, go
from tests.simulated import corridor_site
from tracking.association import AssociationConfig
from tracking.topology import CameraLink, Topology

RULES = AssociationConfig(max_gap_s=120.0)


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_run_leaves_a_file_that_the_next_one_reads(site: Any, tmp_path: Path, mode: str):
    config = site.config(tmp_path, association={"mode": mode, "topology": "learn"})
    go(config, tmp_path / "out")
    path = tmp_path / "out/topology.yaml"
    assert read_topology(path, "key").sites == {"a": "site", "b": "site"}
    plain = yaml.safe_load(path.read_text())
    plain["links"] = [{"from": "a", "to": "b", "min_s": 500, "max_s": 600, "pinned": True}]
    path.write_text(yaml.safe_dump(plain))
    go(config, tmp_path / "out")
    assert [(link.from_camera, link.min_s, link.pinned) for link in read_topology(path, "key").links] == [("a", 500, True)]
    # The pinned window forbids what the footage shows from a to b.
    links = [link for one in document(tmp_path / "out")["trajectories"] for link in one["links"]]
    assert not [link for link in links if (link["first"][0], link["second"][0]) == ("a", "b")]


def test_what_is_learned_holds_the_real_travel_times(tmp_path: Path):
    made = corridor_site(seed=3)
    learned = LearnedTopology(tmp_path / "topology.yaml", {}, RULES).learn(made.tracklets, RULES, None)
    real = {(link.from_camera, link.to_camera): link for link in made.topology.links}
    found = [link for link in learned.links if (link.from_camera, link.to_camera) in real]
    assert len(found) >= 0.8 * len(real)
    assert len(found) >= 0.8 * len(learned.links)
    for link in found:
        true = real[link.from_camera, link.to_camera]
        assert link.min_s <= true.min_s + 0.35 * (true.max_s - true.min_s)
        assert link.max_s >= true.max_s - 0.35 * (true.max_s - true.min_s)
    assert set(read_topology(tmp_path / "topology.yaml", "key").links) == set(learned.links)


def test_the_file_keeps_zones_and_says_how_to_correct_it(tmp_path: Path):
    zone = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0))
    stated = Topology((CameraLink("b", "a", 1.0, 2.0, exit_zone=zone), CameraLink("a", "b", 3.0, 4.0, overlap=True)), {"a": "x"})
    write_topology(tmp_path / "t.yaml", stated)
    assert set(read_topology(tmp_path / "t.yaml", "key").links) == set(stated.links)
    assert "pinned: true" in (tmp_path / "t.yaml").read_text().split("closed:")[0]


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / "topology.yaml").write_text("links: [{from: a, to: b}]")
    with pytest.raises(ConfigError, match=r"topology\.yaml.*links\[0\]: missing min_s, max_s"):
        LearnedTopology(tmp_path / "topology.yaml", {"a": "s", "b": "s"}, RULES)
