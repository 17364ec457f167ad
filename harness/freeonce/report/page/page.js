"use strict";
// The page's own script: filters, and a scenario's pictures when it is opened. All that a guest
// said reaches the page as text: by textContent or setAttribute, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const GUTTER = 170; // px, names of allocations
const MARGIN = 24; // px, right of the axis
const ROW = 20; // px
const BAND = 8; // px, what the CPU was given, under the allocation's bar
const EXITS = 34; // px, lane of VMRUN and #VMEXIT
const STEP = 14; // px, a row of the steps' names
const STEP_ROWS = 4; // more stand without their name, which hovering tells
const LETTER = 6.5; // px, about, of a step's name
const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "us"], [1, "ns"]];

const tip = document.getElementById("tip");
const search = document.getElementById("search");
const rows = Array.from(document.querySelectorAll("tr.scenario"), (row) => ({
  row,
  verdict: row.dataset.verdict,
  rules: row.dataset.rules.split(" "),
  expected: row.dataset.expected === "1",
  words: `${row.cells[0].textContent} ${row.dataset.words}`.toLowerCase(),
}));

function html(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function svg(name, attributes = {}, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function duration(ns) {
  const [unit, name] = UNITS.find(([one]) => ns >= one) || UNITS[3];
  return `${+(ns / unit).toPrecision(4)} ${name}`;
}

// --- Filters ---

function filter() {
  const wanted = new Set();
  for (const box of document.querySelectorAll("#verdicts input")) if (box.checked) wanted.add(box.value);
  const rule = document.getElementById("rule").value;
  const unexpected = document.getElementById("unexpected").checked;
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const one of rows) {
    const show = wanted.has(one.verdict) && (!rule || one.rules.includes(rule))
      && !(unexpected && one.expected) && words.every((word) => one.words.includes(word));
    if (one.row.hidden === show) one.row.hidden = !show;
    const detail = one.row.nextElementSibling;
    if (detail && detail.classList.contains("detail")) detail.hidden = !show;
    shown += show;
  }
  for (const body of document.querySelectorAll("#scenarios tbody")) {
    body.hidden = !body.querySelector("tr.scenario:not([hidden])");
  }
  document.getElementById("shown").textContent = `${shown} of ${rows.length} shown`;
}

// --- Hover and focus ---

function tell(node, text) {
  node.setAttribute("aria-label", text);
  const show = (x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 8 : y + 18}px`;
  };
  node.addEventListener("pointermove", (event) => show(event.clientX, event.clientY));
  node.addEventListener("pointerleave", () => { tip.hidden = true; });
  node.addEventListener("focus", () => {
    const box = node.getBoundingClientRect();
    show(box.left, box.bottom - 12);
  });
  node.addEventListener("blur", () => { tip.hidden = true; });
}

// One tab stop a picture; the arrows go from thing to thing.
function roam(picture) {
  const things = Array.from(picture.querySelectorAll("g[role=img]"));
  things.forEach((thing, at) => thing.setAttribute("tabindex", at ? "-1" : "0"));
  picture.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = things[things.indexOf(document.activeElement) + by];
    if (!by || !things.includes(document.activeElement)) return;
    event.preventDefault();
    event.stopPropagation();
    if (next) next.focus();
  });
}

// --- The lifetime picture ---

function axis(drawing, width, byOrder) {
  const room = width - GUTTER - MARGIN;
  const first = drawing.first_event;
  const all = Math.max(1, byOrder ? drawing.events - first : drawing.span);
  const place = (time, order) => GUTTER + room * Math.min(1, Math.max(0, (byOrder ? order - first : time) / all));
  return { place, end: GUTTER + room, all, room };
}

// Ticks at 1, 2 or 5 times a power of ten, about 110 px apart.
function interval(scale) {
  const least = (scale.all * 110) / scale.room;
  const power = 10 ** Math.floor(Math.log10(least));
  const steps = [1, 2, 5, 10].map((by) => by * power);
  return Math.max(1, steps.find((step) => step >= least) || steps[3]);
}

function grid(picture, scale, height, byOrder) {
  const by = interval(scale);
  for (let value = 0; value <= scale.all; value += by) {
    const x = GUTTER + (scale.room * value) / scale.all;
    picture.append(svg("line", { x1: x, x2: x, y1: 0, y2: height - 20, class: "grid" }));
    const text = byOrder ? `event ${value}` : duration(value);
    picture.append(svg("text", { x, y: height - 6, class: "small", "text-anchor": "middle" }, text));
  }
}

function thing(picture, text, shapes) {
  const group = svg("g", { role: "img" });
  group.append(...shapes);
  tell(group, text);
  picture.append(group);
}

function barWords(bar) {
  const lines = [
    `${bar.name || `allocation ${bar.serial}`}: ${bar.kind}, ${bar.size} bytes`,
    `gva ${bar.pointer}, gpa ${bar.physical}`,
    `allocated at ${duration(bar.start)}${bar.place ? `, ${bar.place}` : ""}`,
  ];
  if (bar.end === null) lines.push("never released");
  else lines.push(`released at ${duration(bar.end)}${bar.release_place ? `, ${bar.release_place}` : ""}`);
  if (bar.withheld) lines.push("its release was wrong and was kept from the kernel");
  if (bar.rules.length) lines.push(`! ${bar.rules.join(", ")}`);
  return lines.join("\n");
}

function cross(x, y) {
  return svg("path", { d: `M${x - 5},${y - 5}l10,10m0,-10l-10,10`, class: "fault shape" });
}

function drawBar(picture, bar, y, scale) {
  const from = scale.place(bar.start, bar.first);
  const to = bar.end === null ? scale.end : Math.max(from + 3, scale.place(bar.end, bar.last));
  const wrong = bar.rules.length ? " wrong" : "";
  const label = bar.name || `allocation ${bar.serial}`;
  const short = label.length > 22 ? `${label.slice(0, 21)}…` : label;
  const shapes = [
    svg("text", { x: GUTTER - 8, y: y + 14, "text-anchor": "end" }, short),
    svg("rect", { x: from, y: y + 3, width: to - from, height: ROW - 7, rx: 2, class: `bar shape ${bar.kind}${wrong}` }),
  ];
  if (bar.end === null) shapes.push(svg("path", { d: `M${to},${y + 3}l8,${ROW / 2 - 3}l-8,${ROW / 2 - 4}`, class: "open" }));
  thing(picture, barWords(bar), shapes);
}

function bandWords(band) {
  const many = band.count > 1 ? `${band.count} places, the first at` : "at";
  const lines = [
    `${band.owner} may use it: ${band.what}`,
    `${many} gpa ${band.physical}, ${bytes(band.size)}`,
    `given at ${duration(band.start)}`,
    band.end === null ? "never taken back" : `taken back at ${duration(band.end)}`,
  ];
  if (band.identity) lines.push("L1's own memory, mapped where it lies");
  else if (!band.serial) lines.push("in no allocation");
  if (band.rules.length) lines.push(`! ${band.rules.join(", ")}`);
  return lines.join("\n");
}

function drawBand(picture, band, y, scale) {
  const from = scale.place(band.start, band.first);
  const to = band.end === null ? scale.end : Math.max(from + 3, scale.place(band.end, band.last));
  const wrong = band.rules.length ? " wrong" : "";
  thing(picture, bandWords(band), [svg("rect", { x: from, y, width: to - from, height: BAND - 3, class: `band shape${wrong}` })]);
}

function drawMark(picture, mark, lanes, scale) {
  const x = scale.place(mark.time, mark.sequence);
  const when = `at ${duration(mark.time)}, CPU ${mark.cpu}`;
  const many = mark.count > 1 ? ` x ${mark.count}` : "";
  if (mark.what === "step") {
    const { row, at, anchor } = lanes.names.get(mark);
    picture.append(svg("line", { x1: x, x2: x, y1: row * STEP + 4, y2: lanes.bottom, class: "step" }));
    const label = { x: at, y: row * STEP + 11, class: "small shape", "text-anchor": anchor };
    thing(picture, `step "${mark.text}" ${when}`, [svg("text", label, row < STEP_ROWS ? mark.text : "•")]);
  } else if (mark.what === "vmrun") {
    thing(picture, `VMRUN${many} ${when}\n${mark.text}`, [svg("path", { d: `M${x},${lanes.exits + 3}l5,11h-10z`, class: "entry shape" })]);
  } else if (mark.what === "vmexit") {
    thing(picture, `#VMEXIT${many} ${when}\n${mark.text}`, [svg("path", { d: `M${x},${lanes.exits + 30}l5,-11h-10z`, class: "entry shape" })]);
  } else {
    const y = lanes.of.get(mark.serial) ?? lanes.faults;
    thing(picture, `! ${mark.what} ${when}\n${mark.text}`, [cross(Math.min(x, scale.end), y + ROW / 2)]);
  }
}

