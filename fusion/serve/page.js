
"use strict";
const form = document.getElementById("form");
// One place to drop images, or one for each role that the bundle tells apart.
const places = Array.from(form.querySelectorAll(".drop")).map((drop) => ({
  drop, picker: drop.querySelector("input"), previews: drop.querySelector(".previews"), part: drop.dataset.part, pictures: [],
}));
const error = document.getElementById("error");
const result = document.getElementById("result");
const answer = document.getElementById("answer");
const tokenField = document.getElementById("token-field");
const go = document.getElementById("go");

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") node.className = value; else node.setAttribute(name, value);
  }
  for (const child of children) node.append(child);
  return node;
}

function drawn(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function percent(p) { return p === null ? "—" : (100 * p).toFixed(1) + " %"; }

function take(place, files) {
  for (const image of place.previews.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  place.pictures = Array.from(files);
  place.previews.replaceChildren(...place.pictures.map((file) => {
    const item = make("li", {});
    const image = make("img", { alt: "Preview of " + file.name, src: URL.createObjectURL(file) });
    image.addEventListener("error", () => image.remove());
    item.append(image, file.name);
    return item;
  }));
}

for (const place of places) {
  const drop = place.drop;
  place.picker.addEventListener("change", () => take(place, place.picker.files));
  for (const kind of ["dragover", "dragenter"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) take(place, event.dataTransfer.files);
  });
}

class Wrong extends Error {
  constructor(text, field) { super(text); this.field = field; }
}

function number(text, field, what) {
  const plain = text.trim().replace(/^([+-]?\d+),(\d+)$/, "$1.$2");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) {
    throw new Wrong(what + ": " + text.slice(0, 40) + " is not a number.", field);
  }
  return Number(plain);
}

function values() {
  const found = {};
  for (const field of form.querySelectorAll("[name]")) {
    if (!field.value.trim()) continue;
    const label = field.labels[0].textContent.trim();
    if (field.dataset.kind === "text") { found[field.name] = field.value; continue; }
    const value = number(field.value, field, label);
    if (field.dataset.low !== undefined && !(value >= Number(field.dataset.low) && value <= Number(field.dataset.high))) {
      throw new Wrong(label + ": " + value + " cannot be meant; values from " + Number(field.dataset.low) + " to " + Number(field.dataset.high) + " are taken.", field);
    }
    found[field.name] = value;
  }
  for (const area of form.querySelectorAll(".pasted")) {
    for (const line of area.value.split("\n")) {
      const parts = line.trim().split(/[\s,;:=]+/).filter(Boolean);
      if (!parts.length) continue;
      if (parts.length !== 2) throw new Wrong("A pasted line is not a name and a value: " + line.slice(0, 60), area);
      found[parts[0]] = number(parts[1], area, parts[0]);
    }
  }
  return found;
}

function mend() {
  error.hidden = true;
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const told of form.querySelectorAll(".told")) told.remove();
}

function fail(text, field) {
  error.textContent = text;
  error.hidden = false;
  if (field) {
    field.setAttribute("aria-invalid", "true");
    field.after(make("p", { class: "told" }, text));
    const hiding = field.closest("details");
    if (hiding) hiding.open = true;
    field.focus();
  } else {
    error.scrollIntoView({ block: "center" });
  }
}

form.addEventListener("reset", () => {
  for (const place of places) take(place, []);
  mend();
  result.hidden = true;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  mend();
  let body;
  try {
    const given = values();
    if (!places.some((place) => place.pictures.length) && !Object.keys(given).length) throw new Wrong("Give an image or at least one value.");
    body = new FormData();
    for (const place of places) for (const picture of place.pictures) body.append(place.part, picture, "image");
    if (Object.keys(given).length) body.append("metadata", JSON.stringify(given));
  } catch (wrong) {
    if (!(wrong instanceof Wrong)) throw wrong;
    fail(wrong.message, wrong.field);
    return;
  }
  go.disabled = true;
  go.textContent = "Scoring …";
  result.hidden = true;
  try {
    const token = document.getElementById("token").value.trim();
    const response = await fetch("v1/predict?explain=" + document.getElementById("explain").checked, {
      method: "POST", body, headers: token ? { Authorization: "Bearer " + token } : {},
    });
    const content = await response.json();
    if (response.ok) {
      show(content);
    } else if (response.status === 401) {
      tokenField.hidden = false;
      fail("This service needs its token.", document.getElementById("token"));
    } else {
      fail(content.detail || content.title || "The service answered " + response.status + ".");
    }
  } catch (lost) {
    fail("The service does not answer. Is it still running?");
  } finally {
    go.disabled = false;
    go.textContent = "Score";
  }
});

