from __future__ import annotations

from typing import Final

from scripts.pictures.shot import Shot

SHOTS: Final[tuple[Shot, ...]] = (
    Shot("postmortems", "/post-mortems"),
    Shot("postmortem", "/post-mortems/{published}"),
    Shot("postmortem-draft", "/post-mortems/{drafted}"),
    Shot("postmortem-edit", "/post-mortems/{drafted}/edit"),
    Shot("postmortem-versions", "/post-mortems/{published}/versions?version=2&against=1"),
    Shot("action-items", "/action-items"),
    Shot("action-item", "/action-items/{item}"),
    Shot("action-item-new", "/post-mortems/{published}", press="a[href*='/items/new']"),
    Shot("postmortem-push", "/post-mortems/{published}/push"),
    Shot("postmortem-accept", "/post-mortems/{drafted}", press="a[href*='/accept']"),
)
# Prints "name id" for what the addresses above need.
PICK: Final = """
from apps.postmortems.models import PostMortem
for name, state in (("published", "published"), ("drafted", "draft")):
    print(name, PostMortem.objects.filter(state=state).order_by("pk").values_list("pk", flat=True).first())
from apps.postmortems.models import ActionItem
print("item", ActionItem.objects.filter(state="open").order_by("due").values_list("pk", flat=True).first())
"""
