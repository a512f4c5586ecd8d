"""``export``: results in another system's form; ``recover``: results of a run that was killed."""

from __future__ import annotations

from pathlib import Path


def export(
    source: Path,
    format_name: str,
    output: Path,
    *,
    source_format: str = "crosscam",
    fps: float | None = None,
    origin: tuple[float, float, float] | None = None,
) -> Path:
    """Convert a result.

    Args:
        source: ``trajectories.json``, or a file or folder of ``source_format``.
        format_name: one of :data:`pipeline.export.formats.FORMATS`.
        output: a file; for ``mot`` a folder.
        fps: for sources without a clock (mot, aicity).
        origin: latitude, longitude and bearing of the ground plane's origin, degrees; only for ``mf-json``.

    Raises:
        ConfigError: no such format, no way back from it, or an option that does not fit.
        ExportError: the source is malformed or the output cannot be written.
    """
    from pipeline.errors import ConfigError
    from pipeline.export.formats import FORMATS
    from pipeline.export.mf_json import GeoOrigin, write_mf_json

    names = ", ".join(FORMATS)
    for name in (format_name, source_format):
        if name not in FORMATS:
            raise ConfigError(f"no format {name!r}; there are {names}")
    read = FORMATS[source_format].read
    if read is None:
        raise ConfigError(f"{source_format} cannot be read back: it holds no boxes")
    if not source.exists():
        raise ConfigError(f"{source}: no such file or folder")
    record = read(source, fps)
    if origin is None:
        FORMATS[format_name].write(record, output)
    elif format_name == "mf-json":
        try:
            write_mf_json(record, output, GeoOrigin(*origin))
        except ValueError as error:
            raise ConfigError(f"origin: {error}") from error
    else:
        raise ConfigError(f"origin serves mf-json only, not {format_name}")
    return output


def recover(folder: Path) -> Path:
    """Make ``trajectories.json`` out of the JSON Lines of a run that was killed; returns its path.

    Raises:
        ExportError: there are none, or the result cannot be written.
    """
    from pipeline.export.recovery import recover as recovered

    return recovered(folder)