// Names of steps that would cover each other stand in rows.
function stepNames(drawing, scale) {
  const ends = new Array(STEP_ROWS).fill(0);
  const names = new Map();
  for (const mark of drawing.marks.filter((one) => one.what === "step")) {
    const x = scale.place(mark.time, mark.sequence);
    const wide = mark.text.length * LETTER + 6;
    const late = x + wide > scale.end + MARGIN;
    const from = late ? x - wide : x;
    const free = ends.findIndex((end) => end <= from);
    const row = free < 0 ? STEP_ROWS : free;
    if (free >= 0) ends[row] = from + wide;
    names.set(mark, { row, at: late ? x - 3 : x + 3, anchor: late ? "end" : "start" });
  }
  return names;
}

// Each allocation has a row, with thinner ones under it for what the CPU was given of it at the same
// time. What lies in no allocation has rows above them.
function lanesOf(drawing, scale) {
  const has = (test) => drawing.marks.some(test);
  const bars = new Set(drawing.bars.map((bar) => bar.serial));
  const names = stepNames(drawing, scale);
  const exits = 4 + STEP * (1 + Math.max(-1, ...Array.from(names.values(), (name) => name.row)));
  const entries = has((mark) => mark.what === "vmrun" || mark.what === "vmexit");
  const faults = exits + (entries ? EXITS : 0);
  const lost = has((mark) => !["step", "vmrun", "vmexit"].includes(mark.what) && !bars.has(mark.serial));
  const loose = drawing.bands.filter((band) => !bars.has(band.serial));
  const given = new Map();
  const under = (bands, y) => {
    const ends = [];
    for (const band of bands) {
      const free = ends.findIndex((end) => end <= band.first);
      const lane = free < 0 ? ends.length : free;
      ends[lane] = band.last ?? Infinity;
      given.set(band, y + lane * BAND);
    }
    return y + ends.length * BAND;
  };
  const of = new Map();
  let bottom = faults + (lost || loose.length ? ROW : 0);
  bottom = under(loose, bottom);
  for (const bar of drawing.bars) {
    of.set(bar.serial, bottom);
    bottom = under(drawing.bands.filter((band) => band.serial === bar.serial), bottom + ROW - 3) + 3;
  }
  return { names, exits, entries, faults, none: lost || loose.length, given, of, bottom };
}

