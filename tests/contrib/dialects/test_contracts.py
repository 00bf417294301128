"""The contract of dialects, kept by all of these."""

from __future__ import annotations

from pointsman_dialects.contracts import OfBalancer, OfLiteLlm, OfServices


class TestServices(OfServices):
    pass


class TestBalancer(OfBalancer):
    pass


class TestLiteLlm(OfLiteLlm):
    pass
