// Single keys: g and a letter to go somewhere, j and k to move in a list, x to select, ? for the help sheet.
// They are deaf while somebody types, and can be turned off (WCAG 2.1.4): data-keys="off" on <body>.
(() => {
  "use strict";
  const CHORD = 1200;
  const ROWS = "main tbody tr, main .needs > li, main .tile, main .hits > li";
  let waiting = 0;

  const typing = (target) =>
    target instanceof Element && target.closest("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");

  const rows = () => [...document.querySelectorAll(ROWS)].filter((row) => row.querySelector("a, button") && row.offsetParent);
  const linkOf = (row) => row.querySelector(".main-link, h3 a") || row.querySelector("a, button");
  const current = () => document.activeElement && document.activeElement.closest(ROWS);

  const move = (by) => {
    const all = rows();
    const at = all.indexOf(current());
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
    if (!next) return;
    linkOf(next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };

  const press = (selector) => {
    const found = document.querySelector(selector);
    if (found) found.click();
    return Boolean(found);
  };

  const KEYS = {
    "?": () => window.htmx.ajax("GET", document.body.dataset.help, { target: "#dialog-body", swap: "innerHTML" }),
    "/": () => document.dispatchEvent(new CustomEvent("portal:palette")),
    j: () => move(1),
    k: () => move(-1),
    x: () => current()?.querySelector("input[type=checkbox]")?.click(),
    r: () => document.dispatchEvent(new CustomEvent("portal:refresh")),
    f: () => document.querySelector("main form.filters :is(input:not([type=hidden]), select)")?.focus(),
    u: () => press(".crumbs li:nth-last-child(2) a"),
    n: () => press(".pager a[rel=next]"),
    p: () => history.back(),
  };

  const go = (key) => press(`.nav a[data-go="${CSS.escape(key)}"], .menu a[data-go="${CSS.escape(key)}"]`);

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.body.dataset.keys === "off" || typing(event.target) || document.querySelector("dialog[open]")) return;
    const chord = Date.now() < waiting;
    waiting = 0;
    if (chord) {
      if (go(event.key)) event.preventDefault();
    } else if (event.key === "g") {
      waiting = Date.now() + CHORD;
    } else if (KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });

  // The form works without this; with it there is no reload.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-keys-form]")) return;
    event.preventDefault();
    const off = document.body.dataset.keys !== "off";
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `opsportal_keys=${off ? "off" : ""}; Path=/; Max-Age=${off ? 31536000 : 0}; SameSite=Lax${secure}`;
    document.body.dataset.keys = off ? "off" : "on";
    document.querySelectorAll("[data-keys-form]").forEach((each) => {
      each.elements.keys.value = off ? "on" : "off";
      each.querySelector("button").setAttribute("aria-pressed", String(!off));
    });
  });
})();