function lifetimes(drawing, width, byOrder) {
  const scale = axis(drawing, width, byOrder);
  const lanes = lanesOf(drawing, scale);
  const height = lanes.bottom + 26;
  const picture = svg("svg", { width, height, role: "group", "aria-label": "lifetimes of the allocations" });
  grid(picture, scale, height, byOrder);
  const name = (y, text) => picture.append(svg("text", { x: GUTTER - 8, y, "text-anchor": "end", class: "small" }, text));
  if (lanes.entries) name(lanes.exits + 21, "VMRUN / #VMEXIT");
  if (lanes.none) name(lanes.faults + 14, "no allocation");
  for (const bar of drawing.bars) drawBar(picture, bar, lanes.of.get(bar.serial), scale);
  for (const [band, y] of lanes.given) drawBand(picture, band, y, scale);
  for (const mark of drawing.marks) drawMark(picture, mark, lanes, scale);
  return picture;
}

// --- What was live over time ---

const LANE = 64; // px, of one family

function usage(drawing, width) {
  const height = drawing.usage.length * LANE + 26;
  const picture = svg("svg", { width, height, role: "group", "aria-label": "live memory over time" });
  const scale = axis(drawing, width, false);
  grid(picture, scale, height, false);
  drawing.usage.forEach((one, at) => drawUsage(picture, one, at * LANE + 4, scale, drawing.span));
  return picture;
}

