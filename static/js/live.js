// Keeps live regions fresh: asks the page's own address every second while it is looked at, every 15 s when hidden.
// The server answers 304, or the regions that differ; htmx swaps them out of band. A region is left alone while
// somebody types or selects text in it or has a menu open; focus, scroll, chosen rows and unfolded texts survive a
// swap. When the portal was renewed or somebody else has logged in, the page loads itself again.
(() => {
  "use strict";
  const FAST = 1000;
  const SLOW = 15000;
  const STALE = 10000;
  // While two versions answer side by side, a page must not load itself over and over.
  const SETTLED = 5000;
  const indicator = document.getElementById("live");
  if (!indicator) return;
  const say = window.portalWords;
  const word = indicator.querySelector(".live-word");
  const announcer = document.getElementById("announcer");
  let last = Date.now();
  let timer = 0;
  let asking = false;
  let stale = false;
  let failures = 0;
  const mark = document.querySelector("meta[name=page-mark]")?.content;

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
    const types = "input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]";
    if (active && region.contains(active) && active.matches(types)) return true;
    if (region.querySelector("dialog[open], details.menu[open]")) return true;
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

  // Other files, another person or another session: what this page holds no longer fits. It waits for a free moment.
  const renew = (now) => {
    if (!mark || !now || now === mark || performance.now() < SETTLED) return;
    const typing = document.activeElement && document.activeElement.matches("input, select, textarea");
    if (!typing && !document.querySelector("dialog[open], details.menu[open], tbody input:checked")) location.reload();
  };

  const plan = () => {
    clearTimeout(timer);
    // A portal that does not answer is asked less and less often, so that it can come back.
    const patience = Math.min(SLOW, FAST * 2 ** Math.min(failures, 4));
    timer = setTimeout(ask, document.hidden ? SLOW : patience);
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
    } catch {
      // Not answered: afterRequest has counted it, and the page says so when it lasts.
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

  // What changed, in a sentence or two: reading out a whole region would be noise.
  const text = (root, selector) => (root.querySelector(selector)?.textContent || "").replace(/\s+/g, " ").trim();
  const states = (region) => [...region.querySelectorAll("h1 ~ .badge")].map((badge) => badge.textContent.trim());
  const sentence = (region) => [text(region, "h1"), states(region).join(", ")].filter(Boolean).join(": ");
  let telling = [];
  const tell = (words) => {
    if (!telling.length) setTimeout(() => { announcer.textContent = telling.join(". "); telling = []; }, 100);
    if (words && telling.length < 4) telling.push(words);
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
      said: sentence(old),
      checked: new Set([...old.querySelectorAll("input[type=checkbox]:checked")].map((box) => `${box.name} ${box.value}`)),
      unfolded: new Set([...old.querySelectorAll("details:not(.menu)")].flatMap((e, position) => (e.open ? [e.id || position] : []))),
      down: [...old.querySelectorAll(".body-text")].map((element) => element.scrollTop),
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
      if (before === undefined || before === element.dataset.state) return;
      element.classList.add("changed");
      if (element.matches(".tile")) tell(`${text(element, "h3")}: ${text(element, ".badge:last-of-type")}`);
    });
    if (region.hasAttribute("data-announce") && sentence(region) !== kept.said) tell(sentence(region));
    region.querySelectorAll("input[type=checkbox]").forEach((box) => {
      if (kept.checked.has(`${box.name} ${box.value}`)) box.checked = true;
    });
    region.querySelectorAll("details:not(.menu)").forEach((element, position) => {
      if (kept.unfolded.has(element.id || position)) element.open = true;
    });
    region.querySelectorAll(".body-text").forEach((element, position) => {
      element.scrollTop = kept.down[position] || 0;
    });
    if (kept.focus) {
      const again = find(region, kept.focus);
      if (again) again.focus({ preventScroll: true });
    }
    kept = null;
    document.dispatchEvent(new CustomEvent("portal:times"));
    document.dispatchEvent(new CustomEvent("portal:swapped"));
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (!requestConfig || !requestConfig.headers["X-Live"]) return;
    // A redirect to the log-in page: the session has ended, and only a real navigation helps.
    if (xhr.responseURL && new URL(xhr.responseURL).pathname === "/login") location.reload();
    // The language was changed in another tab: half a page in each would be worse than a reload.
    const language = xhr.getResponseHeader("Content-Language");
    if (language && language !== document.documentElement.lang) location.reload();
    const answered = xhr.status === 200 || xhr.status === 304;
    failures = answered ? 0 : failures + 1;
    if (answered) last = Date.now();
    renew(xhr.getResponseHeader("X-Page-Mark"));
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

  const now = () => {
    failures = 0;
    clearTimeout(timer);
    ask();
  };
  addEventListener("online", now);
  document.addEventListener("portal:refresh", now);

  setInterval(show, 1000);
  show();
  plan();
})();
