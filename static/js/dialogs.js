// Opens the one <dialog> when htmx has put something into it, closes it again, and gives the focus back.
(() => {
  "use strict";
  const dialog = document.getElementById("dialog");
  const body = document.getElementById("dialog-body");
  if (!dialog || !body) return;
  let opener = null;

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[hx-target='#dialog-body']");
    if (link && !dialog.contains(link)) opener = link;
    if (event.target.closest("[data-dialog-close]") && dialog.open) {
      event.preventDefault();
      dialog.close();
    }
  });

  // A press on the backdrop is outside of the content box; one that began inside (a text selection) is not meant.
  let pressed = null;
  dialog.addEventListener("pointerdown", (event) => { pressed = event.target; });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog && pressed === dialog && !body.querySelector("textarea")) dialog.close();
  });

  // The session has ended: the log-in page is a page, not a dialog.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (target !== body || !xhr.responseURL || new URL(xhr.responseURL).pathname !== "/login") return;
    event.detail.shouldSwap = false;
    location.reload();
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== body) return;
    const content = body.querySelector("[data-dialog-wide]");
    dialog.classList.toggle("wide", Boolean(content));
    if (!dialog.open) {
      opener = opener || document.activeElement;
      dialog.showModal();
    }
    const focus = body.querySelector("[aria-invalid=true]") || body.querySelector("[autofocus]");
    if (focus) focus.focus();
    dispatchEvent(new Event("portal:dialog"));
  });

  // Where the focus goes back to. A refresh may have put what opened the dialog in anew: it is known by where it leads.
  // A menu has closed when its entry was pressed, and what is hidden cannot be focused.
  const home = () => {
    const way = opener?.getAttribute("hx-get");
    const path = way?.split("?")[0];
    const links = path ? [...document.querySelectorAll(`[hx-get^="${CSS.escape(path)}"]`)] : [];
    const same = opener?.isConnected ? opener : links.find((link) => link.getAttribute("hx-get") === way) || links[0];
    return same?.closest("details.menu:not([open])")?.querySelector("summary") || same;
  };

  dialog.addEventListener("close", () => {
    body.replaceChildren();
    home()?.focus({ preventScroll: true });
    opener = null;
  });

  // The button says how long: "Force open for 30 min".
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form");
    const button = form && form.querySelector("[data-label]");
    if (!button || !event.target.matches("[data-words]")) return;
    button.textContent = button.dataset.label.replace("…", event.target.dataset.words);
  });

  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.requestConfig.headers["X-Live"]) return;
    document.dispatchEvent(new CustomEvent("portal:toast", {
      detail: window.portalWords("answered", { status: String(event.detail.xhr.status) }),
    }));
  });

  document.addEventListener("htmx:sendError", (event) => {
    if (event.detail.requestConfig.headers["X-Live"]) return;
    document.dispatchEvent(new CustomEvent("portal:toast", {
      detail: window.portalWords("unreachable"),
    }));
  });
})();
