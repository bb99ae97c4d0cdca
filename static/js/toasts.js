// Toasts go by themselves after a while, unless they tell of an error or the pointer rests on them.
(() => {
  "use strict";
  const box = document.getElementById("toasts");
  if (!box) return;

  const arm = (toast) => {
    toast.querySelector("[data-close]").addEventListener("click", () => toast.remove());
    if (toast.classList.contains("error")) return;
    let timer = setTimeout(() => toast.remove(), 8000);
    toast.addEventListener("pointerenter", () => clearTimeout(timer));
    toast.addEventListener("pointerleave", () => { timer = setTimeout(() => toast.remove(), 3000); });
  };

  box.querySelectorAll("[data-toast]").forEach(arm);

  document.addEventListener("portal:toast", (event) => {
    const toast = document.createElement("div");
    toast.className = "toast error";
    const text = document.createElement("p");
    text.textContent = event.detail;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "button small";
    close.dataset.close = "";
    close.textContent = window.portalWords("close");
    toast.append(text, close);
    // In the top layer when a dialog is open, or it would be hidden behind it.
    (document.querySelector("dialog[open]") || box).append(toast);
    arm(toast);
  });
})();
