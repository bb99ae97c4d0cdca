from __future__ import annotations

from django.test import RequestFactory

from apps.core.live import Regions, anchor, fragment_hash, is_live


def test_what_moves_by_itself_is_not_part_of_the_hash() -> None:
    one = '<p>open <time datetime="2026-11-21T10:31:04Z" data-time="ago">6 min ago</time></p>'
    assert fragment_hash(one) == fragment_hash(one.replace("6 min ago", "7 min ago"))
    assert fragment_hash(one) != fragment_hash(one.replace("10:31:04Z", "10:31:05Z"))
    assert fragment_hash(one) != fragment_hash(one.replace("open", "closed"))


def test_csrf_tokens_are_not_part_of_the_hash() -> None:
    token = '<input type="hidden" name="csrfmiddlewaretoken" value="{}">'
    assert fragment_hash(token.format("a" * 64)) == fragment_hash(token.format("b" * 64))


def test_a_region_carries_its_name_and_hash() -> None:
    regions = Regions()
    html = regions.add("tiles", "<b>x</b>", ' aria-live="polite"')
    mark = regions.hashes["tiles"]
    assert f'id="live-tiles" data-region="tiles" data-hash="{mark}"' in html
    assert "<b>x</b>" in html
    assert regions.etag == f'"tiles.{mark}"'


def test_only_our_own_header_makes_a_poll() -> None:
    factory = RequestFactory()
    assert is_live(factory.get("/", headers={"X-Live": "1"}))
    assert not is_live(factory.get("/", headers={"HX-Request": "true"}))


def test_an_anchor_is_a_number_of_a_poll() -> None:
    factory = RequestFactory()
    assert anchor(factory.get("/", headers={"X-Live": "1", "X-Live-Anchor": "42"})) == 42
    assert anchor(factory.get("/", headers={"X-Live-Anchor": "42"})) is None
    for bad in ("", "-1", "1e9", "٤٢", "9" * 30):
        assert anchor(factory.get("/", headers={"X-Live": "1", "X-Live-Anchor": bad.encode().decode("latin1")})) is None
