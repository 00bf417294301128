"""What every source of prices owes the router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pointsman.prices import KnownModel, Price, PriceSource
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import Company, least_seconds, network_refused

LookedFor = tuple[str, str, str | None]
"""What `look` is asked for: provider type, model and base URL."""

_NOBODYS: Sequence[LookedFor] = (
    ("nobody-1d6e", "model-of-nobody-1d6e", "https://nobody-1d6e.invalid/v1"),
    ("nobody-1d6e", "model-of-nobody-1d6e", None),
    ("openai", "model-of-nobody-1d6e", "https://nobody-1d6e.invalid/v1"),
)
_ODD_MODELS = ("", " ", "-", "/", "a/b/c", ":", "@", "%s", "(", "[a-", "\u00e9\n\0", "GPT", "x" * 10_000)
_ODD_ADDRESSES = (
    None,
    "",
    "http://",
    "http://[",
    "https://x:y/",
    "unix:/run/x.sock",
    "https://" + "x" * 10_000,
)
_WORDS = frozenset(("completion", "tools", "vision", "thinking", "embedding", "insert"))


class PricesContract(Contract, terms=True):
    """What every source of prices owes the router. Write `make` and `known`.

    Attributes:
        known: provider type, model and base URL of some models that it knows the price of.
        patience: seconds that one look may take, after the first.
    """

    known: ClassVar[Sequence[LookedFor]] = ()
    patience: ClassVar[float] = 0.005

    def make(self) -> PriceSource:
        """A fresh source of prices."""
        raise NotImplementedError("write `make`, which returns a source of prices")

    @rule("PRICES-01", "The first configuration that names it would fail to load.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("prices", self.make())

    @rule("PRICES-02", "A router with it would count no cost, and nobody would see why.")
    def test_it_knows_the_price_of_what_it_is_for(self) -> None:
        assert self.known, "write `known`: some models that it knows the price of"
        for asked in self.known:
            found = self.make().look(*asked)
            assert found is not None, f"it does not know {asked}"
            assert found.price is not None, f"it knows no price of {asked}"

    @rule("PRICES-03", "What is no price or no number of tokens keeps the router from starting.")
    def test_what_it_says_is_of_the_right_kind(self) -> None:
        source = self.make()
        for asked in (*self.known, *_NOBODYS, *_odd(self.known)):
            try:
                found = source.look(*asked)
            except Exception:  # noqa: S112 - another rule finds it
                continue
            _check(found, asked)

    @rule("PRICES-04", "A guess stands in bills as if somebody had known.")
    def test_what_nobody_knows_it_does_not_know_either(self) -> None:
        source = self.make()
        for asked in _NOBODYS:
            found = source.look(*asked)
            assert found is None or found.price is None, f"it has a price for {asked}, of which nobody knows"

    @rule("PRICES-05", "One strange name in a configuration would keep the router from starting.")
    def test_whatever_it_is_asked_for_it_raises_nothing(self) -> None:
        source = self.make()
        for asked in _odd(self.known):
            try:
                source.look(*asked)
            except Exception as error:
                raise AssertionError(f"asked for {asked!r:.200} it raises {error!r:.200}") from error

    @rule("PRICES-06", "The same call would cost something else after a reload.")
    def test_asked_again_it_says_the_same(self) -> None:
        source = self.make()
        first = [source.look(*asked) for asked in self.known]
        again = [source.look(*asked) for asked in reversed(self.known)]
        assert again[::-1] == first, "it says something else the second time"
        other = self.make()
        assert [other.look(*asked) for asked in self.known] == first, "another one of it says something else"

    @rule("PRICES-07", "A router would not start where there is no network, or wait for it at a first call.")
    def test_it_asks_nobody_over_the_network(self) -> None:
        company = Company()
        with network_refused() as wanted:
            source = self.make()
            for asked in (*self.known, *_NOBODYS):
                source.look(*asked)
        assert not wanted, f"it wanted to go to {wanted[0]}"
        assert not (left := company.newcomers()), f"still at work: {', '.join(left)}"

    @rule("PRICES-08", "Whoever first asks for a provider's other model has everybody's stream wait.")
    def test_it_is_quick(self) -> None:
        source = self.make()
        for asked in (*self.known, *_NOBODYS):
            source.look(*asked)  # what has to be read once is
            took = least_seconds(lambda asked=asked: source.look(*asked), limit=self.patience)  # type: ignore[misc]
            assert took < self.patience, f"it took {took:.3f} s to look for {asked}"


def _odd(known: Sequence[LookedFor]) -> list[LookedFor]:
    """What a configuration may hold, too: odd names at known addresses, known names at odd ones."""
    of = known or [("openai", "gpt-4o", "https://api.openai.com/v1")]
    odd: list[LookedFor] = []
    for type, model, base_url in of[:3]:
        odd += [(type, each, base_url) for each in _ODD_MODELS]
        odd += [(type, model, each) for each in _ODD_ADDRESSES]
        odd += [("", model, base_url), ("\u00e9" * 100, model, base_url)]
    return odd


def _check(found: Any, asked: LookedFor) -> None:
    if found is None:
        return
    assert isinstance(found, KnownModel), f"of {asked} it says a {type(found).__name__}, not a KnownModel"
    price, window, can = found.price, found.context_window, found.capabilities
    assert price is None or isinstance(price, Price), f"the price of {asked} is a {type(price).__name__}"
    if price is not None:
        for name, each in price:
            if isinstance(each, int | float):
                assert each >= 0, f"the price of {asked} has {each} for `{name}`"
    assert window is None or (type(window) is int and window > 0), f"the window of {asked} is {window!r}"
    if can is not None:
        assert not isinstance(can, str), f"the capabilities of {asked} are text; expected a sequence of names"
        assert _WORDS.issuperset(can), f"of {asked} it says {sorted(set(can) - _WORDS)}; there are {_WORDS}"
