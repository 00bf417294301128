"""`model_list`: each entry is a deployment of the model that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman_dialects.keys import Keys
from pointsman_dialects.litellm.document import Entry, Translation, listed, mapping
from pointsman_dialects.litellm.providers import Providers
from pointsman_dialects.litellm.shares import put_levels, put_weights
from pointsman_dialects.litellm.upstreams import UPSTREAMS, split
from pointsman_dialects.litellm.values import is_nothing, number, per_million, whole

_OF_THE_PROVIDER = (
    "model", "custom_llm_provider", "api_base", "base_url", "api_key", "organization", "extra_headers",
    "headers", "api_version",
)  # fmt: skip
_CREDENTIALS = "litellm_credential_name"
_SHARES = ("weight", "rpm", "tpm", "order")
_OPTIONS = {
    **{name: name for name in ("temperature", "top_p", "max_tokens", "seed", "stop", "presence_penalty")},
    **{
        name: name
        for name in ("frequency_penalty", "top_k", "reasoning_effort", "user", "parallel_tool_calls")
    },
    "max_completion_tokens": "max_tokens",
    "logit_bias": "logit_bias",
    "extra_body": "extra",
}
"""Options of calls, as LiteLLM and we call them; what a caller says wins there and here."""
_OLLAMAS = ("num_ctx", "num_gpu", "num_thread", "num_predict", "mirostat", "repeat_penalty", "keep_alive")
_PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached",
    "cache_creation_input_token_cost": "cache_write",
}
_CAN = {
    "supports_function_calling": "tools",
    "supports_tool_choice": "tools",
    "supports_vision": "vision",
    "supports_reasoning": "thinking",
}
_MODES = {
    "chat": "completion",
    "completion": "completion",
    "responses": "completion",
    "embedding": "embedding",
}
_SAID_ELSEWHERE = ("id", "mode", "max_input_tokens", "description", *_PRICES, *_CAN)


def put_models(to: Translation) -> None:
    """Put every entry that can be asked here, and how calls are shared among those of one model."""
    entries = to.said.get("model_list")
    if not isinstance(entries, list) or not entries:
        to.native.problem(("model_list",), "expected a list of deployments")
        return
    names = [each.get("model_name") for each in entries if isinstance(each, Mapping)]
    made = _Deployments(to, Providers(to, _first_words(names)))
    for n, entry in enumerate(entries):
        made.put(n, entry)
    if not made.of_models and not to.native.problems:
        to.native.problem(
            ("model_list",), "none of these can be asked here", "docs/dialects.md says which can"
        )
    for several in made.of_models.values():
        put_levels(to, several)
    made.name_again()
    uneven = [put_weights(to, several) for several in made.of_models.values()]
    to.shares = any(uneven)


def _first_words(names: list[Any]) -> frozenset[str]:
    texts = [each for each in names if isinstance(each, str) and "*" not in each]
    return frozenset(each.partition("/")[0] for each in texts if "/" in each)


class _Deployments:
    """The entries that were put, and what those that are alike have in common."""

    def __init__(self, to: Translation, providers: Providers) -> None:
        self._to = to
        self._providers = providers
        self.of_models: dict[str, list[Entry]] = {}

    def put(self, n: int, said: object) -> None:
        """Put the entry number `n`."""
        of: Keys = ("model_list", n)
        entry = mapping(said)
        params = self._with_credentials(mapping(entry.get("litellm_params")), of)
        public, model = entry.get("model_name"), params.get("model")
        if not isinstance(public, str) or not isinstance(model, str):
            message = "expected `model_name`, and `litellm_params` with a `model`"
            self._to.native.problem(of, message)
            return
        info, at = mapping(entry.get("model_info")), (*of, "litellm_params")
        kind = self._kind(public, model, params, info, of)
        if kind is None:
            return
        _kind, upstream = split(model, _text(params.get("custom_llm_provider")))
        several = self.of_models.setdefault(public, [])
        path: Keys = ("models", public, "deployments", len(several))
        provider = self._providers.name(kind, params, at)
        self._to.models.add(public)
        self._to.put(path, {"provider": provider, "model": upstream}, of=(*at, "model"))
        several.append(Entry(path, params, info, of))
        _Details(self._to, path, params, at, UPSTREAMS[kind].type).put()
        _Info(self._to, path, params, info, of).put()
        for key in sorted(entry.keys() - {"model_name", "litellm_params", "model_info"}):
            self._to.leave_out((*of, key), entry[key])

    def _with_credentials(self, params: Mapping[str, Any], of: Keys) -> Mapping[str, Any]:
        """`params` with what the entry of `credential_list` says that they name."""
        name = params.get(_CREDENTIALS)
        if is_nothing(name):
            return params
        for each in listed(self._to.said.get("credential_list")):
            if mapping(each).get("credential_name") == name:
                return {**mapping(mapping(each).get("credential_values")), **params}
        self._to.warn(
            (*of, "litellm_params", _CREDENTIALS), "names no entry of `credential_list`; it is left out"
        )
        return params

    def _kind(
        self, public: str, model: str, params: Mapping[str, Any], info: Mapping[str, Any], of: Keys
    ) -> str | None:
        """What its upstream is; None, with a warning, where nobody here speaks to such."""
        at = (*of, "litellm_params", "model")
        kind, upstream = split(model, _text(params.get("custom_llm_provider")))
        mode = info.get("mode")
        if isinstance(mode, str) and mode not in _MODES:
            self._to.warn(
                (*of, "model_info", "mode"), f"there are no calls of this mode here; {public!r} is left out"
            )
        elif kind not in UPSTREAMS:
            what = f"LiteLLM's {kind!r}" if kind else "what names no provider"
            somewhere = bool({"api_base", "base_url"} & params.keys())
            hint = (
                "write `openai/…` if what is at its `api_base` speaks the API of OpenAI"
                if somewhere
                else None
            )
            self._to.warn(at, f"{what} cannot be asked here; {public!r} is left out", hint)
        elif not upstream:
            self._to.warn(at, f"names no model; {public!r} is left out")
        elif public.count("*") > 1 or upstream.count("*") > public.count("*"):
            said = f"such a pattern cannot be asked for here; {public!r} is left out"
            self._to.warn(at, said, "one `*` in both, such as `openai/*`")
        else:
            return kind
        return None

    def name_again(self) -> None:
        """Give a name to each deployment that is one of another model's in all but what is said of it.

        At LiteLLM each entry has a state of its own; here one id is one deployment, and says one thing.
        """
        first: dict[tuple[Any, Any], tuple[dict[str, Any], str]] = {}
        named: set[str] = set()
        for public, entries in self.of_models.items():
            inside: set[tuple[Any, Any]] = set()
            for entry in entries:
                there = dict(self._to.at(entry.path))
                own = {key: value for key, value in there.items() if key not in ("weight", "priority")}
                same = (there["provider"], there["model"])
                other, _public = first.setdefault(same, (own, public))
                star = "*" in str(there["model"]) and len(own) > 2
                if star or same in inside or own != other:
                    name = _name(public, there, named)
                    self._to.put((*entry.path, "name"), name, of=(*entry.of, "model_name"))
                inside.add(same)


def _name(public: str, deployment: Mapping[str, Any], named: set[str]) -> str:
    """An id that no other deployment has."""
    if "*" in str(deployment["model"]):
        wanted = f"any-{deployment['provider']}/{deployment['model']}"
    else:
        wanted = f"{public}@{deployment['provider']}"
    name, n = wanted, 1
    while name in named:
        n += 1
        name = wanted.replace("any-", f"any-{n}-", 1) if "*" in wanted else f"{wanted}-{n}"
    named.add(name)
    return name


class _Details:
    """What `litellm_params` say of one deployment, beside who it is."""

    def __init__(self, to: Translation, path: Keys, params: Mapping[str, Any], of: Keys, type: str) -> None:
        self._to = to
        self._path = path
        self._params = params
        self._of = of
        self._type = type

    def put(self) -> None:
        """All of it; what has no counterpart is warned of."""
        for key, value in self._params.items():
            if key in _OF_THE_PROVIDER or key in _PRICES or key in _CAN or is_nothing(value):
                continue
            self._one(key, value, (*self._of, key))
        if not is_nothing(self._params.get("api_version")):
            said = "Azure is asked by its API of version v1, at `…/openai/v1`, which has no versions by date"
            self._to.warn((*self._of, "api_version"), said)

    def _one(self, key: str, value: object, of: Keys) -> None:
        model: Keys = self._path[:2]
        if key in ("rpm", "tpm"):
            self._limit("requests" if key == "rpm" else "tokens", value, of)
        elif key == "max_parallel_requests":
            self._to.put((*self._path, "max_in_flight"), _as_number(value), of=of)
        elif key in ("timeout", "request_timeout"):
            self._to.put((*self._path, "timeouts", "attempt"), _as_number(value), of=of)
        elif key == "stream_timeout":
            for each in ("first_token", "idle"):
                self._to.put((*self._path, "timeouts", each), _as_number(value), of=of)
        elif key in ("num_retries", "max_retries"):
            retries = whole(value)
            if retries is not None and 0 <= retries < 20 and not self._to.holds((*model, "retry")):
                self._to.put((*model, "retry"), {"type": "exponential", "attempts": retries + 1}, of=of)
            else:
                self._to.warn(of, "is left out: a model says once how often it is asked, 20 times at most")
        elif key == "drop_params":
            if value is True:
                self._to.put((*model, "unsupported"), "drop", of=of)
        elif key in _OPTIONS:
            found = number(value)
            plain = value if found is None or key in ("stop", "user") else found
            self._to.put((*self._path, "defaults", _OPTIONS[key]), plain, of=of)
        elif self._type == "ollama" and key in _OLLAMAS:
            self._ollama(key, value, of)
        elif key not in (*_SHARES, _CREDENTIALS):
            self._to.leave_out(of, value)

    def _limit(self, what: str, value: object, of: Keys) -> None:
        rate = whole(value)
        if rate is None or rate < 1:
            self._to.warn(of, "is no number of 1 or more; it is left out")
        else:
            self._to.put((*self._path, "limits", what), f"{rate}/min", of=of)

    def _ollama(self, key: str, value: object, of: Keys) -> None:
        inside = (key,) if key == "keep_alive" else ("options", key)
        self._to.put((*self._path, "options", *inside), value, of=of)


class _Info:
    """What is known of the upstream's model, by `model_info`, or beside the address."""

    def __init__(
        self, to: Translation, path: Keys, params: Mapping[str, Any], info: Mapping[str, Any], of: Keys
    ) -> None:
        self._to = to
        self._path = path
        self._said = {
            key: (params[key], (*of, "litellm_params", key)) for key in (*_PRICES, *_CAN) if key in params
        }
        self._said |= {key: (value, (*of, "model_info", key)) for key, value in info.items()}

    def put(self) -> None:
        """All of it; what has no counterpart is warned of."""
        self._price()
        window, of = self._said.get("max_input_tokens", (None, ()))
        if (tokens := whole(window)) is not None and tokens > 0:
            self._to.put((*self._path, "context_window"), tokens, of=of)
        self._capabilities()
        for key, (value, at) in self._said.items():
            if key not in _SAID_ELSEWHERE:
                self._to.leave_out(at, value)

    def _price(self) -> None:
        said = {ours: self._said[key] for key, ours in _PRICES.items() if key in self._said}
        prices = {ours: (per_million(value), of) for ours, (value, of) in said.items()}
        if not {"input", "output"} <= prices.keys():
            for _value, of in said.values():
                self._to.warn(of, "a price is that of the prompt and that of the answer; it is left out")
            return
        for ours, (price, of) in prices.items():
            self._to.put((*self._path, "price", ours), said[ours][0] if price is None else price, of=of)

    def _capabilities(self) -> None:
        path: Keys = (*self._path[:2], "capabilities", "can")
        mode, at = self._said.get("mode", (None, ()))
        able = [(_CAN[key], of) for key, (value, of) in self._said.items() if key in _CAN and value is True]
        if (not able and mode != "embedding") or self._to.holds(path):
            return
        first = _MODES.get(mode, "completion") if isinstance(mode, str) else "completion"
        self._to.put(path, list(dict.fromkeys([first, *(each for each, _of in able)])), of=at or able[0][1])


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and not is_nothing(value) else None


def _as_number(value: object) -> Any:
    """The number that stands there in quotes; else what stands there, which its own check refuses."""
    found = number(value)
    return value if found is None else found
