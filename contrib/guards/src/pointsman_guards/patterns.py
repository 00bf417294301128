"""What secrets and personal data look like. None has groups, so that all of them can be one pattern.

Sources: the forms of keys as their makers document them; cards by ISO/IEC 7812 with the check digit of
H. P. Luhn (US patent 2,950,048); accounts by ISO 13616 with the check of ISO 7064, MOD 97-10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

_KEY_BEGINS = r"(?<![A-Za-z0-9_-])"

SECRETS = {
    "private_key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=:,\\\s-]{0,12000}",
    "api_key": _KEY_BEGINS
    + r"(?:sk-[A-Za-z0-9_-]{16,250}|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,250}|gh[pousr]_[A-Za-z0-9]{36,250}"
    r"|github_pat_[A-Za-z0-9_]{22,250}|glpat-[A-Za-z0-9_-]{20,250}|xox[abeoprs]-[A-Za-z0-9-]{10,250}"
    r"|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,100}|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9]))",
    "token": _KEY_BEGINS + r"(?:eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{0,1000}"
    r"|[Bb]earer [A-Za-z0-9._~+/=-]{16,4000})",
    "password": r"(?<=://)[^\s/:@]{1,100}:[^\s/@]{1,200}(?=@)",
}
PERSONAL = {
    "email": r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}",
    "card": r"(?<![\w-])\d(?:[ -]?\d){12,18}(?!\w)",
    "iban": r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)",
    "phone": r"(?<![\w+])(?:\+\d{1,3}[ ./-]?(?:\(\d{1,5}\)[ ./-]?)?\d{1,5}(?:[ ./-]?\d{2,5}){1,4}"
    r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?!\w)",
    "social_security_number": r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])",
}


def is_card(text: str) -> bool:
    """Whether the check digit of a card's number is right."""
    digits = [int(each) for each in reversed(text) if each.isdecimal()]
    doubled = [2 * each - 9 * (each > 4) for each in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and any(digits)


def is_iban(text: str) -> bool:
    """Whether the check digits of an account's number are right."""
    plain = text.replace(" ", "")
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


REALLY: Mapping[str, Callable[[str], bool]] = {"card": is_card, "iban": is_iban}
"""What tells a match from what only looks like one."""
