"use strict";
// What the page can be asked. Every answer is text that the report holds; nothing is computed here.
(() => {
  const holder = document.getElementById("data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const at = (id) => document.getElementById(id);
  document.querySelectorAll(".live").forEach((part) => { part.hidden = false; });
  document.querySelectorAll("form").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));

  const show = (id, rows) => at(id).replaceChildren(...rows.flatMap(([name, value]) => {
    const term = document.createElement("dt"), told = document.createElement("dd");
    term.textContent = name;
    told.textContent = value;
    return [term, told];
  }));
  const asks = (ids, answer) => {
    if (!ids.every(at)) return;
    ids.forEach((id) => at(id).addEventListener("input", answer));
    answer();
  };

  asks(["pair-one", "pair-other"], () => {
    const one = at("pair-one").value, other = at("pair-other").value;
    const turned = data.pairs[one + "\n" + other] === undefined;
    const [first, second] = turned ? [other, one] : [one, other];
    const found = data.pairs[first + "\n" + second];
    at("pair-said").textContent = found ? first + " minus " + second : "";
    show("pair", found || [["", "Choose two different arms."]]);
  });

  asks(["threshold-arm"], () => {
    const own = data.thresholds[at("threshold-arm").value], slider = at("threshold-at");
    slider.max = own.length - 1;
    if (!slider.dataset.moved) slider.value = own.length >> 1;
    slider.dispatchEvent(new Event("input"));
  });
  asks(["threshold-at"], () => {
    const slider = at("threshold-at"), found = data.thresholds[at("threshold-arm").value][slider.value];
    slider.setAttribute("aria-valuetext", found[0][1]);
    show("threshold", found);
  });
  if (at("threshold-at")) at("threshold-at").addEventListener("change", () => { at("threshold-at").dataset.moved = "yes"; });

  asks(["subgroup-level"], () => show("subgroup", data.subgroups[at("subgroup-level").value]));

  asks(["horizon-at", "horizon-arm"], () => {
    const own = data.horizons[at("horizon-at").value][at("horizon-arm").value];
    show("horizon", own || [["", "This arm has no numbers here."]]);
  });

  asks(["filter-sees", "filter-named"], () => {
    const sees = at("filter-sees").value, named = at("filter-named").value.trim().toLowerCase();
    const arms = Object.keys(data.arms);
    const shown = arms.filter((arm) => (!sees || data.arms[arm].includes(sees)) && arm.toLowerCase().includes(named));
    document.querySelectorAll("tr[data-arm]").forEach((row) => { row.hidden = !shown.includes(row.dataset.arm); });
    at("filter-said").textContent = shown.length === arms.length ? "" : shown.length + " of " + arms.length + " arms are shown";
  });
})();
