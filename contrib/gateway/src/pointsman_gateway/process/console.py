"""Where the console of a gateway is, and a browser that shows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webbrowser import BaseBrowser

    from pointsman_gateway.gateway import Gateway

NAME = "console"
"""Of the surface, and of its path."""
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound to


def console_url(gateway: Gateway) -> str | None:
    """The address of the console for a browser on this machine; None where there is none."""
    prefix = gateway.prefix_of(NAME)
    if prefix is None:
        return None
    for place, at in gateway.listeners.items():
        if at.path is None and not place.health and place.scope in ("", NAME):
            host = _ANYWHERE.get(at.host) or (f"[{at.host}]" if ":" in at.host else at.host)
            return f"{gateway.scheme}://{host}:{at.port}{prefix}/{NAME}"
    return None


def show(
    url: str | None, complain: Callable[[str], None], environ: Mapping[str, str] = os.environ
) -> Thread | None:
    """Have a browser show `url`, beside all else; what keeps it from that is one line to `complain`.

    Returns: what waits for the browser; None where there is nothing to wait for.
    """
    if url is None:
        complain("error: there is no console to open; pip install pointsman-console")
    elif environ.get("CI"):
        complain(f"error: no browser is opened where CI is set; the console is at {url}")
    elif (browser := _browser(environ)) is None:
        complain(f"error: no browser was found here; the console is at {url}")
    else:
        waiting = Thread(target=_open, args=(browser, url, complain), daemon=True, name="browser")
        waiting.start()
        return waiting
    return None


def _browser(environ: Mapping[str, str]) -> BaseBrowser | None:
    """One that has a window of its own, unless somebody wants another."""
    import webbrowser  # few want one

    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return None
    # This kind runs a command in the terminal: a browser for text, or whatever BROWSER says.
    return found if environ.get("BROWSER") or type(found) is not webbrowser.GenericBrowser else None


def _open(browser: BaseBrowser, url: str, complain: Callable[[str], None]) -> None:
    from webbrowser import Error

    try:
        opened = browser.open(url)
    except (OSError, Error):
        opened = False
    if not opened:
        complain(f"error: the browser did not open; the console is at {url}")
