// Offers the zone of this browser beside the field of the time zone, when it is another one.
(() => {
  "use strict";
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.querySelectorAll("[data-zone-suggestion]").forEach((button) => {
    const field = document.getElementById(button.dataset.zoneSuggestion);
    if (!own || !field) return;
    const show = () => { button.hidden = (field.value || "UTC") === own; };
    button.querySelector("[data-zone-name]").textContent = own;
    button.addEventListener("click", () => {
      field.value = own;
      show();
      field.focus();
    });
    field.addEventListener("input", show);
    show();
  });
})();
