"""What takes long at an upstream, as bytes for who waits for it: each step as it comes, and how it ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from pointsman.plugin import CallError, ProblemDetails
from pointsman_gateway.calls.problems import problem_of


class StepStream(AsyncIterator[bytes]):
    """Steps, of which the first is there already; closed before its end it ends what goes on.

    Args:
        steps: of the provider; closed by `aclose`.
        first: None where it has to be waited for.
        write: makes bytes of a step.
        failed: makes bytes of why it went wrong; nothing follows them.
        done: what says that it went well; b"" where the last step does.
    """

    def __init__(
        self,
        steps: Any,
        first: Any,
        request_id: str,
        *,
        write: Callable[[Any], bytes],
        failed: Callable[[ProblemDetails], bytes],
        done: bytes = b"",
    ) -> None:
        self._steps = steps
        self._first = first
        self._request_id = request_id
        self._write = write
        self._failed = failed
        self._done = done
        self._over = False

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        step, self._first = self._first, None
        try:
            step = step or await anext(self._steps)
        except StopAsyncIteration:
            self._over = True
            if not self._done:
                raise
            return self._done
        except CallError as error:
            self._over = True
            return self._failed(problem_of(error, self._request_id, to_operator=True))
        return self._write(step)

    async def aclose(self) -> None:
        """Stop; the upstream keeps what has arrived."""
        self._over = True
        await self._steps.aclose()
