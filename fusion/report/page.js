"use strict";
// Headings of sortable tables become buttons; numbers sort by their first number, words as words.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].textContent.trim().replace("\u2212", "-");
      const compare = (a, b) => {
        const x = parseFloat(value(a)), y = parseFloat(value(b));
        if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
        const order = Number.isNaN(x) ? value(a).localeCompare(value(b)) : x - y;
        return up ? order : -order;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}

// A phone has no room for a list of contents before the first number.
const contents = document.querySelector(".contents");
if (contents && window.matchMedia("(max-width: 60rem)").matches) contents.open = false;

// Paper cannot be unfolded: what is folded is printed open, and folded again.
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((details) => { details.open = true; });
});
window.addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));
