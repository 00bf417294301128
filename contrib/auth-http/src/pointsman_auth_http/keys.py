"""Keys that sign, and those that verify, by the names that RFC 9421 has for their algorithms."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Callable
from typing import Literal, get_args

from pointsman.plugin import ConfigError

Algorithm = Literal["ed25519", "ecdsa-p256-sha256", "hmac-sha256", "rsa-pss-sha512"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
_LEAST_SECRET = 16
_LEAST_RSA = 2048

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]
"""Whether the first is the signature of the second."""


def shared_secret(text: str, source: str) -> Sign:
    """Signs with the secret that is `text` in base64. Raises ConfigError naming `source`."""
    try:
        secret = b64decode(text.strip(), validate=True)
    except ValueError:
        raise ConfigError(f"the secret from {source} is not in base64") from None
    if len(secret) < _LEAST_SECRET:
        raise ConfigError(f"the secret from {source} has {len(secret)} bytes, of {_LEAST_SECRET} at least")
    return lambda data: hmac.digest(secret, data, "sha256")


def private_key(pem: bytes, algorithm: Algorithm, source: str) -> Sign:
    """Signs with `algorithm` and the private key in `pem`. Raises ConfigError naming `source`."""
    # Here, for it takes longer to import than all of ours, and shared secrets need none of it.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
    from cryptography.hazmat.primitives.hashes import SHA256, SHA512
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{source} is no private key in PEM without a password") from None
    match algorithm, key:
        case "ed25519", ed25519.Ed25519PrivateKey():
            return key.sign
        case "ecdsa-p256-sha256", ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):

            def ecdsa(data: bytes) -> bytes:
                r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")

            return ecdsa
        case "rsa-pss-sha512", rsa.RSAPrivateKey() if key.key_size >= _LEAST_RSA:
            pss = padding.PSS(mgf=padding.MGF1(SHA512()), salt_length=64)
            return lambda data: key.sign(data, pss, SHA512())
    raise ConfigError(f"the key in {source} is none for {algorithm}")


def verifying_secret(text: str, source: str) -> Verify:
    """Verifies what `shared_secret` signs. Raises: as that."""
    sign = shared_secret(text, source)
    return lambda signature, data: hmac.compare_digest(signature, sign(data))


def public_key(pem: bytes, algorithm: Algorithm, source: str) -> Verify:
    """Verifies with `algorithm` and the public key in `pem`. Raises ConfigError naming `source`."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
    from cryptography.hazmat.primitives.hashes import SHA256, SHA512
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{source} is no public key in PEM") from None

    check: Callable[[bytes, bytes], None]
    match algorithm, key:
        case "ed25519", ed25519.Ed25519PublicKey():
            check = key.verify
        case "ecdsa-p256-sha256", ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):

            def check(signature: bytes, data: bytes) -> None:
                r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
                if len(signature) != 64:
                    raise InvalidSignature
                key.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))
        case "rsa-pss-sha512", rsa.RSAPublicKey() if key.key_size >= _LEAST_RSA:
            pss = padding.PSS(mgf=padding.MGF1(SHA512()), salt_length=64)

            def check(signature: bytes, data: bytes) -> None:
                key.verify(signature, data, pss, SHA512())
        case _:
            raise ConfigError(f"the key in {source} is none for {algorithm}")

    def verify(signature: bytes, data: bytes) -> bool:
        try:
            check(signature, data)
        except InvalidSignature:
            return False
        return True

    return verify
