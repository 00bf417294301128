"""`data:` URLs, however they are written."""

from __future__ import annotations

import pytest

from pointsman.data_urls import split


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("data:image/png;base64,QUJD", ("image/png", "QUJD")),
        ("DATA:image/PNG;BASE64,QUJD", ("image/png", "QUJD")),
        ("data:;base64,QUJD", ("", "QUJD")),
        ("data:image/png;name=a;base64,QU\nJD\r\n", ("image/png", "QUJD")),
        ("data:image/png;base64,QUI%3D", ("image/png", "QUI=")),
        ("data:image/png;base64,Q%2BJD", ("image/png", "Q+JD")),
        ("data:image/png;base64,", ("image/png", "")),
        ("https://x/data:image/png;base64,QUJD", None),
        ("data", None),
        ("", None),
    ],
)
def test_the_parts_of_a_url_are(url: str, parts: tuple[str, str] | None) -> None:
    assert split(url) == parts


@pytest.mark.parametrize(
    "url", ["data:", "data:text/plain,hello", "data:image/png;base64", "data:base64,QUJD"]
)
def test_a_data_url_without_base64_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        split(url)