function bar(score) {
  const svg = drawn("svg", { class: "bar", viewBox: "0 0 400 62", role: "img" });
  const x = (p) => 14 + 372 * p;
  let label = "Probability " + percent(score.probability) + ", threshold " + percent(score.threshold);
  svg.append(drawn("line", { x1: x(0), x2: x(1), y1: 30, y2: 30, stroke: "var(--line)", "stroke-width": 8, "stroke-linecap": "round" }));
  if (score.interval) {
    label += ", 95 % interval " + percent(score.interval.low) + " to " + percent(score.interval.high);
    svg.append(drawn("line", { x1: x(score.interval.low), x2: x(score.interval.high), y1: 30, y2: 30, stroke: "var(--soft)", "stroke-width": 8 }));
  }
  svg.append(drawn("line", { x1: x(score.threshold), x2: x(score.threshold), y1: 16, y2: 44, stroke: "var(--ink)", "stroke-width": 2, "stroke-dasharray": "3 2" }));
  const left = score.threshold > 0.5;
  svg.append(drawn("text", { x: x(score.threshold) + (left ? -5 : 5), y: 13, "text-anchor": left ? "end" : "start" }, "threshold " + percent(score.threshold)));
  svg.append(drawn("circle", { cx: x(score.probability), cy: 30, r: 8, fill: score.probability >= score.threshold ? "var(--high)" : "var(--low)", stroke: "var(--ground)", "stroke-width": 2 }));
  for (const p of [0, 0.5, 1]) svg.append(drawn("text", { x: x(p), y: 58, "text-anchor": p === 0 ? "start" : p === 1 ? "end" : "middle" }, 100 * p + " %"));
  svg.setAttribute("aria-label", label);
  return svg;
}

function list(items, kind) {
  return make("ul", { class: "findings" }, ...items.map((text) => make("li", { class: kind }, text)));
}

function changes(contributions) {
  const grid = make("div", { class: "changes" });
  const most = Math.max(...contributions.map((c) => Math.abs(c.change)), 1e-9);
  for (const c of contributions.slice(0, 15)) {
    const svg = drawn("svg", { viewBox: "-100 0 200 12", preserveAspectRatio: "none", "aria-hidden": "true" });
    const width = 98 * Math.abs(c.change) / most;
    svg.append(drawn("line", { x1: 0, x2: 0, y1: 0, y2: 12, stroke: "var(--soft)", "stroke-width": 0.6 }));
    svg.append(drawn("rect", { x: c.change > 0 ? 0 : -width, y: 2, width, height: 8, fill: c.change > 0 ? "var(--high)" : "var(--low)" }));
    const sign = c.change > 0 ? "+" : c.change < 0 ? "−" : "";
    grid.append(make("div", { class: "change" }, make("span", { class: "name" }, c.name + ": " + c.value), svg, make("span", { class: "n" }, sign + Math.abs(c.change).toFixed(2))));
  }
  return grid;
}

function table(head, rows) {
  const body = rows.map((row) => make("tr", {}, make("th", { scope: "row" }, row[0]), ...row.slice(1).map((cell) => make("td", {}, cell))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...head.map((h) => make("th", { scope: "col" }, h)))), make("tbody", {}, ...body)));
}

function between(interval) { return interval ? percent(interval.low) + " to " + percent(interval.high) : "—"; }

function overTime(days) {
  const [unit, size] = days > 730 ? ["years", 365.25] : days > 90 ? ["months", 30.4375] : ["days", 1];
  const steps = [1, 2, 3, 5, 6, 10, 12, 20, 50, 100, 500, 1000, 5000];
  const step = steps.find((s) => days / size / s <= 6) || 10000;
  return { unit, size, ticks: Array.from({ length: Math.floor(days / size / step) + 1 }, (_, k) => k * step) };
}

