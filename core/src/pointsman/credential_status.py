"""How it stands with the credentials of providers; no value of one is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, cast

from pointsman._internal.plugin_errors import OWN
from pointsman._internal.printable import printable_line
from pointsman.auth import is_plain
from pointsman.errors import CallError, NotReady
from pointsman.reports import CredentialStatus
from pointsman.routing.runtime import Setting
from pointsman.routing.snapshot import Upstream

if TYPE_CHECKING:
    from pointsman.http.renewal import Renewal
    from pointsman.http.rotation import CredentialRotation, InTurn


def credentials_of(upstreams: Mapping[str, Upstream], now: float, setting: Setting) -> list[CredentialStatus]:
    """Those of all providers that have any, at `now` of the router's clock; nothing is asked for them."""
    told: list[CredentialStatus] = []
    for name, upstream in upstreams.items():
        config = upstream.config
        if not config.credentials:
            continue
        source = config.credentials[0].type
        if is_plain(upstream.auth):
            told.append(CredentialStatus(name, source, "", "in_use", trouble=_trouble(upstream, setting)))
            continue
        from pointsman.http.rotation import CredentialRotation  # most credentials need nothing of it

        if isinstance(upstream.auth, CredentialRotation):
            told += _of_rotation(name, upstream.auth, now, setting.clock.wall())
        else:
            told.append(_renewed(name, source, cast("Renewal", upstream.auth)))
    return told


def _trouble(upstream: Upstream, setting: Setting) -> str:
    try:
        told = getattr(upstream.auth, "trouble", str)()
    except OWN as error:  # somebody else's code
        told = f"its source cannot tell: {type(error).__name__}"
    return printable_line(setting.scrubber.text(str(told)))


def _renewed(provider: str, source: str, renewal: Renewal) -> CredentialStatus:
    try:
        renewal.current()
    except (NotReady, CallError):
        return CredentialStatus(provider, source, "", "missing", trouble=renewal.trouble())
    return CredentialStatus(provider, source, "", "in_use", trouble=renewal.trouble())


def _of_rotation(
    provider: str, rotation: CredentialRotation, now: float, wall: float
) -> Iterator[CredentialStatus]:
    turns: Sequence[InTurn] = rotation.turns()
    used = rotation.whose_turn()
    for source in rotation.sources:
        own = [each for each in turns if each.of is source]
        trouble = source.renewal.trouble()
        if not own:
            yield CredentialStatus(provider, source.type, source.name, "missing", trouble=trouble)
        for each in own:
            yield _turn(provider, each, "in_use" if each is used else "ready", now, wall, trouble)


def _turn(provider: str, turn: InTurn, state: str, now: float, wall: float, trouble: str) -> CredentialStatus:
    rests_for = max(0.0, turn.rests_until - now) or None
    if not turn.is_valid(wall):
        state = "early" if wall < turn.not_before else "ended"
    elif rests_for is not None:
        state = "resting"
    elif trouble and turn.version is None:
        state = "missing" if state != "in_use" else state
    ends = turn.not_after != inf
    return CredentialStatus(
        provider,
        turn.of.type,
        turn.of.name if turn.version is None else turn.version.name,
        state,
        turn.not_before if turn.not_before != -inf else None,
        turn.not_after if ends else None,
        max(0.0, turn.not_after - wall) if ends else None,
        rests_for,
        trouble,
    )
