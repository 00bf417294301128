"""A router that runs, and the addresses of a gateway: free, or held by whom."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pointsman_cli.doctor.configuration import Given
from pointsman_cli.doctor.findings import Checked, fail, ok, warn
from pointsman_cli.errors import Failed
from pointsman_cli.operating import Process, configured_socket, sockets_at
from pointsman_cli.overview import line_of_problem

_USUAL = "127.0.0.1:4000"
_LISTENING = "0A"
"""The state in /proc/net/tcp."""


def running(case: Given) -> Iterator[Checked]:
    """The routers at the control socket of the configuration, and what configuration they refused."""
    from pointsman.errors import ConfigError

    try:
        place = None if "control" not in case.data else configured_socket(str(case.file))
    except ConfigError as error:
        yield fail("control", error.message)
        return
    if place is None:
        yield ok("control", "no control socket is configured")
        return
    found = False
    for process in _processes(place):
        found = True
        yield _of_process(process)
    if not found:
        yield ok("control", f"no router runs at {place}")


def _processes(place: Path) -> Iterator[Process]:
    """Those that listen there; each is connected until the next one."""
    paths = sockets_at(place)
    for path in [place] if paths is None else paths:
        try:
            process = Process(path)
        except Failed:
            continue
        with process.line:
            yield process


def _of_process(process: Process) -> Checked:
    about = f"process {process.path.name}"
    try:
        about = f"process {process.pid}"
        status = process.line.ask("status")
        said = status.get("configuration") or {}
    except Failed as error:
        return fail(about, str(error))
    if isinstance(said, Mapping) and (refused := said.get("refused")):
        problems = [line_of_problem(each) for each in refused["problems"]]
        rest = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        said = f"runs on an older configuration; it refused the file: {'; '.join(problems[:3])}{rest}"
        return warn(about, said, "correct that, and it is taken up: pointsman config check")
    if why := status.get("budgets_trouble"):
        said = f"cannot keep what was spent of budgets: {why}"
        return warn(about, said, "docs/spending.md says what becomes of it meanwhile")
    return ok(about, f"runs, pointsman {process.about['version']}")


def addresses(case: Given) -> Iterator[Checked]:
    """Whether a gateway could listen where the configuration has it listen."""
    section = case.data.get("gateway")
    section = section if isinstance(section, Mapping) else {}
    places = [*_listed(section.get("listen", _USUAL))]
    surfaces = section.get("surfaces")
    parts = [section.get("health"), *(surfaces.values() if isinstance(surfaces, Mapping) else ())]
    places += [each for part in parts if isinstance(part, Mapping) for each in _listed(part.get("listen"))]
    pids = _own(case)
    for place in dict.fromkeys(places):
        yield _free(place, pids)
    if isinstance(tls := section.get("tls"), Mapping) and case.file is not None:
        yield from _certificate(tls, Path(case.files[0] if case.files else case.file).parent)


def _certificate(tls: Mapping[str, Any], directory: Path) -> Iterator[Checked]:
    """Whether a gateway could use the files of its certificate: `config check` opens none."""
    import ssl

    about, cert, key = "gateway.tls", directory / str(tls.get("cert")), directory / str(tls.get("key"))
    for path in (cert, key):
        if (why := _unreadable(path)) is not None:
            yield fail(about, f"{path}: {why}", "the gateway does not start without it")
            return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, lambda: b"")
    except (OSError, ValueError):
        said = f"{cert} and {key} are no certificate with its key, in PEM and without a passphrase"
        yield fail(about, said, "the gateway does not start with them")
    else:
        yield ok(about, f"{cert} with its key")


def _unreadable(path: Path) -> str | None:
    """Why `path` cannot be read; None where it can."""
    try:
        if not path.is_file():
            return "is no file" if path.exists() else "No such file or directory"
        path.open("rb").close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _listed(value: Any) -> list[str]:
    return [
        each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str) and each
    ]


def _own(case: Given) -> set[int]:
    """The processes at the control socket: where one of them holds a port, that is as it should be."""
    from pointsman.errors import ConfigError

    with suppress(ConfigError, Failed, ValueError):  # `running` says what is wrong there
        place = None if "control" not in case.data else configured_socket(str(case.file))
        return {process.pid for process in _processes(place)} if place is not None else set()
    return set()


def _free(place: str, ours: set[int]) -> Checked:
    about = f"gateway at {place}"
    host, colon, port = place.rpartition(":")
    if place.startswith("unix:") or not colon or not port.isdigit():
        return ok(about, "a socket in the file system" if place.startswith("unix:") else "is not looked at")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: what only waits for its last packets is no reason.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            return _held(about, error, int(port), ours)
        except OverflowError:
            return fail(about, "there is no such port")
    return ok(about, "free")


def _held(about: str, error: OSError, port: int, ours: set[int]) -> Checked:
    if error.errno == errno.EACCES:
        return fail(about, "this user may not listen there", "choose a port above 1023")
    if error.errno != errno.EADDRINUSE:
        return fail(
            about, f"nobody can listen there: {error.strerror or error}", "is it an address of this machine?"
        )
    pids = holders(port)
    if pids and pids <= ours:
        return ok(about, f"held by the router that runs, process {', '.join(map(str, sorted(pids)))}")
    who = ", ".join(f"process {pid}{_name(pid)}" for pid in sorted(pids)) or "another process"
    return warn(
        about, f"held by {who}", "end that, or have the gateway listen elsewhere: `gateway: {listen: …}`"
    )


def holders(port: int, *, proc: Path = Path("/proc")) -> set[int]:
    """The processes that listen at a TCP port, as far as this user may know; only Linux tells."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                parts = line.split()
                if parts[3] == _LISTENING and int(parts[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{parts[9]}]")
    found: set[int] = set()
    for process in proc.glob("[0-9]*") if inodes else ():
        with suppress(OSError):  # of others, or gone meanwhile
            if any(os.readlink(each) in inodes for each in (process / "fd").iterdir()):
                found.add(int(process.name))
    return found


def _name(pid: int) -> str:
    with suppress(OSError):
        return f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    return ""
