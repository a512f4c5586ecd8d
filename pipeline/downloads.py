"""One file over HTTP: resumed where it stopped, and through Google Drive's confirmation page."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urljoin

from pipeline import __version__
from pipeline.secrets import masked

Progress = Callable[[int, int | None], None]
"""Bytes had so far, bytes in all where the server says so."""

_CHUNK = 1 << 18
_TIMEOUT_S = 30.0


class DownloadError(Exception):
    """The file did not come; what had come is kept for the next try."""


def download(url: str, target: Path, progress: Progress | None = None) -> None:
    """Fetch ``url`` into ``target``, going on where ``<target>.part`` ends.

    Raises:
        DownloadError: no connection, the server refuses, or it stopped in the middle; says which.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _opened(url, part) as answer:
            _save(answer, part, progress or (lambda had, total: None))
        part.replace(target)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{masked(url)}: the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise DownloadError(f"{masked(url)}: {reason}") from error


def _opened(url: str, part: Path) -> HTTPResponse:
    answer = _asked(url, part)
    if _is_page(answer):
        with answer:
            page = answer.read(1 << 20).decode("utf-8", "replace")
            base = answer.url
        answer = _asked(_confirmed(url, base, page), part)
        if _is_page(answer):
            answer.close()
            raise DownloadError(f"{masked(url)}: a web page came in place of the file, even after confirming")
    return answer


def _asked(url: str, part: Path) -> HTTPResponse:
    had = part.stat().st_size if part.exists() else 0
    mark = _validator(part)
    request = urllib.request.Request(url, headers={"User-Agent": f"crosscam/{__version__}"})
    if had and mark.exists():
        request.add_header("Range", f"bytes={had}-")
        request.add_header("If-Range", mark.read_text(encoding="ascii"))
    try:
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not had:
            raise
        part.unlink()
        return _asked(url, part)
    return answer


def _validator(part: Path) -> Path:
    """What names the version of the file that a part belongs to: its entity tag or date."""
    return part.with_name(part.name + ".version")


def _save(answer: HTTPResponse, part: Path, progress: Progress) -> None:
    resumed = answer.status == 206
    had = part.stat().st_size if resumed else 0
    length = answer.headers.get("Content-Length")
    total = had + int(length) if length is not None else None
    tag = answer.headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
    mark = _validator(part)
    if version:
        mark.write_text(version, encoding="ascii")
    else:
        mark.unlink(missing_ok=True)
    with part.open("ab" if resumed else "wb") as file:
        had = _copied(answer, file, had, total, progress)
    if total is not None and had < total:
        raise DownloadError(f"{masked(answer.url)}: the connection broke after {had} of {total} bytes")
    mark.unlink(missing_ok=True)


def _copied(answer: HTTPResponse, file: BinaryIO, had: int, total: int | None, progress: Progress) -> int:
    progress(had, total)
    while block := answer.read1(_CHUNK):
        file.write(block)
        had += len(block)
        progress(had, total)
    return had


def _is_page(answer: HTTPResponse) -> bool:
    return answer.headers.get_content_type() == "text/html"


def _confirmed(url: str, base: str, page: str) -> str:
    """Where the confirmation page's form leads: Google Drive asks before it gives files it cannot scan for viruses."""
    form = _Form()
    form.feed(page)
    if form.action is None:
        raise DownloadError(
            f"{masked(url)}: a web page came in place of the file; it may be gone or over its quota"
        )
    return urljoin(base, form.action) + "?" + urlencode(form.fields)


class _Form(HTMLParser):
    """Action and hidden fields of the page's download form."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = given.get("action") or None
        elif tag == "input" and given.get("type") == "hidden" and given.get("name"):
            self.fields[str(given["name"])] = given.get("value") or ""
