"""YAML to plain values that remember where they stand.

Scalars follow YAML 1.2 (core schema), not PyYAML's YAML 1.1 guesses: ``1e-3`` is a number, ``12:30:00`` and dates
are text, ``no`` and ``off`` are words, only ``true`` and ``false`` are booleans. A key given twice is a fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(slots=True)
class YamlValues:
    """A document's values.

    Attributes:
        value: of nested dicts and lists.
        places: where each key path stands: mapping keys at the key, list entries at their start.
        faults: what is wrong with the YAML itself: place, key path, message.
    """

    value: Any = None
    places: dict[KeyPath, Place] = field(default_factory=dict)
    faults: list[tuple[Place, KeyPath, str]] = field(default_factory=list)

    def place_of(self, path: KeyPath) -> Place:
        """Where a key path stands, or the nearest part of it that is there."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))


def read_yaml(text: str) -> YamlValues:
    """Parse one document.

    Raises:
        yaml.YAMLError: the text is no YAML.
    """
    read = YamlValues()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is not None:
        read.places[()] = _place(node.start_mark)
        read.value = _value(node, (), read)
    return read


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _value(node: yaml.Node, path: KeyPath, read: YamlValues) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, read)
    if isinstance(node, yaml.SequenceNode):
        inner = [(*path, index) for index in range(len(node.value))]
        read.places.update(
            {at: _place(child.start_mark) for at, child in zip(inner, node.value, strict=True)}
        )
        return [_value(child, at, read) for at, child in zip(inner, node.value, strict=True)]
    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return plain_scalar(node.value) if is_plain else str(node.value)


def _mapping(node: yaml.MappingNode, path: KeyPath, read: YamlValues) -> dict[str, Any]:
    values: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, child in node.value:
        place, key = _place(key_node.start_mark), str(key_node.value)
        at = (*path, key)
        if key_node.tag == "tag:yaml.org,2002:merge":
            merged = _merged(child, path, read) | merged
        elif not isinstance(key_node, yaml.ScalarNode):
            read.faults.append((place, path, "a key must be plain text"))
        elif key in values:
            first = read.places[at].line
            read.faults.append((place, at, f"given twice, first in line {first}"))
        else:
            read.places[at] = place
            values[key] = _value(child, at, read)
    return merged | values


def _merged(node: yaml.Node, path: KeyPath, read: YamlValues) -> dict[str, Any]:
    """``<<``: one mapping or several, of which the first wins; the place is the anchor's."""
    values: dict[str, Any] = {}
    for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if isinstance(one, yaml.MappingNode):
            values = _mapping(one, path, read) | values
        else:
            read.faults.append((_place(one.start_mark), path, "<< takes a mapping"))
    return values


def plain_scalar(text: str) -> Any:
    """The value of unquoted text."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
