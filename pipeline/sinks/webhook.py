"""Webhooks through httpx: a batch is one POST of JSON Lines, delivered when the answer is a success."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from pipeline.config import SinkConfig
from pipeline.secrets import masked
from pipeline.sinks.sink import DeliveryError, Message


class WebhookSink:
    """Posts ``application/x-ndjson``. Whatever is not a 2xx answer, redirects among it, is tried again."""

    def __init__(self, settings: SinkConfig) -> None:
        self._url = settings.url
        headers = {"Content-Type": "application/x-ndjson", **settings.headers}
        self._client = httpx.Client(headers=headers, timeout=settings.timeout_s)

    def send(self, messages: Sequence[Message]) -> None:
        body = b"".join(message.body + b"\n" for message in messages)
        try:
            answer = self._client.post(self._url, content=body)
        except httpx.HTTPError as error:
            raise DeliveryError(masked(str(error) or type(error).__name__)) from error
        if not answer.is_success:
            raise DeliveryError(f"the server answers {answer.status_code} {answer.reason_phrase}")

    def close(self) -> None:
        self._client.close()
