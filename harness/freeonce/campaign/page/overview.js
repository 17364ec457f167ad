"use strict";
// The heat map of a campaign. All that a guest said reaches the page as text: by textContent, or
// drawn by fillText, never as markup.

const MOST = 30000; // px: no browser draws a larger canvas
const GUTTER = 320; // px, names of rows
const UNEXPECTED = 8; // added to a verdict
const canvas = document.getElementById("cells");
const at = document.getElementById("at");

async function unpacked() {
  const packed = document.getElementById("data").textContent.trim();
  const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function clamp(value, least, most) {
  return Math.max(least, Math.min(most, value));
}

// What is worth seeing first, where several results share a pixel.
function weight(verdict) {
  return verdict >= UNEXPECTED ? 10 + verdict : verdict;
}

function layout(data) {
  const numbers = Array.from(new Set(data.number)).sort((one, other) => one - other);
  const place = new Map(numbers.map((number, column) => [number, column]));
  const width = Math.max(document.getElementById("heat").clientWidth - GUTTER - 2, 100);
  return {
    numbers, place,
    wide: clamp(width / Math.max(numbers.length, 1), 0, 16),
    high: clamp(MOST / Math.max(data.names.length, 1), 0, 16),
    cells: new Map(),
  };
}

// As the style sheet has them, light or dark.
function colours(data) {
  const swatch = document.body.appendChild(document.createElement("span"));
  const found = [...data.verdicts, "unknown"].map((name) => {
    swatch.className = name;
    return getComputedStyle(swatch).color;
  });
  swatch.remove();
  return found;
}

function draw(data, map) {
  canvas.width = GUTTER + map.wide * map.numbers.length + 1;
  canvas.height = Math.max(map.high * data.names.length, 16);
  const context = canvas.getContext("2d");
  const colour = colours(data);
  const text = getComputedStyle(document.body).color;
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const result of map.cells.values()) {
    const verdict = data.verdict[result] % UNEXPECTED;
    const x = GUTTER + map.wide * map.place.get(data.number[result]);
    const y = map.high * data.row[result];
    const gap = map.wide > 4 && map.high > 4 ? 1 : 0;
    context.fillStyle = colour[Math.min(verdict, colour.length - 1)];
    context.globalAlpha = data.verdict[result] >= UNEXPECTED ? 1 : 0.45;
    context.fillRect(x, y, Math.max(map.wide - gap, 1), Math.max(map.high - gap, 1));
    context.globalAlpha = 1;
    if (data.verdict[result] >= UNEXPECTED && map.high > 6) {
      context.fillStyle = text;
      context.fillRect(x, y + map.high - 4, Math.max(map.wide - gap, 1), 3);
    }
  }
  if (map.high < 9) return;
  context.fillStyle = text;
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  data.names.forEach((name, row) => {
    context.fillText(shortened(context, name), 4, map.high * (row + 0.5));
  });
}

// The end of a name says more than its beginning.
function shortened(context, name) {
  let shown = name;
  while (shown && context.measureText(`…${shown}`).width > GUTTER - 12) shown = shown.slice(4);
  return shown === name ? name : `…${shown}`;
}

// One for each pixel at least, the worst of those that share it.
function place(data, map) {
  for (let result = 0; result < data.row.length; result++) {
    const key = pixel(map, map.place.get(data.number[result]), data.row[result]);
    const before = map.cells.get(key);
    if (before === undefined || weight(data.verdict[before]) < weight(data.verdict[result])) {
      map.cells.set(key, result);
    }
  }
}

function pixel(map, column, row) {
  const x = map.wide < 1 ? Math.floor(column * map.wide) : column;
  const y = map.high < 1 ? Math.floor(row * map.high) : row;
  return y * 65536 + x;
}

function tell(data, map, column, row) {
  const result = map.cells.get(pixel(map, column, row));
  if (result === undefined) {
    at.textContent = data.names[row] === undefined ? " " : `${data.names[row]}: nothing`;
    return;
  }
  const verdict = data.verdict[result];
  const parts = [
    `${data.names[data.row[result]]} (${data.number[result]}): ${data.verdicts[verdict % UNEXPECTED] || "?"}`,
    verdict >= UNEXPECTED ? "not as expected" : "",
    `${(data.ms[result] / 1000).toFixed(1)} s`,
    data.words[data.said[result]],
    `key ${data.key[result]}`,
  ];
  at.textContent = parts.filter(Boolean).join("; ");
}

function listen(data, map) {
  const here = { column: 0, row: 0 };
  const go = (column, row) => {
    here.column = clamp(column, 0, Math.max(map.numbers.length - 1, 0));
    here.row = clamp(row, 0, Math.max(data.names.length - 1, 0));
    tell(data, map, here.column, here.row);
  };
  canvas.addEventListener("pointermove", (event) => {
    go(Math.floor((event.offsetX - GUTTER) / map.wide), Math.floor(event.offsetY / map.high));
  });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    go(here.column + by[0], here.row + by[1]);
  });
}

unpacked().then((data) => {
  const map = layout(data);
  place(data, map);
  draw(data, map);
  listen(data, map);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(data, map));
  document.documentElement.dataset.drawn = data.row.length;
});
