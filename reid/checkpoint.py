"""Checkpoint files: reading any of their layouts, saying precisely what does not fit, writing our own.

Ours hold ``{"config": {...}, "model": state_dict}`` (or the config in the metadata of a safetensors file), so
nothing has to be guessed. The authors' files hold a bare state_dict; what it shows is inferred
(:mod:`reid.inference`), the rest comes from a config. Nothing is unpickled but tensors and plain values.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from reid.inference import infer_config
from reid.preprocess import InputForm
from reid.transreid import TransReID, TransReIDConfig

__all__ = [
    "CheckpointError",
    "Stored",
    "build_network",
    "load_checkpoint",
    "read_checkpoint",
    "save_checkpoint",
]

State: TypeAlias = dict[str, Tensor]
Source: TypeAlias = str | Path | Mapping[str, Any]


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or does not fit; the message names the file and every key."""


class Stored(NamedTuple):
    """What a checkpoint holds: tensors by official key, and its config and input form where it knows them."""

    tensors: State
    config: dict[str, Any] | None
    form: InputForm | None


def load_checkpoint(source: Source, config: TransReIDConfig | None = None, **known: Any) -> TransReID:
    """Build the network a checkpoint belongs to and load it, ready to embed (eval mode, on the CPU).

    Args:
        source: a file (``.pth``, ``.pt``, ``.safetensors``) or a state_dict.
        config: the network's shape; None takes the one in the file or infers it from the tensors.
        known: single fields of the config which the tensors do not show, e.g. ``num_heads=4``,
            ``num_cameras=20, num_views=8`` or ``shift=8``; they also override a stored config.

    Raises:
        CheckpointError: unreadable, missing, unexpected or misshapen keys (all of them in one message), or a
            shape that can neither be read nor inferred.
        FileNotFoundError: no such file.
    """
    return build_network(read_checkpoint(source), _name(source), config, **known)


def build_network(
    stored: Stored, name: str, config: TransReIDConfig | None = None, **known: Any
) -> TransReID:
    """:func:`load_checkpoint` for one that is read already; ``name`` is for messages."""
    tensors = {key: value for key, value in stored.tensors.items() if not key.startswith("classifier")}
    try:
        if config is not None and known:
            raise ValueError("give either a config or single fields of one, not both")
        config = config or _known_config(tensors, stored.config, known)
        model = TransReID(replace(config, num_classes=0))
    except ValueError as error:
        raise CheckpointError(f"{name}: {error}") from error
    load_exactly(model, tensors, name=name, optional=_never_read(model.config))
    return model.eval()


def _name(source: Source) -> str:
    return "state_dict" if isinstance(source, Mapping) else str(source)


def _known_config(tensors: State, stored: dict[str, Any] | None, known: Mapping[str, Any]) -> TransReIDConfig:
    if stored is None:
        return infer_config({key: tuple(value.shape) for key, value in tensors.items()}, **known)
    return TransReIDConfig.from_dict({**stored, **known})


def _never_read(config: TransReIDConfig) -> tuple[str, ...]:
    """Prefixes of keys that no embedding depends on: a file may leave them out."""
    unused = ("base.fc.",)
    return (*unused, f"base.blocks.{config.depth - 1}.", "base.norm.") if config.jpm else unused


def read_checkpoint(source: Source) -> Stored:
    """The content of a checkpoint, whatever its layout.

    ``{"model": …}`` and ``{"state_dict": …}`` are unwrapped and every ``module.`` is removed.

    Raises:
        CheckpointError: not a file of tensors.
        FileNotFoundError: no such file.
    """
    content = source if isinstance(source, Mapping) else _read_file(Path(source))
    config, form = _described(content, _name(source))
    for wrapper in ("model", "state_dict"):
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = {
        key.replace("module.", ""): value for key, value in content.items() if isinstance(value, Tensor)
    }
    if not tensors:
        raise CheckpointError(f"{_name(source)}: holds no tensors")
    return Stored(tensors, config, form)


def _described(content: Mapping[str, Any], name: str) -> tuple[dict[str, Any] | None, InputForm | None]:
    """Config and input form of a file of ours; other trainers' entries of that name mean other things."""
    config, form = content.get("config"), content.get("input")
    if not isinstance(config, Mapping) or "embed_dim" not in config:
        return None, None
    try:
        return dict(config), InputForm(**form) if isinstance(form, Mapping) else None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{name}: input: {error}") from error


def _read_file(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except pickle.UnpicklingError as error:
        reason = "it holds more than tensors and plain values; such files can run code and are refused"
        if "Unsupported operand" in str(error):
            reason = "not a readable checkpoint (these bytes are no pickle)"
        raise CheckpointError(f"{path}: {reason}") from error
    # Bytes that are no pickle at all end in any of these, depending on where the reader stumbles.
    except (
        RuntimeError,
        SafetensorError,
        EOFError,
        OSError,
        LookupError,
        ValueError,
        AttributeError,
    ) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: not a readable checkpoint ({what})") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: expected a state_dict, got {type(content).__name__}")
    return content


def _read_torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    described = {key: json.loads(metadata[key]) for key in ("config", "input") if key in metadata}
    return {"model": safetensors.torch.load_file(path), **described}


def save_checkpoint(
    model: TransReID, path: str | Path, *, form: InputForm | None = None, **extra: Any
) -> None:
    """Write a checkpoint that :func:`load_checkpoint` reads without being told anything.

    Args:
        model: the network.
        path: ``.safetensors`` (weights and their description) or anything else (torch's own format).
        form: the input form it was trained with; None is TransReID's usual one.
        extra: more to store beside them, tensors and plain values only; not with safetensors.
    """
    path, form = Path(path), form or InputForm(model.config.image_size)
    described = {"config": asdict(model.config), "input": asdict(form)}
    if path.suffix != ".safetensors":
        torch.save({**described, "model": model.state_dict(), **extra}, path)
    elif extra:
        raise ValueError(f"{path}: a safetensors file holds weights only, not {', '.join(extra)}")
    else:
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        texts = {key: json.dumps(value) for key, value in described.items()}
        safetensors.torch.save_file(state, path, metadata=texts)


def load_exactly(module: torch.nn.Module, state: State, *, name: str, optional: tuple[str, ...] = ()) -> None:
    """Load ``state`` into ``module``, or say everything that does not fit in one message.

    Args:
        module: takes the values; its own dtype and device stay.
        state: keys as in ``module.state_dict()``.
        name: what to call the source in the message.
        optional: prefixes of keys that may be missing.

    Raises:
        CheckpointError: missing, unexpected or misshapen keys.
    """
    own = module.state_dict()
    missing = sorted(key for key in own if key not in state and not key.startswith(optional or ("\0",)))
    unexpected = sorted(key for key in state if key not in own)
    misshapen = [
        f"{key} is {tuple(state[key].shape)} where the network has {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    problems = [f"{len(keys)} {kind}: {', '.join(keys)}" for kind, keys in found.items() if keys]
    if problems:
        raise CheckpointError(f"{name}: does not fit the network; " + "; ".join(problems))
    module.load_state_dict(state, strict=False)
