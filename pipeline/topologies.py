"""The file of camera links: read, learned, and written for a person to correct and pin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.export.document import write_atomically
from tracking.association import AssociationConfig
from tracking.topology import Topology
from tracking.topology_learning import PassageTimes, learn_topology
from tracking.types import IntArray, Tracklet, Trajectory

LEARNED = "topology.yaml"
_HEAD = """\
# Camera links, learned from clear passages: from the last sight in one camera to the first in the next, seconds.
# Correct what is wrong, set pinned: true on what is right, and run again: with association.topology: learn and the same
# output folder pinned links stay as they are and the rest is learned anew; with association.topology: FILE nothing is.
# closed: true says that no other ways exist. exit_zone and entry_zone, polygons in pixels, may be added to a link.
"""


class LearnedTopology:
    """Learns the links of a site and keeps them in the output folder, where pinned ones survive.

    Args:
        path: read where it exists; written by ``learn``.
        sites: of the run's cameras.
        rules: of association.

    Raises:
        ConfigError: the file is there and cannot be read.
    """

    def __init__(self, path: Path, sites: dict[str, str], rules: AssociationConfig) -> None:
        self.path = path
        self._passages = PassageTimes(rules)
        self.known = Topology(sites=sites)
        if path.exists():
            stated = read_topology(path, "association.topology")
            here = [link for link in stated.links if {link.from_camera, link.to_camera} <= sites.keys()]
            self.known = Topology(tuple(here), {**sites, **stated.sites})

    def learn(
        self, tracklets: Sequence[Tracklet], rules: AssociationConfig, class_group: IntArray | None
    ) -> Topology:
        """Learn from a whole run and write what was learned.

        Raises:
            ExportError: the file cannot be written.
        """
        self.known = learn_topology(tracklets, rules, base=self.known, class_group=class_group)
        write_topology(self.path, self.known)
        return self.known


    def note(self, trajectory: Trajectory) -> None:
        """Online: an identity has ended."""
        self._passages.note(trajectory)

    def conclude(self) -> None:
        """Online: write what the ended identities tell, for the next run; what was known before and not seen stays.

        Raises:
            ExportError: the file cannot be written.
        """
        found = self._passages.topology(self.known)
        seen = {(link.from_camera, link.to_camera) for link in found.links}
        kept = [link for link in self.known.links if (link.from_camera, link.to_camera) not in seen]
        write_topology(self.path, Topology((*found.links, *kept), found.sites))


def write_topology(path: Path, topology: Topology) -> None:
    """Write links for people: one a line, in order of cameras.

    Raises:
        ExportError: the file cannot be written.
    """
    plain = topology.to_dict()
    plain["links"] = sorted(plain["links"], key=lambda link: (link["from"], link["to"]))
    text = yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=120)
    write_atomically(path, [(_HEAD + text).encode()])


def load_topology(config: Config) -> Topology:
    """The camera links of the configured file, and each camera's site.

    Raises:
        ConfigError: the file cannot be read or names a camera that the run does not have.
    """
    sites = sites_of(config)
    chosen = config.association.topology
    if chosen in ("off", "learn"):
        return Topology(sites=sites)
    stated = read_topology(Path(chosen), "association.topology")
    named = {camera for link in stated.links for camera in (link.from_camera, link.to_camera)}
    if named - sites.keys():
        unknown = ", ".join(sorted(named - sites.keys()))
        raise ConfigError(f"association.topology: {chosen}: cameras not in this run: {unknown}")
    return Topology(stated.links, {**sites, **stated.sites}, stated.closed)


def sites_of(config: Config) -> dict[str, str]:
    return {camera.id: camera.site for camera in config.cameras}


def read_topology(path: Path, key: str) -> Topology:
    """Read a file of links.

    Raises:
        ConfigError: it cannot be read; the message names key and file.
    """
    try:
        return Topology.from_dict(read_mapping(path, key))
    except ValueError as error:
        raise ConfigError(f"{key}: {path}: {error}") from error


def read_mapping(path: Path, key: str) -> dict[str, Any]:
    """A YAML file of keys and values.

    Raises:
        ConfigError: it is no such file; the message names key and file.
    """
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{key}: {path}: cannot be read: {error}") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{key}: {path}: expected keys and values")
    return plain
