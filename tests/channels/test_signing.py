from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from apps.channels.signing import Signer, key_of
from apps.core.errors import Invalid

# The example of the Standard Webhooks specification and of its libraries' tests.
SPEC_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SPEC_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SPEC_TIMESTAMP = "1614265330"
SPEC_BODY = b'{"test": 2432232314}'
SPEC_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_signature_is_the_one_of_the_standard_webhooks_specification():
    assert Signer([SPEC_SECRET]).sign(SPEC_ID, SPEC_TIMESTAMP, SPEC_BODY) == SPEC_SIGNATURE


def test_two_live_secrets_give_two_signatures_the_current_first():
    first, second = Signer([SPEC_SECRET, "older"]).sign(SPEC_ID, SPEC_TIMESTAMP, SPEC_BODY).split(" ")
    digest = hmac.new(b"older", b".".join([SPEC_ID.encode(), b"1614265330", SPEC_BODY]), hashlib.sha256).digest()
    assert first == SPEC_SIGNATURE
    assert second == "v1," + base64.b64encode(digest).decode()


def test_raw_text_is_a_key_as_it_stands():
    assert key_of("plain secret é") == "plain secret é".encode()


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", "whsec_abc"])
def test_broken_whsec_secret_is_named(secret):
    with pytest.raises(Invalid) as caught:
        key_of(secret)
    assert caught.value.detail[0]["field"] == "secret"
    assert secret not in str(caught.value) or secret == "whsec_"
