"""Views a person saved: a list with its filters, under a name. One's own only, so they need no permission and no
row in the audit trail; whose they are is checked here.

A page is kept as the name of its URL, with its arguments behind colons (``cause:0a1b2c3d4e5f6071``).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlencode

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import SavedView, User
from apps.core.errors import Conflict, Invalid, NotFound

MOST: Final = 100
LONGEST_NAME: Final = 60
LONGEST_PAGE: Final = 40
LONGEST_QUERY: Final = 2000
# Where in the list somebody was is not part of a view.
PASSING: Final = frozenset({"cursor"})


def views_of(person: User, *, page: str = "") -> list[SavedView]:
    """One's views by page and name; of one page when it is given."""
    views = SavedView.objects.filter(person=person)
    return list((views.filter(page=page) if page else views)[:MOST])


def own_view(person: User, view_id: int) -> SavedView:
    """Raises NotFound for what is not there, and for what belongs to somebody else: the two look the same."""
    found = SavedView.objects.filter(person=person, pk=view_id).first()
    if found is None:
        raise NotFound(
            _("You have no saved view {view_id}. It may have been deleted in another window.").format(view_id=view_id)
        )
    return found


def save_view(*, person: User, page: str, name: str, query: str) -> SavedView:
    """Keep ``page`` with its filters as ``name``. Raises Conflict when the name is taken, Invalid for bad input."""
    if not page or len(page) > LONGEST_PAGE:
        raise Invalid.field("page", _("is not a page that can be saved"))
    if SavedView.objects.filter(person=person).count() >= MOST:
        raise Conflict(_("You have {most} saved views, which is the most. Delete one first.").format(most=MOST))
    cleaned = clean_query(query)
    if len(cleaned) > LONGEST_QUERY:
        raise Invalid.field("query", _("is longer than {most} characters").format(most=LONGEST_QUERY))
    return _write(SavedView(person=person, page=page, name=_name(name), query=cleaned))


def rename_view(*, person: User, view_id: int, name: str) -> SavedView:
    """Raises NotFound, Conflict when another view of the page has the name, Invalid."""
    view = own_view(person, view_id)
    view.name = _name(name)
    return _write(view)


def delete_view(*, person: User, view_id: int) -> SavedView:
    """Forget it. Raises NotFound."""
    view = own_view(person, view_id)
    SavedView.objects.filter(pk=view.pk).delete()
    return view


def clean_query(query: str) -> str:
    """The filters of a query string by name, without what is empty and without the place in the list."""
    pairs = [(name, value) for name, value in parse_qsl(query.removeprefix("?")) if name not in PASSING]
    return urlencode(sorted(pairs, key=lambda pair: pair[0]))


def _name(name: str) -> str:
    cleaned = " ".join(name.replace("\x00", "").split())
    if not cleaned or len(cleaned) > LONGEST_NAME:
        raise Invalid.field("name", _("must have from 1 to {most} characters").format(most=LONGEST_NAME))
    return cleaned


def _write(view: SavedView) -> SavedView:
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError as error:
        raise Conflict(
            _("You have a view of this page called {name} already. Take another name.").format(name=view.name)
        ) from error
    return view
