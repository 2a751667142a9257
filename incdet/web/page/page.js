// The page: photos come in, wait their turn, and are shown with boxes, reasons, proposals and a hierarchy.

import * as api from "./api.js";
import { showClasses, showTable } from "./detection_table.js";
import { boxIou, byId, make } from "./elements.js";
import { downloadButtons, saveBlob } from "./downloads.js";
import { hideExplanation, showExplanation } from "./explanation_view.js";
import { clearHierarchy, prepareHierarchy, regionsAt, showHierarchy } from "./hierarchy_view.js";
import { showDetections, showPhoto, showProposals, showReason } from "./photo_view.js";

// Everything that changes: photos in their order, the one that is shown, the chosen detection, classes turned off.
const state = { info: null, styles: new Map(), photos: [], current: null, chosen: null, off: new Set(), isWorking: false };

const view = () => document.querySelector('input[name="view"]:checked').value;
const threshold = () => Number(byId("threshold").value);

function tell(text, isError = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", isError);
}

// Rows of the detections that are shown, best first.
function shownRows(photo) {
  return photo.result.detections.flatMap((entry, row) =>
    entry.score >= threshold() && !state.off.has(entry.label) ? [row] : [],
  );
}

// ---- the server ----

async function start() {
  try {
    state.info = await api.getInfo();
  } catch (error) {
    byId("server-text").textContent = error.status === 401 ? "A token is needed." : error.message;
    byId("token-form").hidden = error.status !== 401;
    return;
  }
  byId("token-form").hidden = true;
  const { info } = state;
  byId("server-text").textContent = `${info.networks}; ${info.classes.length} classes; version ${info.version}`;
  state.styles = new Map(info.classes.map((entry) => [entry.name, entry]));
  byId("threshold").value = info.display_threshold;
  byId("hierarchy-choice").hidden = !info.has_hierarchies;
  byId("samples").replaceChildren(...(await Promise.all(info.samples.map(sampleButton))));
  byId("downloads").replaceChildren(...downloadButtons(state, shownRows, tell));
}

async function sampleButton(name) {
  const title = name.replace(/\..*$/, "").replaceAll("_", " ");
  const button = make("button", { type: "button" }, title);
  try {
    const blob = await api.getSample(name);
    button.prepend(make("img", { src: URL.createObjectURL(blob), alt: "" }));
    button.addEventListener("click", () => addPhotos([new File([blob], name, { type: blob.type })]));
  } catch {
    button.disabled = true;
  }
  return button;
}

// ---- photos ----

function addPhotos(files) {
  const { info } = state;
  if (info === null) return tell("The server has not answered yet.", true);
  for (const file of files) {
    const photo = { name: file.name || "pasted.png", file, url: URL.createObjectURL(file), state: "waits" };
    if (file.size > info.limits.max_bytes) {
      photo.state = "failed";
      photo.error = `it has more than ${Math.round(info.limits.max_bytes / 1e6)} MB, the limit of the server`;
    }
    state.photos.push(photo);
  }
  if (files.length === 0) tell("There is no photo in what you gave.", true);
  showList();
  work();
}

async function work() {
  if (state.isWorking) return;
  state.isWorking = true;
  for (;;) {
    const photo = state.photos.find((entry) => entry.state === "waits");
    if (!photo) break;
    photo.state = "works";
    photo.abort = new AbortController();
    showList();
    try {
      photo.result = await api.sendPhoto("/v1/explain", photo.file, { name: photo.name.slice(-200) }, photo.abort.signal);
      photo.state = "done";
    } catch (error) {
      photo.state = "failed";
      photo.error = error.message;
    }
    showList();
    // the first photo that is done is shown at once
    const isShown = state.photos.includes(photo) && photo.state === "done" && state.current === null;
    if (isShown) select(photo);
  }
  state.isWorking = false;
}

function showList() {
  const { photos } = state;
  const words = { waits: "waits", works: "is looked at …", done: "", failed: "failed" };
  byId("photo-list").replaceChildren(
    ...photos.map((photo) => {
      const text = words[photo.state] ? `${photo.name} (${words[photo.state]})` : photo.name;
      const open = make("button", {
        type: "button",
        class: photo.state === "failed" ? "is-failed" : null,
        "aria-current": photo === state.current ? "true" : null,
        onclick: () => select(photo),
      }, text);
      const remove = make("button", { type: "button", "aria-label": `Remove ${photo.name}`, onclick: () => drop(photo) }, "×");
      return make("li", {}, open, remove);
    }),
  );
  const ended = photos.filter((photo) => photo.state === "done" || photo.state === "failed").length;
  const bar = byId("progress");
  bar.hidden = photos.length === 0 || ended === photos.length;
  bar.max = photos.length || 1;
  bar.value = ended;
  const failed = photos.filter((photo) => photo.state === "failed");
  if (failed.length > 0) {
    const last = failed[failed.length - 1];
    tell(`${last.name}: ${last.error}`, true);
  } else if (photos.length > 0) {
    tell(ended === photos.length ? `${ended} of ${photos.length} photos done` : `${ended} of ${photos.length} photos done, working …`);
  } else {
    tell("");
  }
}

function drop(photo) {
  photo.abort?.abort();
  if (photo.state === "waits") photo.state = "failed";
  URL.revokeObjectURL(photo.url);
  state.photos = state.photos.filter((entry) => entry !== photo);
  if (photo === state.current) {
    state.current = null;
    byId("result").hidden = true;
    const other = state.photos.find((entry) => entry.state === "done");
    if (other) select(other);
  }
  showList();
}

