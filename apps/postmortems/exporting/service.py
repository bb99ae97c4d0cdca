"""Handing out a post-mortem as a file. It leaves the portal, so it is in the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from apps.audit.services import record
from apps.core.actor import INCIDENTS_READ, Actor, require
from apps.core.errors import NotFound
from apps.postmortems.exporting.document import Document, document_of
from apps.postmortems.exporting.page import page_of
from apps.postmortems.exporting.text import markdown_of
from apps.postmortems.selectors import get_postmortem


@dataclass(frozen=True, slots=True)
class Exported:
    """``name`` is the file's, made of letters that are safe everywhere."""

    name: str
    content_type: str
    content: bytes


def _pdf(document: Document) -> bytes:
    # Its libraries take a second to load, which no other request should pay.
    from apps.postmortems.exporting.paper import pdf_of

    return pdf_of(document)


FORMS: Final[Mapping[str, tuple[str, Callable[[Document], bytes]]]] = {
    "md": ("text/markdown; charset=utf-8", lambda document: markdown_of(document).encode()),
    "html": ("text/html; charset=utf-8", lambda document: page_of(document).encode()),
    "pdf": ("application/pdf", _pdf),
}


def export(*, actor: Actor, postmortem_id: int, form: str) -> Exported:
    """The post-mortem as it stands, in the language and zone that are active. Raises NotFound for an unknown form."""
    require(actor, INCIDENTS_READ)
    if form not in FORMS:
        raise NotFound(_("A post-mortem is exported as md, html or pdf."))
    postmortem = get_postmortem(postmortem_id)
    content_type, write = FORMS[form]
    exported = Exported(f"PM-{postmortem.pk}.{form}", content_type, write(document_of(postmortem)))
    with transaction.atomic():
        after = {"form": form, "version": postmortem.version}
        record(actor=actor, action="postmortem.exported", target=f"postmortem:{postmortem.pk}", after=after)
    return exported
