// Rows that are selected show the bar that says how many, and what can be done with them. Everything is asked of the
// page at the moment of the event, so that rows which a refresh has put in are part of it.
(() => {
  "use strict";
  const say = window.portalWords;
  const boxesOf = (form) => [...form.querySelectorAll("tbody input[type=checkbox]")];
  let lastBox = null;

  const words = (form, chosen, every) => {
    if (every) return say("all_selected", { count: Number(form.querySelector("[data-selection]").dataset.total) });
    return chosen === 1 ? say("one_selected") : say("many_selected", { count: chosen });
  };

  const show = (form, every = false) => {
    const bar = form.querySelector("[data-selection]");
    const all = form.querySelector("[data-select-all]");
    const more = form.querySelector("[data-select-everything]");
    const field = form.querySelector("[data-everything]");
    const boxes = boxesOf(form);
    const chosen = boxes.filter((box) => box.checked).length;
    if (!bar) return;
    bar.hidden = chosen === 0;
    form.querySelector("[data-selection-count]").textContent = chosen ? words(form, chosen, every) : "";
    if (all) {
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
    // Only what is on every page can be more than this page.
    if (more) more.hidden = every || chosen < boxes.length || Number(bar.dataset.total) <= boxes.length;
    if (field) field.disabled = !every;
  };

  const range = (boxes, box) => {
    const [from, to] = [boxes.indexOf(lastBox), boxes.indexOf(box)].sort((one, other) => one - other);
    if (from >= 0) boxes.slice(from, to + 1).forEach((between) => { between.checked = box.checked; });
  };

  document.addEventListener("click", (event) => {
    const form = event.target.closest("form[data-select]");
    if (!form) return;
    const more = event.target.closest("[data-select-everything]");
    if (more) {
      show(form, true);
      form.querySelector("[data-selection] .actions :is(a, button)")?.focus();
    } else if (event.target.matches("tbody input[type=checkbox]")) {
      if (event.shiftKey && lastBox) range(boxesOf(form), event.target);
      lastBox = event.target;
      show(form);
    }
  });

  document.addEventListener("change", (event) => {
    const form = event.target.matches("[data-select-all]") && event.target.closest("form[data-select]");
    if (!form) return;
    boxesOf(form).forEach((box) => { box.checked = event.target.checked; });
    show(form);
  });

  const showAll = () => document.querySelectorAll("form[data-select]").forEach((form) => {
    const field = form.querySelector("[data-everything]");
    show(form, Boolean(field && !field.disabled));
  });
  document.addEventListener("portal:swapped", showAll);
  addEventListener("pageshow", showAll);
  showAll();
})();
