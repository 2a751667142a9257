// Files of what is shown: the server changes the form of detections, the browser draws the picture.

import * as api from "./api.js";
import { make } from "./elements.js";
import { drawPicture } from "./photo_view.js";

// Title, form, ending or name of the file, and whether it is about all photos.
const FORMATS = [
  ["JSON", "jsonl", "detections.jsonl", true],
  ["COCO", "coco", "detections.coco.json", true],
  ["CSV", "csv", "detections.csv", true],
  ["CVAT", "cvat", "detections.cvat.xml", true],
  ["VOC", "voc", ".xml", false],
  ["YOLO", "yolo", ".txt", false],
  ["LabelMe", "labelme", ".json", false],
];

export function saveBlob(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const stem = (photo) => photo.name.replace(/\.[^.]*$/, "");

// One button for each form; `shownRows` tells the rows of a photo's detections that are shown.
export function downloadButtons(state, shownRows, tell) {
  const lineOf = (photo) => {
    const { image, width, height, detections } = photo.result;
    return { image, width, height, detections: shownRows(photo).map((row) => detections[row]) };
  };

  async function save(makeBlob, name) {
    try {
      saveBlob(await makeBlob(), name);
    } catch (error) {
      tell(error.message, true);
    }
  }

  const button = (title, onclick) => make("button", { type: "button", class: "plain", onclick }, title);
  const buttons = FORMATS.map(([title, format, ending, isOfAll]) =>
    button(title, () => {
      const photos = isOfAll ? state.photos.filter((photo) => photo.state === "done") : [state.current];
      save(() => api.convert(photos.map(lineOf), format), isOfAll ? ending : stem(state.current) + ending);
    }),
  );
  buttons.push(
    button("Picture", () => {
      const photo = state.current;
      save(() => drawPicture(photo, shownRows(photo), state.styles), `${stem(photo)}.boxes.png`);
    }),
  );
  return buttons;
}
