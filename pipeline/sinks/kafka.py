"""Kafka through confluent-kafka (librdkafka): idempotent producer, all in-sync replicas, order kept for each key."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from pipeline.config import SinkConfig
from pipeline.secrets import masked
from pipeline.sinks.sink import DeliveryError, Message


class KafkaSink:
    """Produces to one topic; the key is the identity, so that what happens to one stays in order over partitions."""

    def __init__(self, settings: SinkConfig) -> None:
        self._settings = settings
        self._producer: Producer | None = None

    def send(self, messages: Sequence[Message]) -> None:
        faults: list[KafkaError] = []

        def told(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                faults.append(error)

        try:
            if self._producer is None:
                self._producer = Producer(self._options())
            for one in messages:
                self._producer.produce(self._settings.topic, one.body, key=one.key, on_delivery=told)
            waiting = self._producer.flush(self._settings.timeout_s + 1.0)
        except (KafkaException, BufferError) as error:
            self.close()
            raise DeliveryError(masked(str(error))) from error
        if waiting or faults:
            self.close()
            raise DeliveryError(masked(faults[0].str()) if faults else f"{waiting} records not acknowledged")

    def _options(self) -> dict[str, str | int | bool]:
        settings = self._settings
        timeout_ms = round(1000 * settings.timeout_s)
        return {
            "bootstrap.servers": settings.url.split("://", 1)[1].rstrip("/"),
            "enable.idempotence": True,
            "message.timeout.ms": timeout_ms,
            "socket.connection.setup.timeout.ms": max(1000, timeout_ms),
            "log_level": 0,
            **settings.options,
        }

    def close(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(0)
            self._producer = None
