from __future__ import annotations

import pytest

from apps.core.masking import mask_addresses


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("550 <sari@example.com>: mailbox unavailable", "550 <s•••@example.com>: mailbox unavailable"),
        ("recipient +628123456789 is not on WhatsApp", "recipient +•••••••••789 is not on WhatsApp"),
        ("HTTP 503 after 10000 ms, 131026", "HTTP 503 after 10000 ms, 131026"),
        ("request 541d29fe-543f-4268-bcf7-44634dce80fe", "request 541d29fe-543f-4268-bcf7-44634dce80fe"),
        ("", ""),
    ],
)
def test_errors_do_not_tell_who_it_was(said: str, shown: str) -> None:
    assert mask_addresses(said) == shown
