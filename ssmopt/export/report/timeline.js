// The picture: rows of cores and channels above, bytes in memories below, drawn anew for each view.

const GUTTER = 116, AXIS = 24, PANEL = 110, PANEL_GAP = 26, RIGHT = 10;

function rgba(colour) {
  const n = parseInt(colour.slice(1), 16);
  return (255 << 24 | (n & 255) << 16 | (n >> 8 & 255) << 8 | n >> 16) >>> 0; // little-endian, as ImageData has it
}
function isDark(colour) {
  const n = parseInt(colour.slice(1), 16);
  return 0.299 * (n >> 16) + 0.587 * (n >> 8 & 255) + 0.114 * (n & 255) < 140;
}

class Timeline {
  constructor(report, canvas) {
    this.report = report;
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.selected = -1;
    this.showChain = false;
    this.memory = 0; // the one shown where there are too many for a panel each
    report.meta.memories.forEach((m, i) => {
      if (m.peak * report.meta.memories[this.memory].capacity > report.meta.memories[this.memory].peak * m.capacity) this.memory = i;
    });
    this.span = Math.max(report.meta.makespan, report.meta.lowerBound || 0, 1);
    this.from = 0;
    this.to = this.span;
    this.colours = report.meta.categories.map((c) => rgba(c.colour));
    this.patterns = new Map();
    this.drawn = 0;
    const n = report.meta.rows.length;
    this.rowHeight = n <= 4 ? 46 : n <= 12 ? 28 : n <= 40 ? 16 : 10;
  }
  get panels() {
    const used = this.report.meta.memories.map((m, i) => i).filter((i) => this.report.meta.memories[i].peak > 0);
    return used.length <= 4 ? used : [this.memory];
  }
  get rowsBottom() { return AXIS + this.report.meta.rows.length * this.rowHeight; }
  get height() { return this.rowsBottom + this.panels.length * (PANEL + PANEL_GAP) + 8; }
  get plot() { return Math.max(this.width - GUTTER - RIGHT, 50); }
  x(time) { return GUTTER + (time - this.from) / (this.to - this.from) * this.plot; }
  time(x) { return this.from + (x - GUTTER) / this.plot * (this.to - this.from); }
  panelTop(k) { return this.rowsBottom + k * (PANEL + PANEL_GAP) + PANEL_GAP; }

