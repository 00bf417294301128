"""Secrets that a file of a configuration holds itself, where a reference would keep them out of it."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from pointsman._internal.scrubber import HIDDEN_FROM
from pointsman.config import codes
from pointsman.config.interpolate import references
from pointsman.config.model import Config
from pointsman.config.problems import KeyPath, Problem
from pointsman.config.secret_values import could_be_secret, has_password, looks_secret

_STAND_INS = frozenset(
    ("anything", "lm-studio", "no-key-needed", "no-key-required", "not-needed", "not-required", "placeholder",
     "sk-no-key-required", "undefined", "whatever")
)  # fmt: skip
"""What examples say where a client demands a key and the server none; shorter ones count without a list."""


def of_written_secret(config: Config, path: KeyPath, secret: str) -> Problem | None:
    """The warning about `secret`, which a setting at `path` holds; None where no file holds it."""
    if config.file is None:  # a program has its values from wherever it likes
        return None
    while path and isinstance(config.raw(path[:-1]), str):
        path = path[:-1]  # a short form stands for all of it
    written = config.raw(path)
    if not isinstance(written, str) or references(written) or written.replace("$$", "$") != secret:
        return None
    if not _is_one(config, path, secret):
        return None
    return config.problem(
        path,
        "this secret stands in the file itself, for all who can read the file, its copies and its history",
        'refer to it: "${NAME}" for a variable, "${file:/path}" for a file',
        code=codes.WRITTEN_DOWN,
    )


def _is_one(config: Config, path: KeyPath, text: str) -> bool:
    """Whether it is surely no stand-in, and no address or header without a secret."""
    if len(text) < HIDDEN_FROM or text.lower() in _STAND_INS:
        return False
    if "headers" in path:
        return could_be_secret(text, path, ours=True)
    if "://" in text:
        return has_password(text)
    return looks_secret(text) or not _is_here(config, path)


def _is_here(config: Config, path: KeyPath) -> bool:
    """Whether it is for a server on this machine, which mostly takes whatever it gets."""
    provider = config.providers.get(str(path[1])) if path[0] == "providers" else None
    if provider is None or provider.base_url is None:
        return False
    host = urlsplit(provider.base_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
