"""What the libraries under the transport httpx log at DEBUG, without the fields of requests and answers.

hpack logs each field with its value, credentials included; httpcore logs the fields of each answer, which may
repeat a credential. aiohttp, h11, h2 and anyio log nothing of the kind.
"""

from __future__ import annotations

import logging

_HPACK = ("hpack.hpack", "hpack.table")
_HTTPCORE = ("httpcore.http11", "httpcore.http2", "httpcore.proxy")


def keep_quiet() -> None:
    """From now on these libraries log no header fields in this process; more than once is as good as once."""
    for name in (*_HPACK, *_HTTPCORE):
        logging.getLogger(name).addFilter(_without_fields)


def _without_fields(record: logging.LogRecord) -> bool:
    """Whether `record` may be logged, after what it says of header fields was taken out."""
    if record.name in _HPACK:
        return False  # it says nothing else
    message = record.getMessage()
    if message.startswith("receive_response_headers."):
        record.msg, record.args = message.partition(" ")[0], ()
    return True