  setView(from, to) {
    const least = Math.min(10, this.span);
    let length = Math.min(Math.max(to - from, least), this.span * 1.02);
    const middle = (from + to) / 2;
    from = to - from === length ? from : middle - length / 2;
    from = Math.min(Math.max(from, 0), Math.max(this.span * 1.02 - length, 0));
    this.from = from;
    this.to = from + length;
    this.redraw();
  }
  zoom(factor, at = (this.from + this.to) / 2) {
    this.setView(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }
  pan(share) {
    const by = share * (this.to - this.from);
    this.setView(this.from + by, this.to + by);
  }
  show(a) {
    const start = this.report.start[a], end = this.report.end[a];
    const length = Math.max(this.to - this.from, 1);
    if (start >= this.from && end <= this.to && (end - start) / length > 0.004) this.redraw();
    else {
      const room = Math.min(Math.max((end - start) * 40, 200), this.span);
      this.setView((start + end - room) / 2, (start + end + room) / 2);
    }
  }
  redraw() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => { this.pending = 0; this.draw(); });
  }

  draw() {
    const ratio = window.devicePixelRatio || 1, c = this.context;
    this.width = this.canvas.clientWidth;
    const width = Math.round(this.width * ratio), height = Math.round(this.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.canvas.style.height = this.height + "px";
    }
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.fillStyle = "#ffffff";
    c.fillRect(0, 0, width, height);
    const boxed = [];
    for (let row = 0; row < this.report.meta.rows.length; row++) {
      const first = this.report.firstAfter(row, this.from);
      let last = first, high = this.report.rowFirst[row + 1];
      while (last < high) { // the first that starts at or after the end of the view
        const middle = (last + high) >> 1;
        if (this.report.start[this.report.rowOrder[middle]] < this.to) last = middle + 1; else high = middle;
      }
      if (last - first > this.plot / 2) this.drawShares(row, first, last, ratio);
      else boxed.push([row, first, last]);
    }
    this.panels.forEach((memory, k) => this.drawMemory(memory, this.panelTop(k), ratio));
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.save();
    c.beginPath();
    c.rect(GUTTER, 0, this.plot, this.height);
    c.clip();
    for (const [row, first, last] of boxed) this.drawBoxes(row, first, last);
    if (this.showChain) this.drawChain();
    this.drawSelected();
    this.drawLines();
    c.restore();
    this.drawLabels();
    this.canvas.dataset.from = this.from;
    this.canvas.dataset.to = this.to;
    this.canvas.dataset.crowdedRows = this.report.meta.rows.length - boxed.length;
    this.canvas.dataset.drawn = ++this.drawn;
    if (this.onDraw) this.onDraw();
  }

  // A row with more activities than room: each pixel column is stacked by the shares of its time.
  drawShares(row, first, last, ratio) {
    const r = this.report, columns = Math.round(this.plot * ratio), n = this.colours.length;
    const height = Math.max(Math.round((this.rowHeight - 2) * ratio), 1);
    const share = new Float32Array(columns * n), scale = columns / (this.to - this.from);
    for (let i = first; i < last; i++) {
      const a = r.rowOrder[i], category = r.category[a];
      const left = Math.max((r.start[a] - this.from) * scale, 0), right = Math.min((r.end[a] - this.from) * scale, columns);
      const low = Math.floor(left), high = Math.min(Math.floor(right), columns - 1);
      if (low >= columns) continue;
      if (low === high) { share[low * n + category] += right - left; continue; }
      share[low * n + category] += low + 1 - left;
      for (let x = low + 1; x < high; x++) share[x * n + category] += 1;
      share[high * n + category] += right - high;
    }
    const image = this.context.createImageData(columns, height);
    const pixels = new Uint32Array(image.data.buffer).fill(0xffffffff);
    for (let x = 0; x < columns; x++) {
      let floor = 0, bottom = 0;
      for (let k = 0; k < n; k++) {
        const part = share[x * n + k];
        if (part === 0) continue;
        floor += part;
        const top = Math.min(Math.round(floor * height), height);
        for (let y = bottom; y < top; y++) pixels[(height - 1 - y) * columns + x] = this.colours[k];
        bottom = top;
      }
    }
    this.context.putImageData(image, Math.round(GUTTER * ratio), Math.round((AXIS + row * this.rowHeight + 1) * ratio));
  }

  pattern(category) {
    const { colour, hatch } = this.report.meta.categories[category];
    if (!hatch) return colour;
    if (!this.patterns.has(category)) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 6;
      const c = tile.getContext("2d");
      c.fillStyle = colour;
      c.fillRect(0, 0, 6, 6);
      c.strokeStyle = c.fillStyle = "#ffffff";
      if (hatch === "/") {
        c.beginPath();
        for (const d of [-6, 0, 6]) { c.moveTo(d, 6); c.lineTo(d + 6, 0); }
        c.stroke();
      } else c.fillRect(2, 2, 2, 2);
      this.patterns.set(category, this.context.createPattern(tile, "repeat"));
    }
    return this.patterns.get(category);
  }

  drawBoxes(row, first, last) {
    const r = this.report, c = this.context, y = AXIS + row * this.rowHeight + 1, height = this.rowHeight - 2;
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";
    c.textAlign = "center";
    const lined = last - first <= this.plot / 6;
    for (let i = first; i < last; i++) {
      const a = r.rowOrder[i], left = this.x(r.start[a]), width = this.x(r.end[a]) - left;
      c.fillStyle = this.pattern(r.category[a]);
      c.fillRect(left, y, Math.max(width - (lined && width > 3 ? 0.6 : 0), 0.7), height);
      if (width > 34 && height > 13) {
        const seenLeft = Math.max(left, GUTTER), seen = Math.min(left + width, this.width - RIGHT) - seenLeft;
        const name = r.name(a);
        const needed = name.length * 6.2 + 8;
        if (needed < seen) {
          const { colour, hatch } = r.meta.categories[r.category[a]];
          if (hatch) { c.fillStyle = colour; c.fillRect(seenLeft + (seen - needed) / 2, y + height / 2 - 8, needed, 16); }
          c.fillStyle = isDark(colour) ? "#ffffff" : "#1a1a1a";
          c.fillText(name, seenLeft + seen / 2, y + height / 2 + 0.5);
        }
      }
    }
  }

  drawChain() {
    const r = this.report, c = this.context, height = Math.min(5, this.rowHeight / 3);
    c.fillStyle = "#000000";
    let reached = new Float64Array(r.meta.rows.length).fill(-1);
    for (const a of r.chain) {
      if (r.end[a] < this.from || r.start[a] > this.to) continue;
      const right = this.x(r.end[a]), left = this.x(r.start[a]), row = r.row[a];
      if (right - reached[row] < 0.5) continue;
      reached[row] = right;
      c.fillRect(left, AXIS + (row + 1) * this.rowHeight - height, Math.max(right - left, 1), height);
    }
  }

  outline(a, colour, width) {
    const r = this.report, c = this.context, left = this.x(r.start[a]);
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.strokeRect(left - 0.5, AXIS + r.row[a] * this.rowHeight + 0.5, Math.max(this.x(r.end[a]) - left, 2) + 1, this.rowHeight - 1);
  }
  drawSelected() {
    const a = this.selected, r = this.report, c = this.context;
    if (a < 0) return;
    const before = r.blocker(a);
    if (before >= 0) {
      this.outline(before, "#b2182b", 2);
      const x = this.x(r.end[before]), y = AXIS + (r.row[before] + 0.5) * this.rowHeight;
      const toX = this.x(r.start[a]), toY = AXIS + (r.row[a] + 0.5) * this.rowHeight;
      c.strokeStyle = c.fillStyle = "#b2182b";
      c.lineWidth = 1.5;
      c.beginPath();
      c.moveTo(x, y);
      c.lineTo(toX, toY);
      c.stroke();
      const angle = Math.atan2(toY - y, toX - x);
      c.beginPath();
      c.moveTo(toX, toY);
      c.lineTo(toX - 9 * Math.cos(angle - 0.4), toY - 9 * Math.sin(angle - 0.4));
      c.lineTo(toX - 9 * Math.cos(angle + 0.4), toY - 9 * Math.sin(angle + 0.4));
      c.fill();
    }
    this.outline(a, "#000000", 2.5);
  }

  // The highest moment of each pixel column, stacked by kind of tensor, against the capacity.
  drawMemory(memory, top, ratio) {
    const r = this.report, about = r.meta.memories[memory], moments = r.arrays["moments" + memory];
    const levels = about.kinds.map((k) => r.arrays["level" + memory + "." + k]);
    const colours = about.kinds.map((k) => rgba(r.meta.kinds[k].colour));
    const columns = Math.round(this.plot * ratio), height = Math.round(PANEL * ratio);
    const most = Math.max(about.capacity, about.peak) * 1.06;
    const image = this.context.createImageData(columns, height);
    const pixels = new Uint32Array(image.data.buffer).fill(0xfff7f7f7);
    const step = (this.to - this.from) / columns;
    let i = 0, high = moments.length;
    while (i < high) { // the last change at or before the left edge, plus one
      const middle = (i + high) >> 1;
      if (moments[middle] <= this.from) i = middle + 1; else high = middle;
    }
    const total = (k) => { let sum = 0; for (const level of levels) sum += level[k]; return sum; };
    for (let x = 0; x < columns; x++) {
      let best = i - 1, peak = best >= 0 ? total(best) : -1;
      const until = this.from + (x + 1) * step;
      for (; i < moments.length && moments[i] < until; i++) {
        const sum = total(i);
        if (sum > peak) { best = i; peak = sum; }
      }
      if (best < 0) continue;
      let floor = 0, bottom = 0;
      for (let k = 0; k < levels.length; k++) {
        floor += levels[k][best];
        const upper = Math.min(Math.round(floor / most * height), height);
        for (let y = bottom; y < upper; y++) pixels[(height - 1 - y) * columns + x] = colours[k];
        bottom = upper;
      }
    }
    this.context.putImageData(image, Math.round(GUTTER * ratio), Math.round(top * ratio));
  }

  drawLines() {
    const r = this.report, c = this.context;
    c.lineWidth = 1;
    this.panels.forEach((memory, k) => {
      const about = r.meta.memories[memory], top = this.panelTop(k);
      const y = top + PANEL * (1 - about.capacity / (Math.max(about.capacity, about.peak) * 1.06));
      c.strokeStyle = "#1a1a1a";
      c.setLineDash([5, 3]);
      c.beginPath();
      c.moveTo(GUTTER, y);
      c.lineTo(GUTTER + this.plot, y);
      c.stroke();
      c.setLineDash([]);
    });
    if (r.meta.lowerBound !== null) {
      const x = this.x(r.meta.lowerBound);
      c.strokeStyle = c.fillStyle = "#b2182b";
      c.lineWidth = 1.5;
      c.beginPath();
      c.moveTo(x, AXIS - 6);
      c.lineTo(x, this.height);
      c.stroke();
    }
  }

  drawLabels() {
    const r = this.report, c = this.context;
    c.font = Math.min(12, this.rowHeight) + "px system-ui, sans-serif";
    c.textBaseline = "middle";
    c.textAlign = "right";
    c.fillStyle = "#1a1a1a";
    r.meta.rows.forEach((row, i) => {
      const label = row.label.length > 17 ? row.label.slice(0, 16) + "…" : row.label;
      c.fillText(label, GUTTER - 8, AXIS + (i + 0.5) * this.rowHeight);
    });
    const cores = r.meta.rows.filter((row) => row.kind === "core").length;
    c.strokeStyle = "#999999";
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(8, AXIS + cores * this.rowHeight);
    c.lineTo(this.width - RIGHT, AXIS + cores * this.rowHeight);
    c.stroke();
    c.font = "12px system-ui, sans-serif";
    this.panels.forEach((memory, k) => {
      const about = r.meta.memories[memory], top = this.panelTop(k);
      c.textAlign = "right";
      c.fillText(about.id, GUTTER - 8, top + PANEL / 2 - 8);
      c.fillText("of " + size(about.capacity), GUTTER - 8, top + PANEL / 2 + 8);
      c.textAlign = "left";
      c.fillText(`bytes in ${about.id}: peak ${size(about.peak)}, dashed: capacity ${size(about.capacity)}`, GUTTER, top - 9);
    });
    // A tick about every 110 pixels, at round numbers.
    const rough = (this.to - this.from) * 110 / this.plot, power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(power * [1, 2, 5, 10].find((f) => f * power >= rough), 1);
    c.textAlign = "center";
    c.fillStyle = "#444444";
    c.strokeStyle = "#999999";
    for (let t = Math.ceil(this.from / step) * step; t <= this.to; t += step) {
      const x = this.x(t);
      c.beginPath();
      c.moveTo(x, AXIS - 4);
      c.lineTo(x, AXIS);
      c.stroke();
      if (x > GUTTER + 12 && x < this.width - 24) c.fillText(short(t), x, 10);
    }
    c.textAlign = "right";
    c.fillText("cycles", GUTTER - 8, 10);
  }

  // What is under a point of the canvas.
  hit(x, y) {
    if (x < GUTTER || x > this.width - RIGHT) return null;
    const time = this.time(x), slack = 1.5 * (this.to - this.from) / this.plot;
    if (y >= AXIS && y < this.rowsBottom) {
      const row = Math.floor((y - AXIS) / this.rowHeight);
      return { kind: "row", row, time, activity: this.report.at(row, time, slack) };
    }
    const k = this.panels.findIndex((_, i) => y >= this.panelTop(i) && y <= this.panelTop(i) + PANEL);
    return k < 0 ? null : { kind: "memory", memory: this.panels[k], time };
  }
}