function drawUsage(picture, one, y, scale, span) {
  const most = Math.max(1, ...one.size);
  const wide = scale.room / one.size.length;
  const base = y + LANE - 8;
  const steps = one.size.map((size) => `V${base - ((LANE - 14) * size) / most}h${wide}`);
  picture.append(
    svg("text", { x: GUTTER - 8, y: y + 20, "text-anchor": "end" }, one.family),
    svg("text", { x: GUTTER - 8, y: y + 36, "text-anchor": "end", class: "small" }, `at most ${bytes(most)}`),
    svg("path", { d: `M${GUTTER},${base}${steps.join("")}V${base}z`, class: `bar ${one.family}` }),
  );
  // As many places to hover as somebody can tell apart, and one tab stop each.
  const by = Math.ceil(one.size.length / 40);
  for (let first = 0; first < one.size.length; first += by) {
    const until = Math.min(first + by, one.size.length);
    const x = GUTTER + wide * first;
    const from = (span * first) / one.size.length;
    const words = `${one.family}, from ${duration(from)}: at most ${bytes(Math.max(...one.size.slice(first, until)))} in `
      + `${Math.max(...one.live.slice(first, until))} allocations`;
    thing(picture, words, [svg("rect", { x, y, width: wide * (until - first), height: LANE - 8, class: "hover" })]);
  }
}

// --- Call sites: as many as there are, drawn a part at a time ---

const SITE_COLUMNS = ["acquired at", "family", "acquired", "released", "most", "most bytes", "bytes"];
const PART = 200;

function sites(drawing) {
  const state = { words: [], by: 5, down: true, shown: PART };
  const box = html("div", undefined, { class: "sites" });
  const find = html("input", undefined, { type: "search", placeholder: "function, file, family", "aria-label": "filter the call sites" });
  const said = html("output", undefined, { role: "status" });
  const table = html("table");
  const body = html("tbody");
  const more = html("button", `${PART} more`, { type: "button" });
  const found = drawing.sites.map((row) => ({ row, words: `${row[0]} ${row[1]}`.toLowerCase() }));
  let chosen = [];
  const draw = () => {
    const part = chosen.slice(body.rows.length, state.shown);
    for (const { row } of part) {
      const made = body.insertRow();
      row.forEach((cell) => made.append(html("td", cell)));
    }
    more.hidden = body.rows.length >= chosen.length;
    const beyond = drawing.more_sites ? `, ${drawing.more_sites} more are not in this page (--json has all)` : "";
    said.textContent = `${body.rows.length} of ${chosen.length} shown${beyond}`;
  };
  const choose = () => {
    chosen = found.filter((one) => state.words.every((word) => one.words.includes(word)));
    const sign = state.down ? -1 : 1;
    chosen.sort((a, b) => sign * (a.row[state.by] < b.row[state.by] ? -1 : a.row[state.by] > b.row[state.by] ? 1 : 0));
    state.shown = PART;
    body.replaceChildren();
    draw();
  };
  const heads = SITE_COLUMNS.map((name, at) => {
    const head = html("th", undefined, { scope: "col" });
    const button = html("button", name, { type: "button" });
    button.addEventListener("click", () => {
      state.down = state.by === at ? !state.down : at > 1;
      state.by = at;
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      choose();
    });
    head.append(button);
    return head;
  });
  table.createTHead().insertRow().append(...heads);
  table.append(body);
  find.addEventListener("input", () => { state.words = find.value.toLowerCase().split(/\s+/).filter(Boolean); choose(); });
  more.addEventListener("click", () => { state.shown += PART; draw(); });
  box.append(find, " ", said, table, more);
  choose();
  return box;
}

// --- The memory map ---

function memory(drawing, width) {
  const height = drawing.stretches.length * 34 + 6;
  const picture = svg("svg", { width, height, role: "group", "aria-label": "physical memory" });
  const bars = new Map(drawing.bars.map((bar) => [bar.serial, bar]));
  drawing.stretches.forEach((stretch, at) => drawStretch(picture, stretch, at * 34 + 6, width, bars));
  return picture;
}

function drawStretch(picture, stretch, y, width, bars) {
  const room = width - GUTTER - MARGIN - 70;
  const place = (offset) => GUTTER + (room * offset) / stretch.size;
  picture.append(
    svg("text", { x: GUTTER - 8, y: y + 14, "text-anchor": "end" }, stretch.gpa),
    svg("text", { x: GUTTER + room + 8, y: y + 14, class: "small" }, bytes(stretch.size)),
    svg("rect", { x: GUTTER, y, width: room, height: 18, class: "page" }),
  );
  for (const [offset, serial] of stretch.blocks) {
    const bar = bars.get(serial);
    const wide = Math.max(3, (room * Math.min(bar.size, stretch.size)) / stretch.size);
    const wrong = bar.rules.length ? " wrong" : "";
    const shape = { x: place(offset), y: y + 2, width: wide, height: 14, class: `bar shape ${bar.kind}${wrong}` };
    thing(picture, `${barWords(bar)}\nmemory: ${bar.memory}`, [svg("rect", shape)]);
  }
  for (const [offset, size] of stretch.looked) {
    picture.append(svg("rect", { x: place(offset), y: y + 20, width: Math.max(2, (room * size) / stretch.size), height: 3, class: "looked" }));
  }
}

