// Keeps live regions fresh: asks the page's own address every second while it is looked at, every 15 s when hidden.
// The server answers 304, or the regions that differ; htmx swaps them out of band. A region is left alone while
// somebody types or selects text in it, and focus and sideways scroll survive a swap.
(() => {
  "use strict";
  const FAST = 1000;
  const SLOW = 15000;
  const STALE = 10000;
  const indicator = document.getElementById("live");
  if (!indicator) return;
  const say = window.portalWords;
  const word = indicator.querySelector(".live-word");
  const announcer = document.getElementById("announcer");
  let last = Date.now();
  let timer = 0;
  let asking = false;
  let stale = false;

  const regions = () => [...document.querySelectorAll("[data-region]")];

  const etag = () =>
    `"${regions().map((region) => `${region.dataset.region}.${region.dataset.hash}`).sort().join(" ")}"`;

  const headers = () => {
    const found = { "X-Live": "1", "If-None-Match": etag() };
    const anchored = document.querySelector("[data-anchor]");
    if (anchored) found["X-Live-Anchor"] = anchored.dataset.anchor;
    return found;
  };

  const busy = (region) => {
    const active = document.activeElement;
    if (active && region.contains(active) && active.matches("input, select, textarea, [contenteditable]")) return true;
    if (region.querySelector("dialog[open], details[open]")) return true;
    const selection = window.getSelection();
    return Boolean(selection && !selection.isCollapsed && region.contains(selection.anchorNode));
  };

  const show = () => {
    const age = Date.now() - last;
    const wasStale = stale;
    stale = age > STALE && !document.hidden;
    indicator.dataset.state = stale ? "stale" : "live";
    word.textContent = say(stale ? "stale" : "live", { time: say("seconds", { number: Math.round(age / 1000) }) });
    if (stale !== wasStale) {
      announcer.textContent = say(stale ? "stale_now" : "live_again");
    }
  };

  const plan = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, document.hidden ? SLOW : FAST);
  };

  async function ask() {
    if (asking) return;
    asking = true;
    try {
      await window.htmx.ajax("GET", location.pathname + location.search, {
        source: document.body,
        target: document.body,
        swap: "none",
        headers: headers(),
      });
    } finally {
      asking = false;
      plan();
    }
  }

  // Where the focus was, in words that survive a swap: its id, or what it is and the how-manieth of its kind.
  const place = (region, element) => {
    if (element.id) return { id: element.id };
    const kind = element.tagName;
    return { kind, index: [...region.getElementsByTagName(kind)].indexOf(element), href: element.getAttribute("href") };
  };

  const find = (region, where) => {
    if (where.id) return document.getElementById(where.id);
    const same = [...region.getElementsByTagName(where.kind)];
    return same.find((element) => where.href && element.getAttribute("href") === where.href) || same[where.index];
  };

  let kept = null;

  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const old = event.detail.target;
    if (!old.matches || !old.matches("[data-region]")) return;
    if (busy(old)) {
      event.detail.shouldSwap = false;
      return;
    }
    const active = document.activeElement;
    kept = {
      focus: active && old.contains(active) ? place(old, active) : null,
      scroll: [...old.querySelectorAll(".table-wrap, .chips")].map((element) => element.scrollLeft),
      states: new Map([...old.querySelectorAll("[data-key]")].map((e) => [e.dataset.key, e.dataset.state])),
    };
  });

  document.addEventListener("htmx:oobAfterSwap", (event) => {
    const name = event.detail.target.dataset && event.detail.target.dataset.region;
    const region = name && document.getElementById(`live-${name}`);
    if (!region || !kept) return;
    region.querySelectorAll(".table-wrap, .chips").forEach((element, position) => {
      element.scrollLeft = kept.scroll[position] || 0;
    });
    region.querySelectorAll("[data-key]").forEach((element) => {
      const before = kept.states.get(element.dataset.key);
      if (before !== undefined && before !== element.dataset.state) element.classList.add("changed");
    });
    if (kept.focus) {
      const again = find(region, kept.focus);
      if (again) again.focus({ preventScroll: true });
    }
    kept = null;
    document.dispatchEvent(new CustomEvent("portal:times"));
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (!requestConfig || !requestConfig.headers["X-Live"]) return;
    // A redirect to the log-in page: the session has ended, and only a real navigation helps.
    if (xhr.responseURL && new URL(xhr.responseURL).pathname === "/login") location.reload();
    // The language was changed in another tab: half a page in each would be worse than a reload.
    const language = xhr.getResponseHeader("Content-Language");
    if (language && language !== document.documentElement.lang) location.reload();
    if (xhr.status === 200 || xhr.status === 304) last = Date.now();
    show();
  });

  // The answer to a poll is nothing but regions; anything else (an error page) must not be swapped in.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, xhr } = event.detail;
    if (requestConfig && requestConfig.headers["X-Live"] && xhr.status !== 200) event.detail.shouldSwap = false;
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearTimeout(timer);
    ask();
  });

  setInterval(show, 1000);
  show();
  plan();
})();
