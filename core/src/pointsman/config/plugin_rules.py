"""What stands under `plugins`: which installed plugins may be used, and as what they must come."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from pointsman._internal.settings import setting
from pointsman.config.kinds import Word
from pointsman.config.named import Open
from pointsman.config.problems import KeyPath

if TYPE_CHECKING:
    from pointsman.plugins.control import Rules


def _pin(pin: str) -> str:
    from pointsman.plugins.control import HASH

    if re.fullmatch(r"[0-9a-f]{64}", pin):  # as the list shows it; it may look like a version
        raise ValueError(f"is what stands after {HASH}; write {HASH}{pin}")
    if pin.startswith(HASH):
        if not re.fullmatch(r"[0-9a-f]{64}", pin.removeprefix(HASH)):
            raise ValueError(
                "expected sha256: and 64 digits 0-9 and a-f, as `pointsman plugins list --json` shows"
            )
    elif not re.fullmatch(r"[0-9][0-9A-Za-z.+!_-]*", pin):
        raise ValueError("expected one version, such as 1.2.0, or sha256:… of what is installed; no range")
    return pin


Pin = Annotated[str, AfterValidator(_pin)]


class PluginsConfig(Open):
    """Which installed plugins may be used, and as what. Further keys are names that two of them offer."""

    allow: list[Word] | None = setting(
        default=None,
        description="the distributions beside pointsman's own that may be used; without it all, `[]`: none",
    )
    deny: list[Word] = setting(
        default_factory=list, description="distributions that may not be used, whatever `allow` says"
    )
    pin: dict[Word, Pin] = setting(
        default_factory=dict,
        description="what a distribution must be: a version, or `sha256:…`; anything else is not imported",
    )

    @property
    def rules(self) -> Rules | None:
        """What holds for the plugins of a router with this configuration; None where nothing is said."""
        if not self.model_fields_set:
            return None
        from pointsman.plugins.control import Rules  # most configurations let in what is installed

        allow = None if self.allow is None else tuple(self.allow)
        return Rules(choose=self.settings, allow=allow, deny=tuple(self.deny), pin=self.pin)

    def hidden(self) -> dict[str, Any]:
        return dict(self.more)  # names of distributions are no secrets

    def check(self, _context: object) -> None:
        from pointsman.plugins.known_names import our_distributions
        from pointsman.plugins.versions import canonical

        wrong = [
            _wrong(_no_distribution(name, value), (name,), value)
            for name, value in self.more.items()
            if not (isinstance(value, str) and value)
        ]
        wrong += [
            _wrong("is one of pointsman's own, which are not denied here; uninstall it", ("deny", n), each)
            for n, each in enumerate(self.deny)
            if canonical(each) in our_distributions()
        ]
        if wrong:
            raise ValidationError.from_exception_data("plugins", wrong, hide_input=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = super().__get_pydantic_json_schema__(core, handler)
        return {**schema, "additionalProperties": {"type": "string", "minLength": 1}}


def misnamed(said: PluginsConfig, installed: Iterable[str]) -> Iterator[tuple[KeyPath, str]]:
    """Where a distribution is named that is not installed, and the installed one that was probably meant."""
    from pointsman._internal.suggest import nearest
    from pointsman.plugins.versions import canonical

    known = {canonical(each): each for each in installed}
    lists = {"allow": said.allow or (), "deny": said.deny}
    names: list[tuple[KeyPath, str]] = [
        ((key, n), each) for key, some in lists.items() for n, each in enumerate(some)
    ]
    names += [(("pin", each), each) for each in said.pin]
    named = {canonical(each) for _place, each in names}
    for place, each in names:
        meant = None if canonical(each) in known else nearest(canonical(each), known.keys() - named)
        if meant is not None:
            yield ("plugins", *place), known[meant]


def rules_said(document: object) -> Rules | None:
    """What a document that nobody has checked says of plugins; where that cannot be, only ours are let in."""
    said = document.get("plugins") if isinstance(document, Mapping) else None
    if not isinstance(said, Mapping) or {"allow", "deny", "pin"}.isdisjoint(said):
        return None  # in the document of another program the key may mean anything
    try:
        read = PluginsConfig.model_validate(said)
    except ValidationError:
        return PluginsConfig(allow=[]).rules
    # References are not followed here, and one may stand for whom it keeps out.
    return PluginsConfig(allow=[]).rules if any("${" in each for each in read.deny) else read.rules


def _wrong(message: str, place: tuple[str | int, ...], value: object) -> InitErrorDetails:
    return {"type": PydanticCustomError("plugins", message), "loc": place, "input": value}


def _no_distribution(name: str, value: object) -> str:
    from pointsman._internal.suggest import nearest

    meant = nearest(name, ("allow", "deny", "pin"))
    if meant is not None and isinstance(value, list | dict):
        return f"unknown key {name!r}; did you mean {meant!r}?"
    return "expected the name of a distribution, such as pointsman-ollama: which one the name is to come from"