function stretches(curve) {
  // Where there is an interval; each stretch is one band.
  const found = [];
  let open = null;
  curve.days.forEach((d, k) => {
    if (curve.low === null || curve.low[k] === null || curve.high[k] === null) { open = null; return; }
    if (!open) found.push(open = []);
    open.push(k);
  });
  return found;
}

function curveOf(r) {
  const curve = r.curve, last = curve.days[curve.days.length - 1] || 1;
  const svg = drawn("svg", { class: "curve", viewBox: "0 0 400 232", role: "img" });
  const x = (d) => 48 + 340 * d / last, y = (p) => 190 - 174 * p;
  for (const p of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(drawn("line", { x1: x(0), x2: x(last), y1: y(p), y2: y(p), stroke: "var(--line)", "stroke-width": 1 }));
    svg.append(drawn("text", { x: 42, y: y(p) + 4, "text-anchor": "end" }, 100 * p + " %"));
  }
  const axis = overTime(last);
  for (const t of axis.ticks) svg.append(drawn("text", { x: x(t * axis.size), y: 207, "text-anchor": "middle" }, String(t)));
  svg.append(drawn("text", { x: x(last / 2), y: 226, "text-anchor": "middle" }, axis.unit + (r.time_zero ? " since " + r.time_zero : "")));
  for (const part of stretches(curve)) {
    const there = part.map((k) => x(curve.days[k]) + "," + y(curve.high[k]));
    const back = part.slice().reverse().map((k) => x(curve.days[k]) + "," + y(curve.low[k]));
    svg.append(drawn("polygon", { points: there.concat(back).join(" "), fill: "var(--link)", opacity: 0.18 }));
  }
  for (const risk of r.risks) {
    if (risk.risk === null || risk.days > last) continue;
    svg.append(drawn("line", { x1: x(risk.days), x2: x(risk.days), y1: y(0), y2: y(1), stroke: "var(--soft)", "stroke-width": 1, "stroke-dasharray": "3 3" }));
  }
  const points = curve.days.map((d, k) => x(d) + "," + y(curve.event_free[k])).join(" ");
  svg.append(drawn("polyline", { points, fill: "none", stroke: "var(--link)", "stroke-width": 2.5 }));
  for (const risk of r.risks) {
    if (risk.risk === null || risk.days > last) continue;
    svg.append(drawn("circle", { cx: x(risk.days), cy: y(1 - risk.risk), r: 5, fill: "var(--link)", stroke: "var(--ground)", "stroke-width": 2 }));
  }
  const said = r.risks.filter((k) => k.risk !== null).map((k) => k.horizon + " " + percent(1 - k.risk));
  svg.setAttribute("aria-label", "Probability of being free of the event: " + said.join(", "));
  return svg;
}

function signed(value) { return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2); }

function inYears(days) { return days > 365 ? (days / 365.25).toFixed(1) + " years" : days.toFixed(0) + " days"; }

function probabilityParts(r) {
  const high = r.probability >= r.threshold;
  return [
    make("p", { class: "big" }, percent(r.probability)),
    make("p", {}, make("span", { class: "risk " + (high ? "high" : "low") }, r.risk), " (" + percent(r.threshold) + ")" + (r.interval ? ", 95 % interval " + between(r.interval) : "")),
    bar(r),
  ];
}

function timesParts(r) {
  const known = r.risks.filter((k) => k.risk !== null), last = known[known.length - 1];
  const parts = [];
  if (last) parts.push(make("p", { class: "big" }, percent(last.risk)), make("p", {}, "risk of the event by " + last.horizon + (last.interval ? ", 95 % interval " + between(last.interval) : "") + "; ", make("span", { class: "risk" }, r.risk)));
  parts.push(table(["By", "Risk", "95 % interval"], r.risks.map((k) => [k.horizon, percent(k.risk), between(k.interval)])));
  parts.push(make("h3", {}, "Free of the event over time"), curveOf(r));
  return parts;
}

function timesFacts(r) {
  const hazard = signed(r.log_hazard_ratio) + (r.interval ? " (" + signed(r.interval.low) + " to " + signed(r.interval.high) + ")" : "");
  const median = r.median_days === null ? "not reached by " + inYears(r.known_until_days) : inYears(r.median_days);
  return [["Risk reaches 50 % at", median], ["Log hazard ratio", hazard]];
}

