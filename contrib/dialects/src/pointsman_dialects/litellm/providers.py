"""The providers that the entries of a `model_list` need, each once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from pointsman_dialects.keys import Keys
from pointsman_dialects.litellm.document import Translation
from pointsman_dialects.litellm.upstreams import UPSTREAMS, Upstream, address
from pointsman_dialects.litellm.values import is_nothing

_NO_KEYS = ("none", "empty", "null", "dummy", "fake", "fake-key", "anything", "not-needed", "no-key")
"""What people write as the key of a server that asks for none."""
_HEADERS = ("extra_headers", "headers")


class Providers:
    """Finds the provider of an entry among those that there are, or makes it.

    Args:
        taken: names that none may have: a model that begins with one and a slash would mean its own.
    """

    def __init__(self, translation: Translation, taken: frozenset[str]) -> None:
        self._to = translation
        self._taken = taken
        self._known: dict[str, str] = {}

    def name(self, kind: str, params: Mapping[str, Any], of: Keys) -> str:
        """Its name in the native document.

        Args:
            kind: what its models begin with at LiteLLM, one of those that are known.
            of: where `params` stand.
        """
        said = _Said(self._to, kind, params, of)
        settings = said.settings()
        alike = repr(sorted((key, repr(value)) for key, (value, _of) in settings.items()))
        if alike not in self._known:
            self._known[alike] = name = self._free(kind, settings.get("base_url", ("", of))[0])
            for key, (value, at) in settings.items():
                self._to.native.put(("providers", name, key), value, of=at)
        return self._known[alike]

    def _free(self, kind: str, base_url: object) -> str:
        """A name that nobody has: by the kind, by its host, or with a number."""
        plain = kind.replace("_", "-")
        host = _host(base_url)
        names = [plain, *([host if host.startswith(plain) else f"{plain}-{host}"] if host else [])]
        used = {*self._known.values(), *self._taken}
        return next(
            (each for each in names if each not in used),
            next(each for n in count(2) if (each := f"{plain}-{n}") not in used),
        )


def _host(url: object) -> str | None:
    """The first word of the host in `url`; None for one that tells nothing."""
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return None
    word = (host or "").partition(".")[0]
    return (
        word
        if word and not word.isdigit() and word not in ("localhost", "host") and "$" not in word
        else None
    )


class _Said:
    """What one entry says of its provider."""

    def __init__(self, to: Translation, kind: str, params: Mapping[str, Any], of: Keys) -> None:
        self._to = to
        self._kind = kind
        self._upstream: Upstream = UPSTREAMS[kind]
        self._params = params
        self._of = of

    def settings(self) -> dict[str, tuple[Any, Keys]]:
        """Each setting of the provider with where it comes from."""
        made: dict[str, tuple[Any, Keys]] = {"type": (self._upstream.type, (*self._of, "model"))}
        if self._upstream.preset is not None:
            made["preset"] = (self._upstream.preset, (*self._of, "model"))
        base = self._first("api_base", "base_url")
        said = None if base is None else self._params[base]
        if base is not None:
            url = address(self._kind, self._to.written(said)) if isinstance(said, str) else said
            made["base_url"] = (url, (*self._of, base))
        elif self._upstream.base_url is not None:
            made["base_url"] = (address(self._kind, self._upstream.base_url), (*self._of, "model"))
        made |= self._credential(elsewhere=base is not None and self._upstream.preset != "azure")
        if self._upstream.type == "openai" and (own := self._first("organization")) is not None:
            made["organization"] = (self._to.written(self._params[own]), (*self._of, own))
        if (headers := self._first(*_HEADERS)) is not None:
            made["headers"] = (self._to.written(self._params[headers]), (*self._of, headers))
        return made

    def _credential(self, *, elsewhere: bool) -> dict[str, tuple[Any, Keys]]:
        key, of = self._params.get("api_key"), (*self._of, "api_key")
        if isinstance(key, str) and key.strip().lower() in _NO_KEYS:
            return {"auth": ({"type": "none"}, of)} if self._upstream.variable is not None else {}
        if not is_nothing(key):
            return {"api_key": (self._to.written(key), of)}
        if self._upstream.variable is None:
            return {}
        if elsewhere:
            hint = f"write `api_key: os.environ/{self._upstream.variable}` if it shall get that"
            self._to.warn(of, "no key is sent to an address of its own that none is said for", hint)
            return {}
        return {"api_key": (self._to.written(f"os.environ/{self._upstream.variable}"), of)}

    def _first(self, *names: str) -> str | None:
        """The first of these that says something."""
        return next((name for name in names if not is_nothing(self._params.get(name))), None)
