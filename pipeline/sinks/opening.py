"""Which sink each entry of the configuration means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config import SinkConfig
from pipeline.errors import ConfigError
from pipeline.secrets import masked
from pipeline.sinks.delivery import Delivery
from pipeline.sinks.sink import Sink
from pipeline.sinks.spool import Spool

SPOOLS = "spool"
"""Folder of the spools, in the output folder."""
_PACKAGES = {"mqtt": "paho-mqtt", "redis": "redis", "kafka": "confluent-kafka", "webhook": "httpx"}


def open_sink(settings: SinkConfig) -> Sink:
    """The adapter; nothing is connected yet.

    Raises:
        ConfigError: its client library is not installed, or refuses the settings.
    """
    try:
        return _adapter(settings)
    except ImportError as error:
        needed = _PACKAGES[settings.kind]
        raise ConfigError(
            f"output.sinks: {settings.label}: {needed} is not installed; pip install 'crosscam[{settings.kind}]'"
        ) from error
    except ValueError as error:
        raise ConfigError(f"output.sinks: {settings.label}: {masked(str(error))}") from error


def _adapter(settings: SinkConfig) -> Sink:
    if settings.kind == "mqtt":
        from pipeline.sinks.mqtt import MqttSink

        return MqttSink(settings)
    if settings.kind == "redis":
        from pipeline.sinks.redis_streams import RedisSink

        return RedisSink(settings)
    if settings.kind == "kafka":
        from pipeline.sinks.kafka import KafkaSink

        return KafkaSink(settings)
    from pipeline.sinks.webhook import WebhookSink

    return WebhookSink(settings)


def open_deliveries(sinks: Sequence[SinkConfig], output: Path) -> list[Delivery]:
    """Every sink with its spool, ``<output>/spool/<name>.sqlite``; not started.

    Raises:
        ConfigError: as `open_sink`.
        ExportError: a spool cannot be used.
    """
    opened = []
    for settings, sink in [(one, open_sink(one)) for one in sinks]:
        spool = Spool(output / SPOOLS / f"{settings.label}.sqlite", round(settings.spool_mib * 2**20))
        opened.append(
            Delivery(settings.label, sink, spool, settings.records, settings.batch, settings.max_backoff_s)
        )
    return opened
