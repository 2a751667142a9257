// The table of detections, and the boxes that turn classes on and off.

import { boxText, byId, make, percent } from "./elements.js";

export function showTable(photo, rows, state, threshold, choose) {
  const body = byId("detection-table").tBodies[0];
  body.replaceChildren(
    ...rows.map((row) => {
      const { label, score, box } = photo.result.detections[row];
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = state.styles.get(label).color;
      const why = make("button", { type: "button", "aria-label": `Why? ${label} ${score.toFixed(2)}`, onclick: () => choose(row, true) }, "Why?");
      return make("tr", { class: row === state.chosen ? "is-chosen" : null }, make("td", {}, swatch, label), make("td", {}, percent(score)), make("td", {}, boxText(box)), make("td", {}, why));
    }),
  );
  const best = photo.result.detections.find((entry) => !state.off.has(entry.label));
  byId("empty-text").hidden = rows.length > 0;
  byId("empty-text").textContent = best
    ? `Nothing reaches ${threshold.toFixed(2)}; the best is ${best.label} with ${best.score.toFixed(2)}.`
    : "Nothing is found in this photo.";
}

export function showClasses(photo, state, refresh) {
  const names = [...new Set(photo.result.detections.map((entry) => entry.label))];
  const boxes = names.map((name) => {
    const field = make("input", { type: "checkbox" });
    field.checked = !state.off.has(name);
    field.addEventListener("change", () => {
      if (field.checked) state.off.delete(name);
      else state.off.add(name);
      refresh();
    });
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = state.styles.get(name).color;
    return make("label", {}, field, swatch, name);
  });
  byId("classes").replaceChildren(make("legend", {}, "Classes"), ...boxes);
}
