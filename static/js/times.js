// Lets the text of <time data-time> run on between two answers of the server. The same words as apps/core/human.py.
(() => {
  "use strict";
  const say = window.portalWords;
  const UNITS = [[86400, "days", 3600, "hours"], [3600, "hours", 60, "minutes"], [60, "minutes", 1, "seconds"]];
  const count = (name, seconds, size) => say(name, { number: Math.floor(seconds / size) });

  const span = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    for (const [size, name, smaller, smallName] of UNITS) {
      if (whole < size) continue;
      const rest = whole % size;
      return count(name, whole, size) + (rest >= smaller ? ` ${count(smallName, rest, smaller)}` : "");
    }
    return count("seconds", whole, 1);
  };

  const coarse = (seconds) => {
    const unit = UNITS.find(([size]) => seconds >= size);
    return unit ? count(unit[1], seconds, unit[0]) : count("seconds", Math.max(0, seconds), 1);
  };

  const countdown = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    return whole >= 3600 ? span(whole) : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  };

  const WORDS = {
    ago: (seconds) => say(seconds < 0 ? "in" : "ago", { time: coarse(Math.abs(seconds)) }),
    age: (seconds) => span(seconds),
    until: (seconds) => countdown(-seconds),
  };

  // The server's clock counts, not the one of this device.
  const skew = (() => {
    const sent = document.querySelector("meta[name=server-time]");
    return sent ? Date.now() - Date.parse(sent.content) : 0;
  })();

  const tick = () => {
    const moment = Date.now() - skew;
    const nothing = span(0);
    for (const element of document.querySelectorAll("time[data-time]")) {
      const words = WORDS[element.dataset.time];
      if (!words) continue;
      const text = words((moment - Date.parse(element.dateTime)) / 1000);
      if (element.textContent !== text && !(element.dataset.time === "age" && text === nothing)) element.textContent = text;
    }
  };

  document.addEventListener("portal:times", tick);
  setInterval(tick, 1000);
})();
