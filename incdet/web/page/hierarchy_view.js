// One hierarchy of selective search: superpixels that merge, pair by pair, until the whole photo is one region.

import { byId } from "./elements.js";

function decodeLabels(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Uint32Array(bytes.buffer);
}

export function prepareHierarchy(told) {
  return { ...told, labels: decodeLabels(told.labels) };
}

// Number of regions at a place of the slider, 0 to 1000: equal steps change the number by equal factors.
export function regionsAt(place, hierarchy) {
  const count = hierarchy.sizes.length;
  return Math.max(Math.round(count ** (1 - place / 1000)), 1);
}

// Removes what is drawn, so that the photo shows until its own hierarchy is there.
export function clearHierarchy() {
  const canvas = byId("hierarchy");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

// The region that holds each superpixel when this number of regions is left.
function cut(hierarchy, numRegions) {
  const count = hierarchy.sizes.length;
  const parents = Array.from({ length: 2 * count - 1 }, (_, region) => region);
  hierarchy.merges.slice(0, count - numRegions).forEach(([one, other], number) => {
    parents[one] = count + number;
    parents[other] = count + number;
  });
  // a merged region has a larger number than its two parts
  for (let region = parents.length - 1; region >= 0; region -= 1) parents[region] = parents[parents[region]];
  return parents.slice(0, count);
}

export function showHierarchy(hierarchy, numRegions) {
  const { width, height, labels, colors, sizes } = hierarchy;
  const regions = cut(hierarchy, numRegions);
  // mean colour of each region, from those of its superpixels
  const sums = new Map();
  regions.forEach((region, superpixel) => {
    const sum = sums.get(region) || [0, 0, 0, 0];
    for (let channel = 0; channel < 3; channel += 1) sum[channel] += colors[superpixel][channel] * sizes[superpixel];
    sum[3] += sizes[superpixel];
    sums.set(region, sum);
  });
  const means = regions.map((region) => sums.get(region).slice(0, 3).map((value) => value / sums.get(region)[3]));
  const canvas = byId("hierarchy");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  for (let place = 0; place < labels.length; place += 1) {
    const label = labels[place];
    const right = (place + 1) % width ? regions[labels[place + 1]] : regions[label];
    const below = place + width < labels.length ? regions[labels[place + width]] : regions[label];
    const isBorder = right !== regions[label] || below !== regions[label];
    for (let channel = 0; channel < 3; channel += 1) {
      picture.data[4 * place + channel] = isBorder ? 255 : means[label][channel];
    }
    picture.data[4 * place + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}
