"""Sources of prices that are wrong in one thing."""

from __future__ import annotations

import socket
import time
from typing import Any, ClassVar

from cases import leave_a_thread, wrong
from pointsman.plugin import KnownModel, Price, PriceSource
from pointsman.testing.contract import PricesContract

HERE = "https://api.acme.test/v1"


class PriceTests(PricesContract):
    plugin: Any
    known: ClassVar = [("acme", "small", HERE), ("acme", "large", HERE)]

    def make(self) -> Any:
        return self.plugin()

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Listed(PriceSource):
    """As it should be."""

    tried_by = PriceTests
    prices: ClassVar[dict[str, float]] = {"small": 1.0, "large": 10.0}

    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        if type != "acme" or base_url != HERE or model not in self.prices:
            return None
        price = self.prices[model]
        return KnownModel(Price(input=price, output=5 * price), 128_000, ["completion", "tools"])


@wrong("PRICES-01", "It only inherits.", "PRICES-02")
class OnlyInherits(PriceSource):
    tried_by = PriceTests


@wrong("PRICES-01", "Its answer has to be awaited.", *(f"PRICES-0{n}" for n in (2, 3, 4, 6)))
class Awaited(Listed):
    async def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        return super().look(type, model, base_url)


@wrong("PRICES-02", "It knows the model by another name than its upstream does.")
class OtherNames(Listed):
    prices: ClassVar[dict[str, float]] = {"acme/small": 1.0, "acme/large": 10.0}


@wrong("PRICES-02", "It knows how long prompts may be, and no price.")
class WindowsOnly(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        return KnownModel(None, 128_000)


@wrong("PRICES-03", "It says a number in place of a price.")
class Numbers(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        found = super().look(type, model, base_url)
        return found and KnownModel(found.price.input)


@wrong("PRICES-03", "It says thousands of tokens as text.")
class Thousands(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        found = super().look(type, model, base_url)
        return found and KnownModel(found.price, "128k")  # type: ignore[arg-type]


@wrong("PRICES-03", "It has words of its own for what a model can do.")
class OwnWords(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        found = super().look(type, model, base_url)
        return found and KnownModel(found.price, None, ["function calling"])


@wrong("PRICES-04", "What it does not know costs as much as what it knows.")
class Average(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        return super().look(type, model, base_url) or super().look("acme", "small", HERE)


@wrong("PRICES-04", "It takes whatever speaks the API of OpenAI for OpenAI.")
class ByType(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        return super().look("acme", "small" if type == "openai" else model, HERE)


@wrong("PRICES-05", "It takes addresses apart that are none.")
class TakesApart(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        if base_url is not None and base_url.partition("://")[2][0] == "x":
            return None
        return super().look(type, model, base_url)


@wrong("PRICES-06", "Its prices rise each time somebody looks.")
class Rising(Listed):
    looks = 0

    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        found = super().look(type, model, base_url)
        if found is None:
            return None
        self.looks += 1
        return KnownModel(Price(input=self.looks, output=1))


@wrong("PRICES-07", "It asks the server what its models cost.")
class AsksThere(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=0.1).close()
        except OSError:
            pass
        return super().look(type, model, base_url)


@wrong("PRICES-07", "It keeps itself up to date by a thread.")
class UpToDate(Listed):
    def __init__(self) -> None:
        leave_a_thread()


@wrong("PRICES-08", "It reads all it knows each time.")
class ReadsAgain(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        time.sleep(0.006)
        return super().look(type, model, base_url)
