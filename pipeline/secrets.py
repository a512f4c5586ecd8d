"""Credentials are used, never shown."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"(?i)\b(password|passwd|pwd|token|secret|key|auth|user|username)=[^&\s]+")


def masked(text: str) -> str:
    """``text`` with user names, passwords and tokens of every URL in it replaced by ``***``."""
    return _QUERY.sub(r"\1=***", _USERINFO.sub("***", text))
