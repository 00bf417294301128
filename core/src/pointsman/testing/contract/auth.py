"""What every source of credentials owes the router."""

from __future__ import annotations

import time

from pointsman.auth import Auth, Secret
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule

_LONGEST = 0.05
_ENOUGH = 1000


class AuthContract(Contract, terms=True):
    """What every source of credentials owes the router. Write `make`."""

    def make(self) -> Auth:
        """A fresh source, which has a credential if it ever has one."""
        raise NotImplementedError("write `make`, which returns a source of credentials")

    @rule("AUTH-01", "The first call that needs a credential would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("auth", self.make())

    @rule("AUTH-02", "Text that is no Secret is shown wherever somebody prints what holds it.")
    def test_what_it_gives_is_a_secret_or_none(self) -> None:
        current = self.make().current()
        assert current is None or isinstance(current, Secret), f"current() is a {type(current).__name__}"

    @rule("AUTH-03", "It is asked in every attempt, and all other calls wait meanwhile.")
    def test_it_answers_at_once(self) -> None:
        auth = self.make()
        for work in (auth.current, lambda: auth.rejected(Secret("of somebody else"))):
            took = []
            for _ in range(5):
                began = time.perf_counter()
                work()
                took.append(time.perf_counter() - began)
            # The least of them: a machine that is busy may stop any.
            assert min(took) < _LONGEST, f"it keeps the event loop for {min(took):.3f} s with every call"

    @rule(
        "AUTH-04",
        "The same rejected credential would be sent again and again, until the upstream shuts the account.",
    )
    def test_a_secret_that_was_rejected_is_followed_by_another_where_it_says_so(self) -> None:
        auth = self.make()
        for _ in range(_ENOUGH):
            secret = auth.current()
            if secret is None or not auth.rejected(secret):
                return
            assert auth.current() != secret, "rejected() says that there is another now, and there is none"
        raise AssertionError(f"rejected() still says that there is another, after {_ENOUGH} of them")

    @rule("AUTH-05", "The key would stand in every log line and traceback that mentions the source.")
    def test_nothing_shows_the_secret(self) -> None:
        auth = self.make()
        secret = auth.current()
        if secret is not None:
            assert secret.reveal() not in f"{auth!r} {auth}", "its repr shows the secret"
