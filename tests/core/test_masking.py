from __future__ import annotations

import pytest

from apps.core.masking import MASK, is_secret_name, mask_recipient, mask_secrets, mask_url


@pytest.mark.parametrize(
    "name", ["Authorization", "X-Api-Key", "api_key", "Cookie", "password", "X-Auth-Token", "client_secret"]
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["X-Team", "secret_ref", "Content-Type", "url", "Accept"])
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_are_masked_wherever_they_are() -> None:
    value = {"headers": {"Authorization": "Bearer x", "X-Team": "pay"}, "list": [{"token": 5}], "password": ""}
    assert mask_secrets(value) == {
        "headers": {"Authorization": MASK, "X-Team": "pay"},
        "list": [{"token": MASK}],
        "password": "",
    }


@pytest.mark.parametrize(
    ("recipient", "shown"),
    [
        ("", ""),
        ("ann@example.com", "a•••@example.com"),
        ("Ann <ann@example.com>, bob@example.com", "Ann <a•••@example.com>, b•••@example.com"),
        ("+62 812-3456-7890", "+•• •••-••••-•890"),
        ("628123456789", "•••••••••789"),
        ("https://user:pw@example.com/a?key=1", f"https://example.com/a?{MASK}"),
        ("#alerts", "#•••"),
        ("a-long-channel-name", "a-•••me"),
    ],
)
def test_recipients_can_be_recognised_but_not_used(recipient: str, shown: str) -> None:
    assert mask_recipient(recipient) == shown


def test_urls() -> None:
    assert mask_url("https://hooks.example.com/T1") == "https://hooks.example.com/T1"
    assert mask_url("https://[") == MASK
