"""YAML to :class:`Config`, with every fault found at once as ``file:line:col: key.path: message``.

``${NAME}`` in text is replaced from the environment. Relative paths are relative to the YAML file. Nothing else is
opened: whether files exist is for ``check`` and for the run.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config import STREAM_SCHEMES, Config
from pipeline.errors import ConfigError
from pipeline.yaml_values import KeyPath, Place, YamlValues, read_yaml

PATH_KEYS = frozenset(
    {"source", "roi_mask", "calibration", "weights", "detections", "embeddings"}
    | {"topology", "corrections", "state", "folder"}
)
"""Keys whose text is a path, unless it is a stream, one of the key's words or a registered name."""
WORDS = frozenset({"off", "learn"})
NAMEABLE = frozenset({"weights"})

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Fault = tuple[Place, KeyPath, str]


def load_config(path: Path) -> Config:
    """Read and check a configuration.

    Raises:
        ConfigError: one line per fault, in the file's order.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> Config:
    """The same for YAML at hand; ``path`` names it in messages and anchors its relative paths."""
    read = _read(text, path)
    faults: list[Fault] = list(read.faults)
    values = _resolved(read.value, (), path.parent, read, faults)
    config = None
    if not isinstance(values, dict):
        faults.append((Place(1, 1), (), "expected keys and values (cameras, detector, ...)"))
    else:
        known = _known(values, Config, (), read, faults)
        try:
            config = Config.model_validate(known)
        except ValidationError as error:
            faults += _faults(error, read)
    if faults or config is None:
        raise ConfigError(*(_line(path, fault) for fault in sorted(set(faults), key=_order)))
    return config


def _read(text: str, path: Path) -> YamlValues:
    try:
        return read_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


def _line(path: Path, fault: Fault) -> str:
    place, keys, message = fault
    name = key_text(keys)
    return f"{path}:{place.line}:{place.column}: {name + ': ' if name else ''}{message}"


def _order(fault: Fault) -> tuple[Place, str]:
    return fault[0], fault[2]


def key_text(path: Iterable[str | int]) -> str:
    """``("cameras", 0, "sie")`` as ``cameras[0].sie``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


# -- what the file means: environment and paths


def _resolved(value: Any, path: KeyPath, folder: Path, read: YamlValues, faults: list[Fault]) -> Any:
    """The values with ``${NAME}`` replaced and relative paths anchored."""
    if isinstance(value, dict):
        return {key: _resolved(child, (*path, key), folder, read, faults) for key, child in value.items()}
    if isinstance(value, list):
        return [_resolved(child, (*path, index), folder, read, faults) for index, child in enumerate(value)]
    if not isinstance(value, str):
        return value
    missing = sorted({name for name in _VARIABLE.findall(value) if name not in os.environ})
    if missing:
        faults.append((read.place_of(path), path, f"environment variable {', '.join(missing)} is not set"))
    text = _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), value)
    return _anchored(text, str(path[-1]) if path else "", folder)


def _anchored(text: str, key: str, folder: Path) -> str:
    if key not in PATH_KEYS or text in WORDS or text.lower().startswith(STREAM_SCHEMES) or not text:
        return text
    if key in NAMEABLE and not re.search(r"[./\\]", text):
        return text
    return os.path.normpath(folder / Path(text).expanduser())


# -- what is wrong with it


def _faults(error: ValidationError, read: YamlValues) -> list[Fault]:
    """pydantic's complaints, those about one value (the branches of a union) joined into one."""
    told: dict[KeyPath, list[str]] = {}
    for one in error.errors(include_url=False, include_input=False):
        path = _known_path(one["loc"], read, keep_last=one["type"] == "missing")
        message = _message(one)
        told.setdefault(path, [])
        if message not in told[path]:
            told[path].append(message)
    inner = {path[:length] for path in told for length in range(len(path))}
    return [
        (read.place_of(path), path, ", or ".join(messages))
        for path, messages in told.items()
        if path not in inner
    ]


def _known_path(loc: tuple[str | int, ...], read: YamlValues, *, keep_last: bool) -> KeyPath:
    """pydantic's location without the names of union branches it puts in between."""
    path: KeyPath = ()
    for part in loc:
        if (*path, part) in read.places:
            path = (*path, part)
    return (*path, loc[-1]) if keep_last else path


def _message(one: Any) -> str:
    if one["type"] == "missing":
        return "is required"
    return str(one["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")


def _known(
    values: Mapping[str, Any], model: type, path: KeyPath, read: YamlValues, faults: list[Fault]
) -> Any:
    """The values without the keys that no section has; those become faults, so that pydantic tells the rest."""
    fields = _fields(model)
    kept = {}
    for key, value in values.items():
        at = (*path, key)
        if key not in fields:
            faults.append((read.place_of(at), at, _unknown(key, fields)))
            continue
        section = _section(fields[key])
        if section is not None and isinstance(value, dict):
            value = _known(value, section, at, read, faults)
        elif section is not None and isinstance(value, list):
            value = [
                _known(entry, section, (*at, index), read, faults) if isinstance(entry, dict) else entry
                for index, entry in enumerate(value)
            ]
        kept[key] = value
    return kept


def _unknown(key: str, fields: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, fields, n=1, cutoff=0.6)
    return (
        f"unknown key; did you mean {near[0]}?"
        if near
        else f"unknown key; known are {', '.join(sorted(fields))}"
    )


def _fields(model: type) -> dict[str, Any]:
    """Field names and annotations of a section, pydantic's or a plain dataclass."""
    if issubclass(model, BaseModel):
        return {name: info.annotation for name, info in model.model_fields.items()}
    return get_type_hints(model)


def _section(annotation: Any) -> type | None:
    """The section an annotation holds, however it is wrapped, or None."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part)) is not None), None)
