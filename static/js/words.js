// The words of scripts in the language of the page: portalWords("copied"), portalWords("ago", { time: "6 min" }).
(() => {
  "use strict";
  const words = JSON.parse(document.body.dataset.words || "{}");
  const figures = new Intl.NumberFormat(document.documentElement.lang);

  window.portalWords = (name, values = {}) =>
    (words[name] || name).replace(/\{(\w+)\}/g, (all, key) => {
      const value = values[key];
      return typeof value === "number" ? figures.format(value) : value === undefined ? all : String(value);
    });
})();