function bytes(count) {
  return count < 1024 ? `${count} B` : count < 1 << 20 ? `${+(count / 1024).toFixed(1)} KiB` : `${+(count / (1 << 20)).toFixed(1)} MiB`;
}

// --- The opened scenario ---

function keys(names) {
  return names.map(([kind, text]) => html("span", text, { class: `key ${kind}` }));
}

// Of the kinds of memory that are drawn, and of what else there is some.
function kinds(drawing) {
  const found = new Set(drawing.bars.map((bar) => bar.kind));
  return Array.from(found, (kind) => [kind, kind]);
}

function lifetimeKeys(drawing) {
  const shown = kinds(drawing);
  if (drawing.marks.some((mark) => mark.what.startsWith("vm"))) shown.push(["entry", "VMRUN ▲ #VMEXIT ▼"]);
  if (drawing.bands.length) shown.push(["band", "the CPU may use it"]);
  if (drawing.findings.length) shown.push(["fault", "violates a rule"]);
  return keys(shown);
}

function drawn(drawing) {
  const parts = [];
  const state = { byOrder: false, zoom: 1 };
  const frame = html("div", undefined, { class: "picture" });
  const redraw = () => {
    if (!frame.clientWidth) return;
    const picture = lifetimes(drawing, Math.max(360, frame.clientWidth) * state.zoom, state.byOrder);
    frame.replaceChildren(picture);
    roam(picture);
  };
  const tools = html("div", undefined, { class: "tools" });
  const order = html("button", "axis: time", { type: "button" });
  order.addEventListener("click", () => {
    state.byOrder = !state.byOrder;
    order.textContent = `axis: ${state.byOrder ? "order" : "time"}`;
    redraw();
  });
  const zoom = (text, label, next) => {
    const button = html("button", text, { type: "button", "aria-label": label });
    button.addEventListener("click", () => { state.zoom = next(); redraw(); });
    return button;
  };
  tools.append(
    order,
    zoom("+", "zoom in", () => Math.min(64, state.zoom * 2)),
    zoom("−", "zoom out", () => Math.max(1, state.zoom / 2)),
    ...lifetimeKeys(drawing),
  );
  parts.push(html("h4", `Lifetimes over ${duration(drawing.span)}`), tools, frame);
  for (const text of drawing.left_out) parts.push(html("p", text, { class: "dim" }));
  return { parts, redraw, frame };
}

function mapped(drawing) {
  const frame = html("div", undefined, { class: "picture" });
  const redraw = () => {
    if (!frame.clientWidth) return;
    const picture = memory(drawing, Math.max(360, frame.clientWidth));
    frame.replaceChildren(picture);
    roam(picture);
  };
  const tools = html("div", undefined, { class: "tools" });
  tools.append(...keys([...kinds(drawing), ["looked", "read by the host"]]));
  const parts = [html("h4", `Physical memory; the host read ${bytes(drawing.read)}`), tools, frame];
  return { parts, redraw, frame };
}

function live(drawing) {
  const frame = html("div", undefined, { class: "picture" });
  const redraw = () => {
    if (!frame.clientWidth) return;
    const picture = usage(drawing, Math.max(360, frame.clientWidth));
    frame.replaceChildren(picture);
    roam(picture);
  };
  return { parts: [html("h4", "Live memory over time, the most in each slice"), frame], redraw, frame };
}

function findings(drawing) {
  const list = html("ul", undefined, { class: "findings" });
  for (const one of drawing.findings) {
    const item = html("li");
    item.append(html("a", one.rule, { href: `#rule-${one.rule}` }), `: ${one.words}`, html("span", ` (${one.witness})`, { class: "dim" }));
    list.append(item);
  }
  if (drawing.more_findings) list.append(html("li", `and ${drawing.more_findings} more (--json tells all)`, { class: "dim" }));
  for (const reason of drawing.reasons) list.append(html("li")), list.lastChild.append(html("pre", reason));
  return list;
}

