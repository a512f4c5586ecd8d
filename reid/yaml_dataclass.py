"""Strict YAML into nested frozen dataclasses: every problem of a file in one message, with line and column.

The dataclasses own every default; the file only overrides. PyYAML's guesses are not trusted: scalars are
read by the type of their field, so ``1e-4`` is a number where a number belongs and ``no`` stays a word
where a word belongs.
"""

from __future__ import annotations

import difflib
import types
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

Config = TypeVar("Config")

_TRUE, _FALSE, _NULL = ("true", "yes", "on"), ("false", "no", "off"), ("null", "none", "~", "")


class YamlError(ValueError):
    """A YAML file that does not say what it should; one problem per line, as ``file:line:col: key: what``."""


class _Problems:
    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, list[str]()

    def add(self, node: yaml.Node, key: str, what: str) -> None:
        mark = node.start_mark
        self.lines.append(f"{self.path}:{mark.line + 1}:{mark.column + 1}: {key}: {what}")


def read_yaml(path: Path, kind: type[Config]) -> Config:
    """The file as a ``kind``, a dataclass; relative `Path` values are taken relative to the file.

    Raises:
        YamlError: unknown or duplicate keys, wrong or missing values, or no YAML at all.
        FileNotFoundError: no such file.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise YamlError(f"{path}: not YAML: {error}") from error
    problems = _Problems(path)
    empty = yaml.MappingNode("tag:yaml.org,2002:map", [], yaml.Mark(str(path), 0, 0, 0, None, 0))
    value = _dataclass(root or empty, kind, "", problems)
    if problems.lines:
        raise YamlError("\n".join(problems.lines))
    return value  # type: ignore[no-any-return]


def _dataclass(node: yaml.Node, kind: Any, prefix: str, problems: _Problems) -> Any:
    if not isinstance(node, yaml.MappingNode):
        problems.add(node, prefix.rstrip(".") or "file", "expected keys and values")
        return None
    hints, before = get_type_hints(kind), len(problems.lines)
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        name = str(key_node.value)
        if name not in hints:
            problems.add(key_node, prefix + name, "unknown key" + _did_you_mean(name, list(hints)))
        elif name in values:
            problems.add(key_node, prefix + name, "given twice")
        else:
            values[name] = _value(value_node, hints[name], prefix + name, problems)
    for field in fields(kind):
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in values:
            problems.add(node, prefix + field.name, "missing")
    return _constructed(kind, values, node, prefix, problems) if len(problems.lines) == before else None


def _constructed(kind: Any, values: dict[str, Any], node: yaml.Node, prefix: str, problems: _Problems) -> Any:
    try:
        return kind(**values)
    except ValueError as error:
        problems.add(node, prefix.rstrip(".") or "file", str(error))
        return None


def _did_you_mean(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _value(node: yaml.Node, hint: Any, key: str, problems: _Problems) -> Any:
    try:
        return _read(node, hint, key, problems)
    except ValueError as error:
        problems.add(node, key, str(error))
        return None


def _read(node: yaml.Node, hint: Any, key: str, problems: _Problems) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _dataclass(node, hint, f"{key}.", problems)
    if origin in (Union, types.UnionType):
        return _optional(node, arguments, key, problems)
    if origin is tuple:
        return _sequence(node, arguments, key, problems)
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"expected a single {_name(hint)}")
    if origin is Literal:
        return _choice(node.value, arguments)
    return _scalar(node.value, hint, problems.path)


def _optional(node: yaml.Node, arguments: tuple[Any, ...], key: str, problems: _Problems) -> Any:
    if isinstance(node, yaml.ScalarNode) and not node.style and node.value.lower() in _NULL:
        return None
    (inner,) = (argument for argument in arguments if argument is not type(None))
    return _read(node, inner, key, problems)


def _sequence(node: yaml.Node, arguments: tuple[Any, ...], key: str, problems: _Problems) -> Any:
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != len(arguments):
        raise ValueError(f"expected a list of {len(arguments)} values")
    pairs = zip(node.value, arguments, strict=True)
    return tuple(_value(item, hint, f"{key}[{i}]", problems) for i, (item, hint) in enumerate(pairs))


def _choice(value: str, allowed: tuple[Any, ...]) -> str:
    if value not in allowed:
        close = difflib.get_close_matches(value, allowed, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"{value!r} is none of {', '.join(allowed)}{hint}")
    return value


def _scalar(value: str, hint: Any, path: Path) -> Any:
    if hint is bool:
        if value.lower() not in _TRUE + _FALSE:
            raise ValueError(f"expected true or false, found {value!r}")
        return value.lower() in _TRUE
    if hint is Path:
        return path.parent / Path(value).expanduser()
    try:
        return hint(value)
    except ValueError:
        raise ValueError(f"expected {_name(hint)}, found {value!r}") from None


def _name(hint: Any) -> str:
    return {int: "whole number", float: "number", str: "text"}.get(hint, "value")
