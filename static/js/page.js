// Small things of every page: menus that close, the theme without a reload, copying.
(() => {
  "use strict";

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu[open]").forEach((menu) => {
        menu.open = false;
        menu.querySelector("summary").focus();
      });
    }
  });

  document.addEventListener("click", (event) => {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target) || event.target.closest(".menu-panel a")) menu.open = false;
    });
  });

  // The form works without this; with it there is no reload.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-theme-form]") || !event.submitter) return;
    event.preventDefault();
    const theme = event.submitter.value;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `opsportal_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    form.querySelectorAll("button").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.value === theme));
    });
  });

  // navigator.clipboard exists over HTTPS only; the old way works over plain HTTP too.
  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    return undefined;
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await copy(button.dataset.copy);
    button.focus();
    button.classList.add("copied");
    document.getElementById("announcer").textContent = window.portalWords("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  });

  // What scrolls by itself can be scrolled by keyboard.
  const reachable = () => document.querySelectorAll("pre.body-text").forEach((element) => {
    if (element.scrollHeight > element.clientHeight) element.tabIndex = 0;
  });
  document.addEventListener("portal:swapped", reachable);
  document.addEventListener("htmx:afterSwap", reachable);
  document.addEventListener("toggle", reachable, true);
  reachable();

  // Filters with few choices apply at once.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-filters]");
    if (form && event.target.matches("select")) form.requestSubmit();
  });

  // An empty field is not a filter: keep it out of the address.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-filters], form.search")) return;
    event.target.querySelectorAll("input, select").forEach((field) => {
      if (!field.value) field.disabled = true;
    });
  });

  if (location.hash === "#q") {
    const field = document.getElementById("q");
    if (field) field.focus();
  }
})();
