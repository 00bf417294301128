"""A certificate for servers of tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def certificate_in(folder: Path, names: str = "IP:127.0.0.1") -> Path:
    """A certificate for these `names`, as OpenSSL writes them, that signs itself, and beside it its key, `key.pem`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    asked = [
        *("req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-addext", f"subjectAltName={names}"),
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
    ]
    files = ["-out", str(folder / "cert.pem"), "-keyout", str(folder / "key.pem")]
    subprocess.run([openssl, *asked, *files], check=True, capture_output=True)
    return folder / "cert.pem"
