// The photo with boxes over it: detections, proposals by rank, and the boxes behind one detection.

import { byId, makeSvg } from "./elements.js";

const DASHES = { solid: null, dashed: "12 8", dotted: "3 5" };

function rectangle(box, attributes) {
  const [x1, y1, x2, y2] = box;
  return makeSvg("rect", { x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0), ...attributes });
}

// Size of letters in pixels of the photo, so that they have the same size on the screen whatever the photo's size.
function fontSize(width) {
  const shown = byId("stage").clientWidth || 600;
  return (14 * width) / shown;
}

function label(detection, style, width) {
  const size = fontSize(width);
  const text = `${detection.label} ${detection.score.toFixed(2)}`;
  const [x1, y1] = detection.box;
  const boxWidth = size * (0.62 * text.length + 0.6);
  const left = Math.max(Math.min(x1, width - boxWidth), 0);
  const top = y1 >= size * 1.4 ? y1 - size * 1.4 : Math.max(y1, 0);
  return makeSvg(
    "g",
    { "aria-hidden": "true" },
    makeSvg("rect", { x: left, y: top, width: boxWidth, height: size * 1.4, fill: style.color }),
    makeSvg("text", { x: left + size * 0.3, y: top + size * 1.02, "font-size": size, fill: style.text_color }, text),
  );
}

function detectionBox(detection, style, state, width, choose) {
  const dashes = DASHES[style.line];
  const group = makeSvg("g", {
    class: `box ${state}`,
    tabindex: 0,
    role: "button",
    "aria-pressed": String(state === "is-chosen"),
    "aria-label": `${detection.label} ${detection.score.toFixed(2)}: why?`,
    onclick: choose,
    onkeydown: (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose();
      }
    },
  });
  // a line of the other lightness below, so that the box shows on a ground of its own colour
  group.append(
    rectangle(detection.box, { class: "under", stroke: style.text_color, "stroke-opacity": 0.6 }),
    rectangle(detection.box, { class: "frame", stroke: style.color, "stroke-dasharray": dashes }),
    label(detection, style, width),
  );
  return group;
}

export function showPhoto(photo) {
  const { width, height } = photo.result;
  byId("stage").style.aspectRatio = `${width} / ${height}`;
  byId("photo").src = photo.url;
  byId("photo").alt = `The photo ${photo.name}`;
  byId("boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
}

export function showDetections(photo, rows, styles, chosen, choose) {
  const { width, detections } = photo.result;
  // the best detections come last, because they then lie on top
  const groups = [...rows].reverse().map((row) => {
    const detection = detections[row];
    const other = chosen === null ? "" : "is-other";
    return detectionBox(detection, styles.get(detection.label), row === chosen ? "is-chosen" : other, width, () => choose(row));
  });
  byId("boxes").replaceChildren(...groups);
}

// Draws the proposal behind a detection, and what the detection suppressed.
export function showReason(explanation) {
  const layer = makeSvg("g", { "aria-hidden": "true", "pointer-events": "none" });
  for (const suppressed of explanation.suppressed) layer.append(rectangle(suppressed.box, { class: "suppressed" }));
  layer.append(
    rectangle(explanation.proposal_box, { class: "reason-ground" }),
    rectangle(explanation.proposal_box, { class: "reason" }),
  );
  // below the boxes, whose labels stay readable
  byId("boxes").prepend(layer);
}

// Draws the first proposals from yellow (the best) to blue.
export function showProposals(proposals, count) {
  const layer = makeSvg("g", { "aria-hidden": "true" });
  for (let rank = count - 1; rank >= 0; rank -= 1) {
    const hue = 54 + (180 * rank) / Math.max(count - 1, 1);
    const color = `hsl(${hue} 90% ${rank < 10 ? 55 : 50}%)`;
    layer.append(rectangle(proposals[rank].box, { class: "proposal", stroke: color }));
  }
  byId("boxes").replaceChildren(layer);
}

// The photo with its boxes as a picture of the photo's own size.
export async function drawPicture(photo, rows, styles) {
  const { width, height, detections } = photo.result;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.drawImage(byId("photo"), 0, 0, width, height);
  const size = Math.min(Math.max(0.028 * Math.max(width, height), 11), 60);
  context.font = `600 ${size}px sans-serif`;
  context.textBaseline = "middle";
  for (const row of [...rows].reverse()) {
    const { box, label: name, score } = detections[row];
    const style = styles.get(name);
    const [x1, y1, x2, y2] = box;
    context.lineWidth = Math.max(2, size / 7);
    context.strokeStyle = style.color;
    context.setLineDash((DASHES[style.line] || "").split(" ").filter(Boolean).map(Number));
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const text = `${name} ${score.toFixed(2)}`;
    const textWidth = context.measureText(text).width + 0.6 * size;
    const left = Math.max(Math.min(x1, width - textWidth), 0);
    const top = y1 >= size * 1.4 ? y1 - size * 1.4 : Math.max(y1, 0);
    context.fillStyle = style.color;
    context.fillRect(left, top, textWidth, size * 1.4);
    context.fillStyle = style.text_color;
    context.fillText(text, left + 0.3 * size, top + 0.7 * size);
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
