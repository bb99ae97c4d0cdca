"""A made-up portal in which every address leads to something, and a person of each role."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

from apps.accounts.models import PersonSession, User
from apps.accounts.people import make_password_link
from apps.accounts.saved_views import save_view
from apps.accounts.services import create_key
from apps.breakers.models import BreakerEvent
from apps.console.demo.on_call import NAME as SOURCE
from apps.console.management.commands.seed_demo import seed
from apps.core.actor import SYSTEM
from apps.core.clock import now
from apps.outbox.deadletters import services as triage
from apps.outbox.models import DeadLetter, Message, Replay, Triage
from tests.audit.trail import note
from tests.console.rooms import alerts, incidents, postmortems, quiet, routing, sources

ROLES = ("viewer", "operator", "lead", "admin")
WHO = ("nobody", *ROLES)
PASSWORD = "right-password"
OTHER = "other@example.com"


@dataclass(frozen=True, slots=True)
class Portal:
    """``known[who]`` are the ids that stand in addresses: of shared things, and of what belongs to ``who``."""

    people: dict[str, User]
    known: dict[str, dict[str, str]]

    def __getitem__(self, role: str) -> User:
        return self.people[role]

    def browser(self, who: str, **how: bool) -> Client:
        client = Client(**how)
        if who != "nobody":
            client.force_login(self.people[who])
        return client


def make_portal() -> Portal:
    """``other`` is somebody whom the others act upon."""
    seed(now(), scale=0.02)
    people = {role: User.objects.create_user(f"{role}@example.com", PASSWORD, role=role) for role in ROLES}
    other = User.objects.create_user(OTHER, PASSWORD, role="viewer")
    shared = _shared(other)
    known = {role: shared | _own(person) for role, person in people.items()}
    return Portal(people, known | {"nobody": known["admin"]})


def _shared(other: User) -> dict[str, str]:
    letter = DeadLetter.objects.filter(state="open", service="midtrans").order_by("-id").first()
    waiting = Message.objects.filter(status="RETRYING").order_by("id").first()
    event = BreakerEvent.objects.filter(breaker__name="midtrans").order_by("-id").first()
    assert letter is not None
    assert waiting is not None
    assert event is not None
    triage.assign(actor=SYSTEM, assignee=OTHER, ids=[letter.pk])
    return {
        "name": "midtrans",
        "template.name": "order-paid",
        "version": "1",
        "event_id": str(event.pk),
        "fingerprint": letter.cause_id,
        "letter_id": str(letter.pk),
        "message_id": str(waiting.pk),
        "replay_id": str(Replay.objects.values_list("pk", flat=True).get()),
        "triage_id": str(Triage.objects.values_list("pk", flat=True).get()),
        "entry_id": str(note(reason="first").pk),
        "episode_id": (alert := alerts.ids())["alert"],
        "alert_id": alert["alert"],
        "notification_id": alert["notification"],
        "silence_id": (silent := quiet.ids())["silence"],
        "window_id": silent["window"],
        "incident_id": (incident := incidents.ids())["incident"],
        "thing_id": incident["thing"],
        "line_id": incident["line"],
        "suspect_kind": incident["suspect_kind"],
        "suspect_ref": incident["suspect_ref"],
        "role": "scribe",
        "kind": "service",
        "incident.name": "critical-alert",
        "source.name": (posted := sources.ids()) and SOURCE,
        "delivery_id": posted["put_aside"],
        "refusal_id": posted["refusal"],
        "rotation.name": (turns := routing.ids()) and "platform",
        "override_id": turns["override"],
        "routing.version": turns["routing_version"],
        "person_id": str(other.pk),
        "key_id": str(create_key(name="of-the-table", scopes=["messages:read"], actor=SYSTEM).key.pk),
        "postmortem_id": postmortems.ids()["drafted"],
        "item_id": postmortems.ids()["item"],
        "form": "md",
        "token": make_password_link(email=OTHER, actor=SYSTEM).token,
    }


def passkey_data() -> dict[str, Any]:
    """As a browser registers one; nobody holds its private key."""
    public = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    credential = AttestedCredentialData.create(Aaguid(bytes(16)), token_bytes(16), public)
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
    seen = AuthenticatorData.create(sha256(b"testserver").digest(), flags, 0, credential)
    told = {"clientDataJSON": _text(b'{"type":"webauthn.create","challenge":"eA","origin":"https://testserver"}')}
    told["attestationObject"] = _text(bytes(AttestationObject.create("none", seen, {})))
    name = _text(credential.credential_id)
    extra = {"credProps": {"rk": True}}
    made = {"id": name, "rawId": name, "type": "public-key", "response": told, "clientExtensionResults": extra}
    return {"name": "Key of the desk", "credential": made}


def _text(raw: bytes) -> str:
    return websafe_encode(raw)


def _own(person: User) -> dict[str, str]:
    """A second factor of every kind, a saved view, and a browser elsewhere."""
    TOTP.activate(person, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(person)
    passkey = Authenticator.objects.create(user=person, type=Authenticator.Type.WEBAUTHN, data=passkey_data())
    view = save_view(person=person, page="outbox", name="Mine", query="status=waiting")
    elsewhere = Client()
    elsewhere.force_login(person)
    key = elsewhere.session.session_key
    session, _ = PersonSession.objects.get_or_create(session_key=key, defaults={"person": person})
    return {"pk": str(passkey.pk), "view_id": str(view.pk), "session_id": str(session.pk)}
