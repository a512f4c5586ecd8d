"""Redis Streams through redis-py: a batch is one transaction, so the stream has all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from pipeline.config import SinkConfig
from pipeline.secrets import masked
from pipeline.sinks.sink import DeliveryError, Message


class RedisSink:
    """Appends entries with the fields ``seq``, ``key`` and ``record``, the last one JSON."""

    def __init__(self, settings: SinkConfig) -> None:
        self._settings = settings
        timeout_s = settings.timeout_s
        self._client: redis.Redis = redis.Redis.from_url(
            settings.url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None
        )

    def send(self, messages: Sequence[Message]) -> None:
        settings = self._settings
        try:
            with self._client.pipeline(transaction=True) as pipe:
                for one in messages:
                    fields = {"seq": one.seq, "key": one.key, "record": one.body}
                    pipe.xadd(settings.topic, fields, maxlen=settings.max_length)  # type: ignore[arg-type]
                pipe.execute()
        except (redis.RedisError, OSError) as error:
            raise DeliveryError(masked(str(error))) from error

    def close(self) -> None:
        self._client.close()
