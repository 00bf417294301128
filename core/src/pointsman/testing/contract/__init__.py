"""What every plugin owes the router, as classes of tests to inherit. Needs pytest and hypothesis.

    class TestAcme(ProviderContract):
        factory = AcmePlugin().pointsman_providers()[0]
        chat_ok = CannedChat(body=b'{"text": "The sky is blue"}', text="The sky is blue")

A test of a contract is a rule with an id and a reason. It may be marked as failing, with a reason; it cannot
be replaced or removed.
"""

from importlib.util import find_spec

if missing := [name for name in ("pytest", "hypothesis") if find_spec(name) is None]:
    raise ModuleNotFoundError(
        f"the contracts of plugins need {' and '.join(missing)}, which nobody has installed here: "
        "pip install 'pointsman[testing]'",
        name=missing[0],
    )

from pointsman.testing.contract.audit import AuditContract
from pointsman.testing.contract.auth import AuthContract
from pointsman.testing.contract.canned import (
    CannedBreak,
    CannedChat,
    CannedEmbeddings,
    CannedError,
    CannedModels,
    CannedStream,
)
from pointsman.testing.contract.command import CommandContract
from pointsman.testing.contract.dialect import DialectContract
from pointsman.testing.contract.discovery import DiscoveryContract
from pointsman.testing.contract.distribution import PluginContract
from pointsman.testing.contract.enforcement import Contract, rules_of
from pointsman.testing.contract.guard import GuardContract
from pointsman.testing.contract.live import Live, LiveContract
from pointsman.testing.contract.prices import PricesContract
from pointsman.testing.contract.provider import ProviderContract
from pointsman.testing.contract.retry import RetryContract
from pointsman.testing.contract.rules import Rule, rule
from pointsman.testing.contract.section import SectionContract
from pointsman.testing.contract.selector import SelectorContract
from pointsman.testing.contract.service import ServiceContract
from pointsman.testing.contract.state import StateContract
from pointsman.testing.contract.strategy import FakeMember, StrategyContract
from pointsman.testing.contract.surface import CannedAsk, SurfaceContract
from pointsman.testing.contract.transport import TransportContract

__all__ = [
    "AuditContract",
    "AuthContract",
    "CannedAsk",
    "CannedBreak",
    "CannedChat",
    "CannedEmbeddings",
    "CannedError",
    "CannedModels",
    "CannedStream",
    "CommandContract",
    "Contract",
    "DialectContract",
    "DiscoveryContract",
    "FakeMember",
    "GuardContract",
    "Live",
    "LiveContract",
    "PluginContract",
    "PricesContract",
    "ProviderContract",
    "RetryContract",
    "Rule",
    "SectionContract",
    "SelectorContract",
    "ServiceContract",
    "StateContract",
    "StrategyContract",
    "SurfaceContract",
    "TransportContract",
    "rule",
    "rules_of",
]
