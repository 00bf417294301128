"""A gateway over HTTP, as operators ask it: what it keeps of requests, and what happens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import click

from pointsman_cli.errors import FAILED, REFUSED, Failed

_PATIENCE = 30.0
"""Seconds; a stream of events has a heartbeat before they are over."""
_LARGEST = 32 * 1024 * 1024
"""Bytes of an answer, or of an event; a thousand requests are some two million."""
_PREFIX = "/admin/v1"


class Gateway:
    """One gateway, until it is left. Raises UsageError for what is no http or https URL.

    Args:
        url: such as `http://127.0.0.1:4000`.
        variable: the environment variable with the key; without it a gateway on this machine needs none.
    """

    def __init__(self, url: str, variable: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.UsageError(f"{url!r} is no URL of a gateway, such as http://127.0.0.1:4000")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + _PREFIX
        self._variable = variable
        key = os.environ.get(variable, "").strip()
        self._open = ExitStack()
        self._headers = {"authorization": f"Bearer {key}"} if key else {"x-pointsman-csrf": "1"}

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_error: object) -> None:
        self._open.close()

    def requests(self, limit: int) -> list[Mapping[str, Any]]:
        """The latest requests that it keeps, the last one first. Raises Failed."""
        response = self._get(f"/requests?limit={limit}")
        with self.understood():
            try:
                found: list[Mapping[str, Any]] = json.loads(_bounded(response.read(_LARGEST + 1)))["requests"]
            except (OSError, HTTPException):
                raise ValueError from None
        return found

    @contextmanager
    def understood(self) -> Iterator[None]:
        """For what reads an answer as that of a gateway. Raises Failed where it cannot be one."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
            raise Failed(f"what answers at {self.url} is no gateway of ours") from None

    def follow(self) -> Iterator[Mapping[str, Any] | None]:
        """What happens from now on, an event at a time, until the gateway ends; None: nothing, just now.

        It listens once this returns. Raises Failed.
        """
        return _events(self._get("/events"))

    def _get(self, path: str) -> HTTPResponse:
        connection = self._kind(self._host, self._port, timeout=_PATIENCE)
        self._open.callback(connection.close)
        try:
            connection.request("GET", self._path + path, headers=self._headers)
            response = connection.getresponse()
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Failed(f"no gateway answers at {self.url}: {why}. Try: pointsman serve") from None
        self._open.callback(response.close)
        if response.status == 200:
            return response
        raise self._refused(response)

    def _refused(self, response: HTTPResponse) -> Failed:
        try:
            said = str(json.loads(response.read(65536))["error"]["message"])
        except (OSError, ValueError, KeyError, TypeError, HTTPException):
            said = f"HTTP {response.status}"
        code = REFUSED if response.status in (401, 403) else FAILED
        hint = f"; put the key of an operator into {self._variable}" if code == REFUSED else ""
        return Failed(f"the gateway at {self.url} refuses: {said}{hint}", code=code)


def _events(response: HTTPResponse) -> Iterator[Mapping[str, Any] | None]:
    """The events of a stream whose lines are `event:`, `data:` and comments."""
    while True:
        try:
            line = _bounded(response.readline(_LARGEST + 1))
        except (OSError, HTTPException):
            return
        if not line:
            return
        if line.startswith(b"data: "):
            yield json.loads(line[6:])
        elif line.startswith(b"event: gap"):
            yield {"type": "gap"}
        elif line.startswith(b":"):
            yield None


def _bounded(data: bytes) -> bytes:
    if len(data) > _LARGEST:
        raise ValueError("more than a gateway says at once")
    return data
