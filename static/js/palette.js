// The palette: one field that finds everything. A combobox with a listbox: the focus stays in the field, the arrows
// move through the options, Enter opens the chosen one. The list is made by the server (GET /find).
(() => {
  "use strict";
  const palette = document.getElementById("palette");
  if (!palette) return;
  const WAIT = 120;
  const say = window.portalWords;
  const field = palette.querySelector("[role=combobox]");
  const results = palette.querySelector(".palette-results");
  const status = palette.querySelector("[data-palette-status]");
  let timer = 0;
  let asked = null;
  let shown = null;
  let pending = false;
  let opener = null;

  const options = () => [...results.querySelectorAll("[role=option]")];
  const chosen = () => results.querySelector("[aria-selected=true]");

  const choose = (option) => {
    chosen()?.setAttribute("aria-selected", "false");
    option?.setAttribute("aria-selected", "true");
    if (option) field.setAttribute("aria-activedescendant", option.id);
    else field.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  };

  const fill = (html) => {
    results.innerHTML = html;
    field.setAttribute("aria-expanded", String(options().length > 0));
    choose(options()[0]);
    status.textContent = results.querySelector("#palette-count")?.textContent || "";
  };

  async function ask() {
    const text = field.value.trim();
    if (text === shown) return;
    asked?.abort();
    asked = new AbortController();
    const mine = asked;
    try {
      const answer = await fetch(`${results.dataset.url}?q=${encodeURIComponent(text)}`, {
        headers: { "X-Palette": "1" }, signal: mine.signal,
      });
      // The session has ended: the log-in page is a page, not a list.
      if (answer.redirected) location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const html = await answer.text();
      if (mine !== asked) return;
      shown = text;
      fill(html);
      if (pending) open(chosen());
    } catch (error) {
      if (error.name === "AbortError") return;
      shown = null;
      status.textContent = say("unreachable_search");
      results.querySelector("[role=listbox]")?.replaceChildren();
      field.setAttribute("aria-expanded", "false");
    }
  }

  const open = (option, newTab = false) => {
    pending = false;
    if (!option) return;
    const form = option.dataset.sends && document.getElementById(option.dataset.sends);
    if (newTab && !form) {
      window.open(option.href, "_blank", "noopener");
      return;
    }
    palette.close();
    if (form) {
      if (!form.elements.next) {
        const next = document.createElement("input");
        next.type = "hidden";
        next.name = "next";
        next.value = location.pathname + location.search;
        form.append(next);
      }
      document.body.append(form);
      form.requestSubmit();
    } else if (option.hasAttribute("data-opens")) {
      window.htmx.ajax("GET", option.href, { target: "#dialog-body", swap: "innerHTML" });
    } else {
      location.assign(option.href);
    }
  };

  const show = (text = "") => {
    if (palette.open || document.querySelector("dialog[open]")) return;
    opener = document.activeElement;
    palette.showModal();
    field.value = text;
    field.select();
    ask();
  };

  field.addEventListener("input", () => {
    pending = false;
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  });

  field.addEventListener("keydown", (event) => {
    const all = options();
    const at = all.indexOf(chosen());
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 8, PageUp: at - 8 };
    if (event.key in moves && all.length) {
      event.preventDefault();
      const to = moves[event.key];
      const paged = event.key.startsWith("Page");
      choose(all[paged ? Math.min(Math.max(to, 0), all.length - 1) : (to + all.length) % all.length]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      // What is shown may answer what was typed before: wait for the answer to this.
      if (field.value.trim() === shown) open(chosen(), event.ctrlKey || event.metaKey);
      else {
        pending = true;
        clearTimeout(timer);
        ask();
      }
    }
  });

  palette.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  results.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    event.preventDefault();
    open(option, event.ctrlKey || event.metaKey);
  });
  results.addEventListener("pointermove", (event) => {
    const option = event.target.closest("[role=option]");
    if (option && option !== chosen()) choose(option);
  });
  palette.addEventListener("click", (event) => {
    if (event.target === palette || event.target.closest("[data-palette-close]")) palette.close();
  });
  palette.addEventListener("close", () => {
    clearTimeout(timer);
    asked?.abort();
    pending = false;
    shown = null;
    if (opener?.isConnected && opener !== document.body) opener.focus({ preventScroll: true });
  });

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (palette.open) palette.close();
      else show();
    }
  });
  document.addEventListener("portal:palette", () => show());
  document.querySelectorAll("[data-palette]").forEach((way) => {
    way.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      show();
    });
  });
})();
