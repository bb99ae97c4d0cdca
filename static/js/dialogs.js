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

  dialog.addEventListener("close", () => {
    body.replaceChildren();
    if (opener && opener.isConnected) opener.focus({ preventScroll: true });
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
