"use strict";
// What a page with a form does beyond sending it; without script the server says the same when it is sent.
(() => {
  // The server has judged a field while it was being typed: mark the field as it marks it on a whole page.
  document.addEventListener("htmx:afterSwap", (event) => {
    const place = event.target;
    if (!place.matches(".field-errors")) return;
    const control = place.closest(".field").querySelector("input");
    const texts = (control.getAttribute("aria-describedby") || "").split(" ").filter((id) => id && id !== place.id);
    if (place.childElementCount) {
      texts.push(place.id);
      control.setAttribute("aria-invalid", "true");
    } else {
      control.removeAttribute("aria-invalid");
    }
    control.setAttribute("aria-describedby", texts.join(" "));
  });

  // All boxes of a table at once.
  for (const buttons of document.querySelectorAll("[data-choose]")) {
    buttons.hidden = false;
    buttons.addEventListener("click", (event) => {
      if (!event.target.value) return;
      for (const box of buttons.parentElement.querySelectorAll("input[type=checkbox]")) box.checked = event.target.value === "all";
      buttons.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  // On which day so many days end: data-since is the first one's moment, data-says the sentence around the date.
  for (const days of document.querySelectorAll("input[data-since]")) {
    const place = document.createElement("p");
    place.className = "help";
    place.setAttribute("role", "status");
    days.after(place);
    const written = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "long" });
    const say = () => {
      const end = new Date(Date.parse(days.dataset.since) + Number(days.value) * 24 * 3600 * 1000);
      const ends = Number(days.value) > 0 && !Number.isNaN(end.getTime());
      place.textContent = ends ? days.dataset.says.replace("{date}", written.format(end)) : "";
    };
    days.addEventListener("input", say);
    say();
  }

  const form = document.querySelector("form[data-guarded]");
  if (!form) return;
  const save = form.querySelector("button.primary[type=submit]");
  const question = document.getElementById("unsaved");
  let sending = false;

  // Against what the server sent, not against what was there when the script began: browsers restore what was typed.
  function differs(control) {
    if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
    if (control instanceof HTMLSelectElement) {
      const given = [...control.options].findIndex((option) => option.defaultSelected);
      return control.selectedIndex !== Math.max(given, 0);
    }
    return "defaultValue" in control && control.value !== control.defaultValue;
  }

  const isChanged = () => "changed" in form.dataset || [...form.elements].some(differs);
  const update = () => { save.disabled = !("ready" in form.dataset || isChanged()); };

  form.addEventListener("input", update);
  form.addEventListener("submit", () => { sending = true; });
  document.addEventListener("htmx:afterSettle", update);
  window.addEventListener("pageshow", () => { sending = false; update(); });

  // Links of the portal are asked about in its own language; closing, reloading and going back by the browser.
  window.addEventListener("beforeunload", (event) => {
    if (!sending && isChanged()) event.preventDefault();
  });
  let destination = "";
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link?.target;
    if (!link || elsewhere || link.getAttribute("href").startsWith("#") || !isChanged()) return;
    event.preventDefault();
    destination = link.href;
    question.returnValue = "stay";
    question.showModal();
  });
  question.addEventListener("close", () => {
    if (question.returnValue !== "leave") return;
    sending = true;
    window.location.assign(destination);
  });
})();
