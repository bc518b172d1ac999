// From the compressed block to typed arrays, and from indices to names.

const TYPES = {
  uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array,
  uint32: Uint32Array, int32: Int32Array, float64: Float64Array,
};

async function unpack(meta, text) {
  const raw = atob(text.trim());
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const block = await new Response(stream).arrayBuffer();
  const arrays = {};
  for (const [name, [type, offset, length]] of Object.entries(meta.arrays)) {
    arrays[name] = new TYPES[type](block, offset, length);
  }
  return arrays;
}

class Names {
  constructor(arrays, prefix, about) {
    this.about = about;
    this.stem = arrays[prefix + "Stem"];
    this.columns = [];
    for (let c = 0; c < about.columns; c++) this.columns.push(arrays[prefix + "Index" + c]);
  }
  get(i) {
    let name = this.about.stems[this.stem[i]];
    for (const column of this.columns) if (column[i] >= 0) name += this.about.separator + column[i];
    return name;
  }
}

class Report {
  constructor(meta, arrays) {
    Object.assign(this, { meta, ...arrays, arrays });
    this.tileNames = new Names(arrays, "tile", meta.tileIds);
    this.tensorNames = new Names(arrays, "tensor", meta.tensorIds);
    this.count = this.start.length;
    this.inChain = new Uint8Array(this.count);
    for (const a of this.chain) this.inChain[a] = 1;
    this.place = new Int32Array(this.count).fill(-1); // position of each activity in rowOrder
    this.rowOrder.forEach((a, i) => { this.place[a] = i; });
  }
  isTile(a) { return a < this.meta.tiles; }
  name(a) { return this.isTile(a) ? this.tileNames.get(a) : this.tensorNames.get(this.transferTensor[a - this.meta.tiles]); }
  title(a) {
    const what = this.meta.categories[this.category[a]].label;
    return this.isTile(a) ? this.name(a) : what.split(" ")[0] + " " + this.name(a);
  }
  rowName(a) { return this.meta.rows[this.row[a]].label; }
  endName(memory) { return memory < 0 ? "DRAM" : this.meta.memories[memory].id; }
  reasonName(a, code) { return (this.isTile(a) ? this.meta.tileReasons : this.meta.transferReasons)[code]; }

  // Position in rowOrder of the first activity of a row that ends after a time.
  firstAfter(row, time) {
    let low = this.rowFirst[row], high = this.rowFirst[row + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.end[this.rowOrder[middle]] > time) high = middle; else low = middle + 1;
    }
    return low;
  }
  // The activity of a row at a time, or the nearest one within `slack` cycles; -1 for none.
  at(row, time, slack) {
    const i = this.firstAfter(row, time - slack);
    let best = -1, distance = Infinity;
    for (let k = i; k < this.rowFirst[row + 1]; k++) {
      const a = this.rowOrder[k];
      if (this.start[a] > time + slack) break;
      const away = Math.max(this.start[a] - time, time - this.end[a], 0);
      if (away < distance) { best = a; distance = away; }
      if (away === 0 || k > i + 64) break;
    }
    return best;
  }
  beside(a, step) {
    const k = this.place[a] + step, row = this.row[a];
    return this.place[a] >= 0 && k >= this.rowFirst[row] && k < this.rowFirst[row + 1] ? this.rowOrder[k] : -1;
  }
  // What decided the start: the reason with the latest moment, of equal ones the first; -1 for none.
  strongest(a) {
    let best = -1;
    for (let r = 0; r < 4; r++) {
      const release = this.arrays["release" + r][a];
      if (release >= 0 && (best < 0 || release > this.arrays["release" + best][a])) best = r;
    }
    return best;
  }
  blocker(a) {
    const r = this.strongest(a);
    return r < 0 ? -1 : this.arrays["blocker" + r][a];
  }

  // Tiles, then transfers, whose name is, begins with, or contains the words.
  search(words, most) {
    const wanted = words.trim().toLowerCase();
    const found = [[], [], []];
    if (!wanted) return { hits: [], total: 0 };
    let total = 0;
    for (let a = 0; a < this.count; a++) {
      const name = this.name(a).toLowerCase();
      const where = name.indexOf(wanted);
      if (where < 0 || this.place[a] < 0) continue;
      total++;
      const list = found[name === wanted ? 0 : where === 0 ? 1 : 2];
      if (list.length < most) list.push(a);
    }
    return { hits: found.flat().slice(0, most), total };
  }
}

const whole = (n) => Math.round(n).toLocaleString("en-US");
function size(n) {
  for (const [value, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (n >= 0.9995 * value) return Number((n / value).toPrecision(4)) + " " + name;
  }
  return whole(n) + " bytes";
}
function short(n) {
  for (const [value, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(n) >= value) return Number((n / value).toPrecision(6)) + name;
  }
  return String(Number(n.toPrecision(6)));
}
