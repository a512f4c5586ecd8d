"""``forget GLOBAL_ID``: delete the embeddings of one identity, or of all that have outlived their time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def forget(
    global_id: int | None, config_path: Path | None, output: Path | None, *, expired: bool = False
) -> Iterator[str]:
    """Delete and say what went.

    Args:
        global_id: whose; None with ``expired``.
        config_path: tells the output folder, the identity store, and the embeddings' lifetime.
        output: in place of the configuration's folder, ``out`` without one.

    Raises:
        ConfigError: an identity nobody knows, or the arguments do not fit.
        ExportError: a file cannot be changed.
    """
    from pipeline.config import OutputConfig
    from pipeline.config_loader import load_config
    from pipeline.errors import ConfigError
    from pipeline.linking import open_store
    from pipeline.retention import AUDIT, erase_identity, expire

    if (global_id is None) != expired:
        raise ConfigError("forget: give the identity's number, or --expired")
    config = load_config(config_path) if config_path is not None else None
    folder = output or (config.output.folder if config is not None else OutputConfig().folder)
    has_store = (
        config is not None and config.association.state is not None and config.association.state.exists()
    )
    store = open_store(config) if config is not None and has_store else None
    try:
        if global_id is not None:
            gone = erase_identity(global_id, folder, store)
            named = "" if gone.global_id == global_id else f", which is {gone.global_id} now"
            yield f"identity {global_id}{named}: {gone.members} stored members, {gone.crops} saved embeddings deleted"
        else:
            max_age_s = config.protection.embeddings_max_age_s if config is not None else None
            if config is None or max_age_s is None:
                raise ConfigError("forget --expired: needs --config with privacy.embeddings_max_age_s")
            is_live = all(camera.is_live for camera in config.cameras)
            members, crops = expire(folder, store, max_age_s, is_live=is_live)
            yield f"older than {max_age_s:g} s: {members} stored members, {crops} saved embeddings deleted"
    finally:
        if store is not None:
            store.close()
    if config is None:
        yield "no --config: an identity store (association.state), if there is one, was not touched"
    yield f"audit: {folder / AUDIT}"
