// "Why?": the proposal behind a detection, what every network says, and what was suppressed, in words and tables.

import { boxText, byId, make, percent } from "./elements.js";

const SOURCES = { multibox: "MultiBox, the network that proposes boxes", selective_search: "selective search" };
const MAX_ROWS = 8;

function fact(name, value) {
  return [make("dt", {}, name), make("dd", {}, value)];
}

function networkTable(network) {
  const rows = network.best.map((entry) => classRow(entry.label, entry.probability));
  rows.push(classRow("none of them (background)", network.background));
  const seen = network.has_seen ? "" : " did not see this region: the values of the networks before it stand for it";
  const caption = make("caption", { class: "visually-hidden" }, `Most probable classes by ${network.name}`);
  const head = make(
    "thead",
    {},
    make("tr", {}, ...["Class", "Probability", ""].map((text) => (text ? make("th", { scope: "col" }, text) : make("td", {})))),
  );
  return [
    make("h4", {}, network.name),
    ...(seen ? [make("p", {}, seen.trim())] : []),
    make("table", {}, caption, head, make("tbody", {}, ...rows)),
  ];
}

function classRow(name, probability) {
  const bar = make("div", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${Math.max(100 * probability, 0.5)}%`;
  return make("tr", {}, make("td", {}, name), make("td", {}, percent(probability)), make("td", { class: "bar-cell" }, bar));
}

function suppressedTable(explanation) {
  const total = explanation.num_suppressed;
  if (total === 0) return [make("p", {}, "No other box of this class overlapped it enough to be left out.")];
  const shown = explanation.suppressed.slice(0, MAX_ROWS);
  const rows = shown.map((entry) =>
    make(
      "tr",
      {},
      make("td", {}, percent(entry.score)),
      make("td", {}, entry.iou.toFixed(2)),
      make("td", {}, boxText(entry.box)),
    ),
  );
  const heads = ["Probability", "Overlap (IoU)", "Box"].map((text) => make("th", { scope: "col" }, text));
  const words = total === 1 ? "1 box of this class was" : `${total} boxes of this class were`;
  const part = total > shown.length ? `; the best ${shown.length}:` : ":";
  return [
    make("p", {}, `${words} left out, because they overlap this better one${part}`),
    make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)),
    make("p", {}, "On the photo: white dashes are the proposal, yellow dots are boxes that were left out."),
  ];
}

function scoreFacts(detection, explanation) {
  const { part_factor: part, prominence_factor: prominence } = explanation;
  const factors = [];
  // what leaves 99.5 % or more is not worth a word
  if (part < 0.995) factors.push(`× ${percent(part)} (it lies inside a larger ${detection.label})`);
  if (prominence < 0.995) factors.push(`× ${percent(prominence)} (another detection is larger)`);
  if (factors.length === 0 || part * prominence === 0) return [];
  const probability = percent(detection.score / part / prominence);
  return fact("Score", [probability, ...factors, `= ${percent(detection.score)}`].join(" "));
}

export function showExplanation(detection, explanation, iouThreshold) {
  byId("why-heading").textContent = `Why ${detection.label}, ${percent(detection.score)}?`;
  const facts = make(
    "dl",
    {},
    ...fact("Proposed by", SOURCES[explanation.source] || explanation.source),
    ...fact("Rank there", String(explanation.rank)),
    ...fact("Proposed box", boxText(explanation.proposal_box)),
    ...fact("Moved to", boxText(explanation.region_box)),
    ...fact("Detection", boxText(detection.box)),
    ...scoreFacts(detection, explanation),
  );
  byId("why-content").replaceChildren(
    facts,
    ...explanation.networks.flatMap(networkTable),
    make("h4", {}, `Suppressed (overlap above ${iouThreshold})`),
    ...suppressedTable(explanation),
  );
  byId("why").hidden = false;
}

export function hideExplanation() {
  byId("why").hidden = true;
}
