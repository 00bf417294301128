"""What secrets and personal data look like. None has groups, so that all of them can be one pattern.

Sources: the forms of keys as their makers document them; cards by ISO/IEC 7812 with the check digit of
H. P. Luhn (US patent 2,950,048); accounts by ISO 13616 with the check of ISO 7064, MOD 97-10.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

# Texts are often JSON, such as the arguments of tools: the `n` of `\n` and the `c` of `\u003c` are no letters
# of the word that follows, and what took them in place would leave a backslash that spoils the JSON.
_ESCAPE_ENDS = r"(?<!\\[bfnrt])(?<!\\u[0-9A-Fa-f]{4})"
_IN_ESCAPE = r"(?<!\\(?=[bfnrtu]))"


# Chinese, Japanese, Thai and their like put no space between words, Korean none before what it adds to them:
# there anything can stand right beside a letter.
_UNSPACED = (
    r"[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ud7af\uf900-\ufaff\uff66-\uffdc"
    r"\U00020000-\U0003ffff]"
)
WORD_BEGINS = rf"(?<!\w(?<!{_UNSPACED}))"
"""Where no word goes on."""
WORD_ENDS = rf"(?!(?!{_UNSPACED})\w)"


def _begins(after: str) -> str:
    """Where no character of the class `after` stands before, unless it ends an escape of JSON."""
    return rf"(?<!{after}{_ESCAPE_ENDS}(?<!{_UNSPACED}))"


_LETTERS = r"A-Za-z\u00c0-\u08ff"  # from Latin to Arabic, of whom all put spaces between words
_KEY_BEGINS = _begins("[A-Za-z0-9_-]")
_NO_USER = r"\s/@\"'<>\\?#{}|^`"  # ends what may hold a password in a URL, also where that stands in JSON

SECRETS = {
    "private_key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"
    r"(?:[A-Za-z0-9+/=:,\\\s]|-(?!----END )){0,12000}+(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?",
    "api_key": _KEY_BEGINS
    + r"(?:sk-[A-Za-z0-9_-]{16,250}|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,250}|gh[pousr]_[A-Za-z0-9]{36,250}"
    r"|github_pat_[A-Za-z0-9_]{22,250}|glpat-[A-Za-z0-9_-]{20,250}|xox[abeoprs]-[A-Za-z0-9-]{10,250}"
    r"|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,100}|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9]))",
    "token": _KEY_BEGINS + r"(?:eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{0,1000}"
    r"|[Bb]earer [A-Za-z0-9._~+/=-]{16,4000})",
    "password": rf"(?:(?<=://)|(?<=:\\/\\/))[^:,;()\[\]{_NO_USER}]{{1,100}}:[^{_NO_USER}]{{1,200}}(?=@)",
}
PERSONAL = {
    "email": _begins(r"[\w.+-]")
    + _IN_ESCAPE
    + rf"[{_LETTERS}0-9_.+-]{{1,64}}@(?:[{_LETTERS}0-9-]{{1,63}}\.){{1,8}}[{_LETTERS}]{{2,24}}",
    # As they are written: in one, or in the groups that stand on them. Rows of numbers have other groups, and
    # what follows a point is the fraction of one.
    "card": _begins(r"[\w-]")
    + r"(?<!\d\.)[2-6](?:\d{12,18}|\d{3}(?:[ -]\d{4}){3}(?:[ -]\d{3})?|\d{3}[ -]\d{6}[ -]\d{4,5})(?!-\w)"
    + WORD_ENDS,
    "iban": _begins(r"\w") + r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?" + WORD_ENDS,
    "phone": _begins(r"[\w+]")
    + r"(?:\+[1-9]\d{0,2}[ ./-]?(?:\(\d{1,5}\)[ ./-]?)?\d{1,5}(?:[ ./-]?\d{2,5}){1,4}"
    r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})" + WORD_ENDS,
    "social_security_number": _begins(r"[\w-]") + r"\d{3}-\d{2}-\d{4}(?!-)" + WORD_ENDS,
}


_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:2[2-7]|35|5[0-8])\d{14}|3[47]\d{13}|3[0689]\d{12}|6\d{15,18}"
)
"""How long the numbers of each issuer are; milliseconds since 1970, for one, are no card's."""


def is_card(text: str) -> bool:
    """Whether an issuer has such numbers, and the check digit is right."""
    plain = text.replace(" ", "").replace("-", "")
    if _ISSUED.fullmatch(plain) is None:
        return False
    digits = [int(each) for each in reversed(plain)]
    doubled = [2 * each - 9 * (each > 4) for each in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the check digits of an account's number are right."""
    plain = text.replace(" ", "")
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


def is_phone(text: str) -> bool:
    """Whether there are as many digits as a number with `+` has at least, and it is none with a fraction."""
    if text[0] != "+":
        return True
    return sum(map(str.isdecimal, text)) >= 8 and re.fullmatch(r"\+\d+\.\d+", text) is None


def is_email(text: str) -> bool:
    """Whether it is not what is only written like one: a repository, or a picture for a fine screen."""
    return re.fullmatch(r"git@.*|.*@[1-4]x\.(?:png|jpe?g|gif|svg|webp)", text) is None


def is_key(text: str) -> bool:
    """Whether it is no class of a style sheet, such as `sk-folding-cube-dark`, nor a phrase."""
    return text[:3] != "sk-" or _is_random(text)


def is_token(text: str) -> bool:
    """Whether it is no `Bearer authentication-scheme`."""
    return text[:3] == "eyJ" or _is_random(text[1:])


def _is_random(text: str) -> bool:
    """Whether it has a digit or a capital letter; of 32 random letters and digits 99.9 in 100 texts have."""
    return re.search(r"[A-Z0-9]", text) is not None


REALLY: Mapping[str, Callable[[str], bool]] = {
    "api_key": is_key,
    "card": is_card,
    "email": is_email,
    "iban": is_iban,
    "phone": is_phone,
    "token": is_token,
}
"""What tells a match from what only looks like one."""

BEGINS: Mapping[str, str] = {"private_key": "-", "token": "[eBb]"}
"""With which characters the long ones begin."""
