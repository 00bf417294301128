"""The kit: what every guard owes the router."""

from pointsman.plugin import ChatRequest, Guard, Message, system_rng
from pointsman.testing import Contexts, SystemClock
from pointsman.testing.contract import GuardContract
from pointsman_house_style import plugin


class TestHouseStyle(GuardContract):
    refused = (ChatRequest("public", (Message.user("plum 7291 " * 20),)),)

    def make(self) -> Guard:
        (factory,) = plugin.pointsman_guards()
        assert factory.settings is not None
        settings = factory.settings.model_validate(
            {"say_first": "Be plain.", "longest": 150, "instead": {"plum": "pear"}}
        )
        return factory.make(Contexts(SystemClock(), system_rng()).guard("house_style", settings))
