// Keeps the live parts of the page fresh without touching what a person is using. The page works without.
(() => {
  "use strict";
  const EVERY_MS = 1500;
  const PATIENCE_MS = 5000;
  const fresh = document.getElementById("fresh");
  let last = Date.now();

  const inUse = (part) => {
    const selection = document.getSelection();
    const selected = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    const pointed = part.hasAttribute("data-hold") && part.matches(":hover");
    return selected || pointed || part.contains(document.activeElement);
  };

  const update = (page) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = page.querySelector(`[data-live="${part.dataset.live}"]`);
      if (next && next.innerHTML !== part.innerHTML && !inUse(part)) {
        part.replaceChildren(...document.importNode(next, true).childNodes);
      }
    }
    for (const button of document.querySelectorAll("[data-live-disabled]")) {
      const next = page.querySelector(`[data-live-disabled="${button.dataset.liveDisabled}"]`);
      if (next) button.disabled = next.disabled;
    }
    for (const token of document.querySelectorAll("input[name=token]")) {
      const next = page.querySelector("input[name=token]");
      if (next) token.value = next.value;
    }
    fresh.textContent = page.getElementById("fresh").textContent;
    fresh.classList.remove("stale");
    last = Date.now();
  };

  const look = async () => {
    if (!document.hidden) {
      try {
        const query = location.pathname === "/" ? location.search : "";
        const answer = await fetch(`/${query}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
        if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
        update(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } catch {
        const seconds = Math.round((Date.now() - last) / 1000);
        fresh.textContent = `The sandbox does not answer. This is as of ${seconds} s ago.`;
        fresh.classList.add("stale");
      }
    }
    setTimeout(look, EVERY_MS);
  };
  setTimeout(look, EVERY_MS);
})();
