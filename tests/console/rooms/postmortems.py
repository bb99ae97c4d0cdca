from __future__ import annotations

from apps.postmortems.models import ActionItem, PostMortem

PAGES: tuple[str, ...] = (
    "/post-mortems",
    "/post-mortems?state=overdue&q=nothing-like-it",
    "/post-mortems/{published}",
    "/post-mortems/{drafted}",
    "/post-mortems/{published}/versions",
    "/post-mortems/{published}/versions?version=4&against=1",
    "/action-items",
    "/action-items?state=all&owner=me&q=nothing-like-it",
    "/action-items/{item}",
)
# The least role that may open it.
DIALOGS: dict[str, str] = {
    "/post-mortems/new": "operator",
    "/post-mortems/{drafted}/edit": "operator",
    "/post-mortems/{drafted}/review": "operator",
    "/post-mortems/{drafted}/accept": "operator",
    "/post-mortems/{drafted}/dismiss": "operator",
    "/post-mortems/{published}/reopen": "lead",
    "/post-mortems/{published}/versions/1/restore": "operator",
    "/post-mortems/{published}/items/new": "operator",
    "/post-mortems/{published}/push": "operator",
    "/action-items/{item}/edit": "operator",
    "/action-items/{item}/drop": "operator",
}
POSTS: tuple[str, ...] = (
    "/post-mortems/new",
    "/post-mortems/{drafted}/edit",
    "/post-mortems/{drafted}/preview",
    "/post-mortems/{drafted}/review",
    "/post-mortems/{drafted}/withdraw",
    "/post-mortems/{drafted}/publish",
    "/post-mortems/{drafted}/accept",
    "/post-mortems/{drafted}/dismiss",
    "/post-mortems/{published}/reopen",
    "/post-mortems/{published}/versions/1/restore",
    "/post-mortems/{published}/items/new",
    "/post-mortems/{published}/push",
    "/action-items/{item}/edit",
    "/action-items/{item}/done",
    "/action-items/{item}/drop",
    "/action-items/{item}/reopen",
)


def ids() -> dict[str, str]:
    """The ids pages are tried with."""
    published = PostMortem.objects.filter(state="published").order_by("pk").first()
    drafted = PostMortem.objects.filter(state="draft").order_by("pk").first()
    item = ActionItem.objects.filter(state="open").order_by("pk").first()
    found = {"published": published, "drafted": drafted, "item": item}
    return {name: str(row and row.pk) for name, row in found.items()}
