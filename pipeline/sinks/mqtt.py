"""MQTT 3.1.1 through paho-mqtt, quality of service 1: every record is acknowledged by the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from pipeline.config import SinkConfig
from pipeline.secrets import masked
from pipeline.sinks.sink import DeliveryError, Message

_KEEPALIVE_S = 30


class MqttSink:
    """Publishes every record on one topic. ``mqtts://`` verifies the broker against the system's certificates."""

    def __init__(self, settings: SinkConfig) -> None:
        self._settings = settings
        self._client: mqtt.Client | None = None

    def send(self, messages: Sequence[Message]) -> None:
        until = time.monotonic() + self._settings.timeout_s
        try:
            if self._client is None:
                self._client = self._connected()
            topic = self._settings.topic
            under_way = [self._client.publish(topic, message.body, qos=1) for message in messages]
            for one in under_way:
                one.wait_for_publish(max(0.0, until - time.monotonic()))
                if not one.is_published():
                    raise DeliveryError(f"not acknowledged within {self._settings.timeout_s:g} s")
        except (OSError, ValueError, RuntimeError) as error:
            self.close()
            raise DeliveryError(masked(str(error))) from error
        except DeliveryError:
            self.close()
            raise

    def _connected(self) -> mqtt.Client:
        url = urlsplit(self._settings.url)
        client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.connect_timeout = self._settings.timeout_s
        if url.username is not None:
            client.username_pw_set(unquote(url.username), unquote(url.password or ""))
        if url.scheme == "mqtts":
            client.tls_set()
        answered, answer = threading.Event(), []

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            answer.append(reason)
            answered.set()

        client.on_connect = on_connect
        client.connect(
            url.hostname or "localhost", url.port or (8883 if url.scheme == "mqtts" else 1883), _KEEPALIVE_S
        )
        client.loop_start()
        self._client = client  # from here on close() ends its thread
        if not answered.wait(self._settings.timeout_s):
            raise DeliveryError("the broker does not answer")
        if answer[0].is_failure:
            raise DeliveryError(f"the broker refuses: {answer[0]}")
        return client

    def close(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