function select(photo) {
  if (photo.state !== "done") {
    if (photo.state === "failed") tell(`${photo.name}: ${photo.error}`, true);
    return;
  }
  state.current = photo;
  state.chosen = null;
  hideExplanation();
  byId("result").hidden = false;
  byId("result-heading").textContent = photo.name;
  showPhoto(photo);
  const count = byId("proposal-count");
  count.max = Math.max(photo.result.proposals.length, 1);
  count.value = Math.min(100, photo.result.proposals.length);
  byId("region-count").value = 300;
  showClasses(photo, state, refresh);
  showList();
  refresh();
}

// ---- the result ----

function refresh() {
  const photo = state.current;
  if (photo === null) return;
  const now = view();
  byId("detection-controls").hidden = now !== "detections";
  byId("proposal-controls").hidden = now !== "proposals";
  byId("hierarchy-controls").hidden = now !== "hierarchy";
  byId("hierarchy").hidden = now !== "hierarchy";
  byId("threshold-text").textContent = threshold().toFixed(2);
  const rows = shownRows(photo);
  if (!rows.includes(state.chosen)) {
    state.chosen = null;
    hideExplanation();
  }
  showTable(photo, rows, state, threshold(), choose);
  if (now === "detections") refreshDetections(photo, rows);
  if (now === "proposals") refreshProposals(photo, rows);
  if (now === "hierarchy") refreshHierarchy(photo);
}

function refreshDetections(photo, rows) {
  showDetections(photo, rows, state.styles, state.chosen, choose);
  if (state.chosen === null) return;
  const explanation = photo.result.explanations[state.chosen];
  showExplanation(photo.result.detections[state.chosen], explanation, state.info.iou_threshold);
  showReason(explanation);
}

function refreshProposals(photo, rows) {
  const { proposals, detections } = photo.result;
  const count = Number(byId("proposal-count").value);
  byId("proposal-text").textContent = `${count} of ${proposals.length}`;
  showProposals(proposals, Math.min(count, proposals.length));
  const best = rows.map((row) => Math.max(0, ...proposals.slice(0, count).map((entry) => boxIou(entry.box, detections[row].box))));
  const covered = best.filter((iou) => iou >= 0.5).length;
  const mean = best.reduce((sum, iou) => sum + iou, 0) / Math.max(best.length, 1);
  byId("coverage").textContent = rows.length
    ? `They cover ${covered} of the ${rows.length} found boxes at an overlap (IoU) of 0.5 or more; the mean of the best overlaps is ${mean.toFixed(2)}.`
    : "Nothing is found at this score, so there is nothing to cover.";
}

async function refreshHierarchy(photo) {
  byId("boxes").replaceChildren();
  if (!photo.hierarchy) {
    clearHierarchy();
    byId("region-text").textContent = "";
    byId("hierarchy-text").textContent = "The photo is segmented …";
    // the slider may move meanwhile: one request is enough
    photo.hierarchyRequest ??= api.sendPhoto("/v1/hierarchy", photo.file);
    let problem = null;
    try {
      const told = await photo.hierarchyRequest;
      photo.hierarchy ??= prepareHierarchy(told);
    } catch (error) {
      photo.hierarchyRequest = null;
      problem = error.message;
    }
    // another photo or view may have been chosen meanwhile
    if (photo !== state.current || view() !== "hierarchy") return;
    if (problem !== null) {
      byId("hierarchy-text").textContent = problem;
      return;
    }
  }
  const count = regionsAt(Number(byId("region-count").value), photo.hierarchy);
  byId("region-text").textContent = `${count} of ${photo.hierarchy.sizes.length} superpixels`;
  const { color_space: space, similarity, k } = photo.hierarchy;
  byId("hierarchy-text").textContent =
    `Segmentation in ${space} with k = ${k}; neighbours merge by ${similarity.replaceAll("_", " + ")}. ` +
    "The box of every region on the way is a proposal.";
  showHierarchy(photo.hierarchy, count);
}

function choose(row, fromTable = false) {
  const isSame = state.chosen === row && !fromTable;
  state.chosen = isSame ? null : row;
  if (isSame) hideExplanation();
  document.querySelector('input[name="view"][value="detections"]').checked = true;
  refresh();
  if (!isSame) byId("why").focus({ preventScroll: !fromTable });
}

// ---- events ----

byId("file-field").addEventListener("change", (event) => {
  addPhotos([...event.target.files]);
  event.target.value = "";
});
const zone = byId("drop-zone");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("is-over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) zone.classList.remove("is-over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("is-over");
  addPhotos([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
  if (files.length > 0) addPhotos(files);
});
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  api.setToken(byId("token-field").value);
  start();
});
// a link would not bring the token
byId("api-button").addEventListener("click", async () => {
  try {
    saveBlob(await api.getOpenApi(), "openapi.json");
  } catch (error) {
    tell(error.message, true);
  }
});
byId("why-close").addEventListener("click", () => {
  state.chosen = null;
  hideExplanation();
  refresh();
  byId("result").focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.chosen !== null) byId("why-close").click();
});
byId("photo").addEventListener("error", () => {
  tell("The browser cannot show this kind of photo; boxes are drawn without it.", true);
});
for (const id of ["threshold", "proposal-count", "region-count"]) byId(id).addEventListener("input", refresh);
byId("views").addEventListener("change", refresh);
window.addEventListener("resize", refresh);
start();
