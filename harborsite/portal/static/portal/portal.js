"use strict";
// Small conveniences; every page works without them.
(() => {
  const language = document.documentElement.lang;
  // 2026/11/24, but Nov 24, 2026; on a narrow screen 11/24/26
  const dateStyle = language.startsWith("zh") || matchMedia("(max-width: 767px)").matches ? "short" : "medium";
  const written = new Intl.DateTimeFormat(language, { dateStyle, timeStyle: "short" });

  // 2026-11-24 09:30:00 in the reader's zone: what Swedish has by custom.
  const iso = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });

  function localTimes() {
    const format = document.documentElement.dataset.times === "iso" ? iso : written;
    for (const time of document.querySelectorAll("time[datetime]")) {
      time.title = time.dateTime;
      time.textContent = format.format(new Date(time.dateTime)).replace(/ (?!\d\d?:)/g, "\u00a0"); // breaks before the hour alone
    }
  }

  // The clipboard API is for https and localhost alone.
  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  function markChosen() {
    const boxes = [...document.querySelectorAll("input.action-select")];
    const chosen = boxes.filter((box) => box.checked).length;
    for (const button of document.querySelectorAll(".actions button, .actions select")) button.disabled = chosen === 0;
    const all = document.getElementById("action-toggle");
    if (all) {
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
  }

  // On a narrow screen menus are wider than it.
  function showWhereWeAre() {
    for (const link of document.querySelectorAll("nav [aria-current=page]")) {
      const menu = link.closest("nav");
      menu.scrollLeft = link.offsetLeft - (menu.clientWidth - link.offsetWidth) / 2;
    }
  }

  // Hides the fields that mean nothing beside what is chosen: data-when="trigger=scheduled", or "auth=Bearer,APIKey".
  function showWhatApplies() {
    const hidden = new Set();
    for (const control of document.querySelectorAll("[data-when]")) {
      const [name, values] = control.dataset.when.split("=");
      const other = control.form.elements[name];
      const now = other.type === "checkbox" && !other.checked ? "" : other.value;
      const applies = values.split(",").includes(now) && !hidden.has(name);
      (control.closest(".field") ?? control).hidden = !applies;
      if (!applies) hidden.add(control.name);
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (button) {
      await copy(button.dataset.copy);
      const label = button.textContent;
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = label; }, 1500);
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target.id === "action-toggle") {
      for (const box of document.querySelectorAll("input.action-select")) box.checked = event.target.checked;
    }
    if (event.target.matches("#action-toggle, input.action-select")) markChosen();
    showWhatApplies();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // A box beside a password shows what is typed into it.
  function offerToShow() {
    for (const part of document.querySelectorAll("[data-reveals]")) {
      const box = part.querySelector("input"), other = box.form.elements[part.dataset.reveals];
      part.hidden = false;
      box.addEventListener("change", () => { other.type = box.checked ? "text" : "password"; });
    }
  }

  // A link that unfolds what belongs to its row folds it again.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const link = event.detail.elt;
    if (link.getAttribute("aria-expanded") !== "true") return;
    event.preventDefault();
    link.closest("tr").nextElementSibling.remove();
    link.setAttribute("aria-expanded", "false");
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && event.detail.elt.matches("[aria-expanded]")) event.detail.elt.setAttribute("aria-expanded", "true");
  });

  // A page that looks again by itself must not take away what somebody is choosing, typing or has unfolded.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const polls = "X-Background" in event.detail.requestConfig.headers;
    const busy = "input.action-select:checked, #live details.menu[open], #live input[type=search]:focus, #live .unfolded";
    if (polls && document.querySelector(busy)) event.preventDefault();
  });

  // Where somebody is by keyboard stays, when what they are in is replaced by its newer self.
  const calledAlike = (one) => (other) => ["href", "name", "value"].every((name) => one.getAttribute(name) === other.getAttribute(name))
    && (one.hasAttribute("href") || one.textContent === other.textContent);
  let left = null;
  document.addEventListener("htmx:beforeSwap", () => { left = document.activeElement?.closest("#live") && document.activeElement; });
  document.addEventListener("htmx:afterSettle", () => {
    if (left && !left.isConnected) [...document.querySelectorAll(`#live ${left.localName}`)].find(calledAlike(left))?.focus({ preventScroll: true });
    left = null;
  });

  document.addEventListener("DOMContentLoaded", () => { offerToShow(); localTimes(); markChosen(); showWhatApplies(); showWhereWeAre(); });
  document.addEventListener("htmx:afterSettle", () => { localTimes(); markChosen(); showWhatApplies(); });
})();
