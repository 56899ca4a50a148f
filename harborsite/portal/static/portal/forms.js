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
})();
