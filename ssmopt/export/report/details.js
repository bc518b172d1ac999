// What a click tells: when and where something runs, why it starts then, and what it reads and makes.

function element(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text; // never HTML: ids are anybody's
  if (className) e.className = className;
  return e;
}

class Details {
  constructor(report, box, choose) {
    Object.assign(this, { report, box, choose });
  }

  link(a) {
    const button = element("button", this.report.title(a), "link");
    button.type = "button";
    button.addEventListener("click", () => this.choose(a));
    return button;
  }

  show(a) {
    const r = this.report, box = this.box;
    box.replaceChildren();
    if (a < 0) {
      box.append(element("p", "Click a tile or a transfer to see why it starts when it does.", "hint"));
      return;
    }
    box.append(element("h3", r.title(a)));
    const what = r.meta.categories[r.category[a]].label;
    const length = whole(r.end[a] - r.start[a]);
    box.append(element("p", `${what} on ${r.rowName(a)}, ${whole(r.start[a])} to ${whole(r.end[a])} (${length} cycles)`));
    if (!r.isTile(a)) {
      const t = a - r.meta.tiles;
      const route = `${r.endName(r.transferSource[t])} to ${r.endName(r.transferTarget[t])}`;
      box.append(element("p", `${size(r.tensorBytes[r.transferTensor[t]])} from ${route}`));
    }
    box.append(element("h4", "Why it starts then"), this.why(a));
    if (r.inChain[a]) box.append(element("p", "On the critical chain.", "chain-note"));
    if (r.isTile(a)) {
      this.tensors("Reads", a, "reads");
      this.tensors("Adds to", a, "adds");
      this.tensors("Makes", a, "makes");
    }
  }

  why(a) {
    const r = this.report, decided = r.reason[a], strongest = r.strongest(a);
    const list = element("ul", undefined, "why");
    const add = (parts, className) => {
      const item = element("li", undefined, className);
      item.append(...parts);
      list.append(item);
    };
    if (r.start[a] === 0) {
      add(["It starts at cycle 0 and waits for nothing."], "decided");
      return list;
    }
    if (strongest < 0) add(["Held back: nothing forced it to wait."], "decided");
    else if (decided === 4) {
      const ready = r.arrays["release" + strongest][a];
      add([`Held back: it could have started at ${whole(ready)}, ${whole(r.start[a] - ready)} cycles earlier, everything else being as it is.`], "decided");
    }
    const reasons = [0, 1, 2, 3].filter((k) => r.arrays["release" + k][a] >= 0);
    reasons.sort((k, l) => r.arrays["release" + l][a] - r.arrays["release" + k][a] || k - l);
    for (const k of reasons) add(this.reason(a, k), k === strongest && decided !== 4 ? "decided" : "");
    return list;
  }

  // One reason in words, with a link to whoever is named.
  reason(a, k) {
    const r = this.report, until = whole(r.arrays["release" + k][a]), blocker = r.arrays["blocker" + k][a];
    const parts = [];
    if (k === 0) parts.push(`${r.isTile(a) ? "Core" : "Channel"} ${r.rowName(a)} was busy until ${until}: `);
    if (k === 1) parts.push(`Transfer ended at ${until}: `);
    if (k === 2) parts.push(`Depends on a tile that ended at ${until}: `);
    if (k === 3) {
      const room = r.room[a];
      const left = `${r.tensorNames.get(r.resTensor[room])} (${size(r.tensorBytes[r.resTensor[room]])})`;
      parts.push(`No space in ${r.endName(r.resMemory[room])} until ${until}, when ${left} left`);
      if (blocker >= 0) parts.push(", last used by ");
    }
    if (blocker >= 0) parts.push(this.link(blocker));
    return parts;
  }

  tensors(heading, a, which) {
    const r = this.report, first = r.arrays[which + "First"][a], last = r.arrays[which + "First"][a + 1];
    if (first === last) return;
    this.box.append(element("h4", heading));
    const list = element("ul");
    for (let i = first; i < Math.min(last, first + 10); i++) {
      const tensor = r.arrays[which][i];
      list.append(element("li", `${r.tensorNames.get(tensor)}: ${r.meta.kinds[r.tensorKind[tensor]].label}, ${size(r.tensorBytes[tensor])}`));
    }
    if (last - first > 10) list.append(element("li", `and ${whole(last - first - 10)} more`));
    this.box.append(list);
  }
}

// The text of the box beside the pointer.
function tooltip(report, timeline, hit) {
  const r = report;
  if (hit.kind === "row") {
    const a = hit.activity, lines = [];
    if (a < 0) lines.push(`${r.meta.rows[hit.row].label}: idle`);
    else {
      lines.push(r.title(a), `${r.meta.categories[r.category[a]].label} on ${r.rowName(a)}`);
      lines.push(`${whole(r.start[a])} to ${whole(r.end[a])}, ${whole(r.end[a] - r.start[a])} cycles`);
      lines.push("waited for: " + r.reasonName(a, r.reason[a]));
    }
    return lines;
  }
  const about = r.meta.memories[hit.memory], moments = r.arrays["moments" + hit.memory];
  let i = 0, high = moments.length;
  while (i < high) {
    const middle = (i + high) >> 1;
    if (moments[middle] <= hit.time) i = middle + 1; else high = middle;
  }
  let sum = 0;
  const lines = [];
  for (const k of about.kinds) {
    const level = i ? r.arrays["level" + hit.memory + "." + k][i - 1] : 0;
    sum += level;
    if (level) lines.push(`${r.meta.kinds[k].label}: ${size(level)}`);
  }
  lines.unshift(`${about.id} at ${whole(hit.time)}: ${size(sum)} of ${size(about.capacity)}`);
  const largest = [];
  for (let k = 0; k < r.resStart.length; k++) {
    if (r.resStart[k] <= hit.time && hit.time < r.resEnd[k] && r.resMemory[k] === hit.memory) largest.push(k);
  }
  largest.sort((k, l) => r.tensorBytes[r.resTensor[l]] - r.tensorBytes[r.resTensor[k]] || k - l);
  for (const k of largest.slice(0, 3)) lines.push(`  ${r.tensorNames.get(r.resTensor[k])}: ${size(r.tensorBytes[r.resTensor[k]])}`);
  if (largest.length > 3) lines.push(`  and ${whole(largest.length - 3)} more tensors`);
  return lines;
}
