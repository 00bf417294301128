"""The sink: the caller's thread puts events down, and a thread of its own sends them."""

from __future__ import annotations

import os
import socket
import threading
from queue import SimpleQueue
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pointsman.plugin import AuditContext, AuditSink, Event
from pointsman_syslog.messages import Messages
from pointsman_syslog.sockets import Way

_AGAIN = 1.0
"""Seconds after which a server that is down is tried once more."""


def _address(address: str) -> str:
    Way(address)
    return address


class SyslogSettings(BaseModel):
    """`audit: [{type: syslog, address: "tcp://logs.test:601"}]`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    address: Annotated[str, AfterValidator(_address)] = Field(
        default="unix:///dev/log", description="`udp://host:514`, `tcp://host:601` or `unix:///dev/log`"
    )
    facility: Literal[
        "user", "daemon", "auth",
        "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ] = Field(default="local0", description="under which the server sorts the messages")  # fmt: skip
    app: str = Field(default="pointsman", min_length=1, max_length=48, description="who says so")
    buffer: int = Field(default=10_000, ge=1, description="records that may wait; further ones are dropped")


class SyslogSink(AuditSink):
    """Sends each event as one message.

    While the server is down the records wait, in order, and the first one is tried once a second. Where the
    buffer is full they are dropped, and the next message that gets through is followed by one that says how
    many. What has waited when the sink is closed is tried once more.
    """

    def __init__(self, context: AuditContext) -> None:
        settings: SyslogSettings = context.settings
        self._log = context.log
        self._wall = context.clock.wall
        self._way = Way(settings.address)
        self._messages = Messages(
            facility=settings.facility, host=socket.gethostname(), app=settings.app, pid=os.getpid()
        )
        self._room = settings.buffer
        # A stream that nobody holds any more tells its end wherever the collector happens to run, in the
        # midst of a `put` too. This queue allows for that; one with a lock would wait for itself.
        self._waiting: SimpleQueue[tuple[float, Event] | None] = SimpleQueue()
        self._dropped = 0  # counted by those who call
        self._told = 0  # and by the thread: no number has two writers
        self._closing = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._send_all, name="pointsman-syslog", daemon=True)
        self._begun = False

    def __call__(self, event: Event) -> None:
        if not self._begun:  # not when it is made: to check a configuration starts nothing
            self._begun = True
            self._thread.start()
        if self._waiting.qsize() < self._room:
            self._waiting.put((self._wall(), event))
        else:
            self._dropped += 1

    def close(self) -> None:
        self._closing.set()
        self._waiting.put(None)
        if self._begun:
            self._thread.join()

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────

    def _send_all(self) -> None:
        lost = 0
        while (told := self._waiting.get()) is not None:
            # Once the sink closes, the first failure is the end: nobody may wait for a server that is down.
            if lost or not self._sent(self._message(*told)):
                lost += 1
            else:
                self._tell_of_dropped()
        if lost := lost + self._dropped - self._told:
            self._log.error("%d audit records are lost: %s", lost, self._trouble or "buffer full")
        self._way.close()

    def _tell_of_dropped(self) -> None:
        dropped = self._dropped - self._told
        if dropped and self._sent(self._messages.gap(dropped, self._wall())):
            self._told += dropped

    def _message(self, wall: float, event: Event) -> bytes:
        try:
            return self._messages.of(event, wall)
        except Exception as error:  # what plugins put into events can be anything
            self._log.error("an audit record cannot be written: %s", type(error).__name__)
            return self._messages.gap(1, wall)

    def _sent(self, message: bytes) -> bool:
        """Send a message, however long that takes; False when the sink was closed meanwhile."""
        while True:
            try:
                self._way.send(message)
            except OSError as error:
                self._complain(error.strerror or type(error).__name__)
                if self._closing.wait(_AGAIN):
                    return self._sent_at_last(message)
            else:
                self._complain("")
                return True

    def _sent_at_last(self, message: bytes) -> bool:
        try:
            self._way.send(message)
        except OSError:
            return False
        return True

    def _complain(self, trouble: str) -> None:
        """A server that is down is told of once, and again when it is for another reason."""
        if trouble != self._trouble:
            self._log.warning("syslog: %s", trouble or "messages are sent again")
            self._trouble = trouble
