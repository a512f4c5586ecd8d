"""Credentials are used, never shown."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^\s'\"]+(?=@)")
"""To the last ``@``: passwords may hold ``/`` and ``@`` although they should be escaped there."""
_QUERY = re.compile(
    r"(?i)([?&;](?:[\w-]*(?:passw|pwd|pass|token|secret|key|auth|sig)[\w-]*|user|username)=)[^&\s'\"]+"
)


def masked(text: str) -> str:
    """``text`` with user names, passwords and tokens of every URL in it replaced by ``***``."""
    return _QUERY.sub(r"\1***", _USERINFO.sub("***", text))
