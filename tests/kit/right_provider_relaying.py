"""Providers that send on what was written for their wire, and are right."""

from __future__ import annotations

from wrong_provider_relaying import RelayedToy

from cases import right
from pointsman import replace
from pointsman.plugin import Call, Relaying, Request, original_of


@right("It sends on what its upstream speaks.")
class SendsOn(RelayedToy):
    """As the base does."""


@right("It lets one header of its wire pass.")
class PassesOneHeader(RelayedToy):
    def relaying(self, request: Request, call: Call) -> Relaying:
        given = original_of(call).headers
        headers = {"x-toy-version": given["x-toy-version"]} if "x-toy-version" in given else {}
        return replace(super().relaying(request, call), headers=headers)