function others(r) {
  if (!r.risks) return table(["Arm", "Probability", "95 % interval", "Risk"], r.others.map((o) => [o.arm, percent(o.probability), between(o.interval), o.risk]));
  const rows = r.others.flatMap((o) => o.risks.map((k) => [o.arm, k.horizon, percent(k.risk), between(k.interval), o.risk]));
  return table(["Arm", "By", "Risk", "95 % interval", "Group"], rows);
}

function pictured(o) {
  const said = o.heated ? "" : ": nothing in the picture raises the score, so there is no heat to show";
  return make("figure", {}, make("img", { src: "data:image/png;base64," + o.png_base64, alt: "Grad-CAM of " + o.encoder + " over " + o.image + said }), make("figcaption", {}, o.image + ", " + o.encoder + said));
}

function overlays(all) {
  // A map of a network that was never trained looks like any other and means nothing: it is kept apart.
  const trained = all.filter((o) => o.trained), rest = all.filter((o) => !o.trained), parts = [];
  if (trained.length) parts.push(make("h3", {}, "Where the image raises the score"), make("div", { class: "overlays" }, ...trained.map(pictured)));
  if (rest.length) parts.push(make("details", { class: "untrained" }, make("summary", {}, "Maps of encoders that were never trained"), make("p", { class: "soft" }, "Their weights are random. The maps show what an untrained network passes on, and nothing of the lesion."), make("div", { class: "overlays" }, ...rest.map(pictured))));
  return parts;
}

function show(r) {
  const parts = r.risks ? timesParts(r) : probabilityParts(r);
  parts.push(make("p", { class: "research" }, make("strong", {}, r.disclaimer)));
  if (r.watermark) parts.push(make("p", { class: "mark" }, r.watermark));
  if (r.flags.length) parts.push(make("h3", {}, "Trust it less because"), list(r.flags.map((f) => f.text), "warning"));
  const facts = [["Made of", r.modalities.used.join(", ")], ["Without", r.modalities.absent.join(", ") || "—"]];
  const imputed = Object.entries(r.imputed);
  facts.push(["Missing values", r.missing.length ? r.missing.length + (imputed.length ? "; " + imputed.length + " filled in" : "") : "none"]);
  if (r.risks) facts.push(...timesFacts(r));
  if (r.ensemble) facts.push(["Heads of the ensemble", percent(r.ensemble[0]) + " to " + percent(r.ensemble[1])]);
  facts.push(["Arm", r.arm], ["Bundle", r.bundle.slice(0, 12)]);
  parts.push(make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
  if (imputed.length) {
    parts.push(make("details", {}, make("summary", {}, "What was filled in"), table(["Column", "Counted as"], imputed.map(([name, value]) => [name, value === null ? "no level" : String(typeof value === "number" ? Number(value.toPrecision(4)) : value)]))));
  }
  if (r.explanation) {
    const e = r.explanation;
    parts.push(...overlays(e.overlays));
    for (const note of e.notes) parts.push(make("p", { class: "soft" }, note));
    if (e.contributions.length) parts.push(make("h3", {}, "What each input changes"), make("p", { class: "soft" }, (r.risks ? "Log hazard ratio" : "Log odds") + " with the input minus those without it; to the right raises the risk. The parts do not add up: inputs stand in for one another."), changes(e.contributions));
  }
  if (r.images.length) parts.push(make("details", {}, make("summary", {}, "How ordinary the image is"), table(["Image", "Encoder", "Distance", "Flagged beyond", "Training images nearer"], r.images.map((d) => [d.image, d.encoder, d.distance.toFixed(2), d.limit.toFixed(2), percent(d.nearer)]))));
  if (r.others.length) parts.push(make("details", {}, make("summary", {}, "Other models of the bundle"), others(r)));
  if (r.caveats.length) parts.push(make("h3", {}, "Caveats"), list(r.caveats, "warning"));
  answer.replaceChildren(...parts);
  result.hidden = false;
  result.scrollIntoView({ block: "start" });
  result.focus({ preventScroll: true });
}

// Paper cannot be unfolded: what the answer folds is printed open, and folded again.
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...answer.querySelectorAll("details:not([open])")];
  folded.forEach((details) => { details.open = true; });
});
window.addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));