function accounts(drawing) {
  const table = html("table", undefined, { class: "accounts" });
  const head = table.createTHead().insertRow();
  head.append(html("th", "allocation", { scope: "col" }));
  for (const [name, account] of Object.entries(drawing.witnesses)) {
    head.append(html("th", `${name}: ${account}`, { scope: "col" }));
  }
  const body = table.createTBody();
  for (const bar of drawing.bars) {
    const row = body.insertRow();
    row.append(html("td", bar.name || `allocation ${bar.serial}`));
    for (const name of Object.keys(drawing.witnesses)) row.append(html("td", bar[name] || ""));
  }
  return table;
}

// A line a scenario, unpacked when one is opened: JSON, gzip, base64.
async function unpacked(index) {
  unpacked.lines ??= document.getElementById("drawings").textContent.trim().split("\n");
  const bytes = Uint8Array.from(atob(unpacked.lines[index]), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

function detail(drawing) {
  const cell = html("td", undefined, { colspan: "6" });
  cell.append(html("p", drawing.lesson));
  if (drawing.expected) cell.append(html("p", drawing.expected, { class: "dim" }));
  cell.append(findings(drawing));
  const pictures = [];
  if (drawing.bars.length || drawing.marks.length) pictures.push(drawn(drawing));
  if (drawing.stretches.length) pictures.push(mapped(drawing));
  // Of what is too much to be drawn one by one, all of it comes first.
  const all = drawing.usage.length ? [live(drawing)] : [];
  for (const one of all) cell.append(...one.parts);
  if (drawing.sites.length) cell.append(html("h4", "Where it was acquired"), sites(drawing));
  for (const one of pictures) cell.append(...one.parts);
  pictures.push(...all);
  cell.append(html("h4", "The witnesses side by side"), accounts(drawing));
  const row = html("tr", undefined, { class: "detail" });
  row.append(cell);
  return { row, pictures };
}

function close(row) {
  const old = row.nextElementSibling;
  if (old && old.classList.contains("detail")) old.remove();
}

async function toggle(button, open = button.getAttribute("aria-expanded") !== "true") {
  const row = button.closest("tr");
  close(row);
  button.setAttribute("aria-expanded", String(open));
  tip.hidden = true;
  if (!open) return;
  const made = detail(await unpacked(row.dataset.i));
  // Closed, or closed and opened again, while it was unpacked.
  if (button.getAttribute("aria-expanded") !== "true") return;
  close(row);
  row.after(made.row);
  for (const one of made.pictures) {
    one.redraw();
    let width = one.frame.clientWidth;
    new ResizeObserver(() => {
      if (one.frame.clientWidth !== width) { width = one.frame.clientWidth; one.redraw(); }
    }).observe(one.frame);
  }
}

// --- Keyboard ---

function step(by) {
  const shown = rows.filter((one) => !one.row.hidden).map((one) => one.row.querySelector("button"));
  const current = document.activeElement.closest("tr.detail");
  const from = current ? current.previousElementSibling.querySelector("button") : document.activeElement;
  const next = shown[shown.indexOf(from) + by] || shown[by > 0 ? 0 : shown.length - 1];
  if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
}

function escape() {
  if (document.activeElement === search) { search.value = ""; filter(); search.blur(); return; }
  const inside = document.activeElement.closest("tr.detail");
  const button = inside ? inside.previousElementSibling.querySelector("button") : document.activeElement;
  if (button.closest("tr.scenario")) { toggle(button, false); button.focus(); }
}

document.addEventListener("keydown", (event) => {
  const typing = ["INPUT", "SELECT"].includes(document.activeElement.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") escape();
  else if (event.key === "/" && !typing) { event.preventDefault(); search.focus(); }
  else if (event.key === "ArrowDown" && (!typing || document.activeElement === search)) { event.preventDefault(); step(1); }
  else if (event.key === "ArrowUp" && !typing) { event.preventDefault(); step(-1); }
});

// --- Start ---

const theme = document.getElementById("theme");
theme.addEventListener("click", () => {
  const order = ["system", "light", "dark"];
  const next = order[(order.indexOf(document.documentElement.dataset.theme || "system") + 1) % 3];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  theme.textContent = `theme: ${next}`;
});
document.getElementById("scenarios").addEventListener("click", (event) => {
  const row = event.target.closest("tr.scenario");
  if (row && !String(getSelection())) toggle(row.querySelector("button"));
});
// Not every browser sends both for every control.
for (const on of ["input", "change"]) document.getElementById("filters").addEventListener(on, filter);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
