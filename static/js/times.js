// Lets the text of <time data-time> run on between two answers of the server. The same words as apps/core/human.py.
(() => {
  "use strict";
  const UNITS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];

  const span = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    for (const [size, name, smaller, smallName] of UNITS) {
      if (whole < size) continue;
      const rest = Math.floor((whole % size) / smaller);
      return `${Math.floor(whole / size)} ${name}${rest ? ` ${rest} ${smallName}` : ""}`;
    }
    return `${whole} s`;
  };

  const coarse = (seconds) => {
    for (const [size, name] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${name}`;
    return `${Math.max(0, Math.floor(seconds))} s`;
  };

  const countdown = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    return whole >= 3600 ? span(whole) : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  };

  const WORDS = {
    ago: (seconds) => (seconds < 0 ? `in ${coarse(-seconds)}` : `${coarse(seconds)} ago`),
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
    for (const element of document.querySelectorAll("time[data-time]")) {
      const words = WORDS[element.dataset.time];
      if (!words) continue;
      const text = words((moment - Date.parse(element.dateTime)) / 1000);
      if (element.textContent !== text && !(element.dataset.time === "age" && text === "0 s")) element.textContent = text;
    }
  };

  document.addEventListener("portal:times", tick);
  setInterval(tick, 1000);
})();
