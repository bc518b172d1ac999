// Puts the page together: pointer, keys, search, and what is chosen.

const byId = (id) => document.getElementById(id);

function legend(report) {
  const used = new Set(report.category), groups = new Map();
  report.meta.categories.forEach((category, i) => {
    if (!used.has(i)) return;
    if (!groups.has(category.heading)) groups.set(category.heading, []);
    groups.get(category.heading).push(category);
  });
  const kinds = new Set(report.meta.memories.flatMap((m) => m.kinds));
  groups.set("Memory", [...kinds].sort().map((k) => ({ ...report.meta.kinds[k], hatch: "" })));
  for (const [heading, entries] of groups) {
    if (!entries.length) continue;
    const group = element("div", undefined, "group");
    group.append(element("b", heading));
    for (const entry of entries) {
      const item = element("span", undefined, "entry"), swatch = element("i", undefined, "swatch");
      swatch.style.backgroundColor = entry.colour;
      if (entry.hatch === "/") swatch.classList.add("striped");
      if (entry.hatch === ".") swatch.classList.add("dotted");
      item.append(swatch, entry.label);
      group.append(item);
    }
    byId("legend").append(group);
  }
}

function start(report) {
  const canvas = byId("canvas"), tip = byId("tip"), timeline = new Timeline(report, canvas);
  const choose = (a) => {
    timeline.selected = a;
    details.show(a);
    canvas.dataset.selected = a < 0 ? "" : report.name(a);
    if (a >= 0) timeline.show(a); else timeline.redraw();
  };
  const details = new Details(report, byId("details"), choose);
  const follow = () => {
    const a = timeline.selected, before = a < 0 ? -1 : report.blocker(a);
    if (before >= 0) choose(before);
  };
  const beside = (step) => {
    const a = timeline.selected, next = a < 0 ? report.at(0, timeline.from, Infinity) : report.beside(a, step);
    if (next >= 0) choose(next);
  };
  const near = () => {
    const a = timeline.selected;
    if (a < 0) return;
    const room = Math.max((report.end[a] - report.start[a]) * 12, 60);
    timeline.setView((report.start[a] + report.end[a] - room) / 2, (report.start[a] + report.end[a] + room) / 2);
  };
  const all = () => timeline.setView(0, timeline.span * 1.02);
  const actions = {
    "zoom-in": () => timeline.zoom(0.5), "zoom-out": () => timeline.zoom(2), left: () => timeline.pan(-0.3),
    right: () => timeline.pan(0.3), all, follow, near, previous: () => beside(-1), next: () => beside(1),
  };
  for (const [name, action] of Object.entries(actions)) {
    const button = document.querySelector(`[data-action="${name}"]`);
    if (button) button.addEventListener("click", action);
  }
  const toggleChain = () => {
    timeline.showChain = byId("chain").checked;
    timeline.redraw();
  };
  byId("chain").addEventListener("change", toggleChain);
  const keys = {
    "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", ArrowLeft: "left", ArrowRight: "right", 0: "all", Home: "all",
    b: "follow", z: "near", p: "previous", n: "next",
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (keys[event.key]) actions[keys[event.key]]();
    else if (event.key === "Escape") choose(-1);
    else if (event.key === "c") { byId("chain").checked = !byId("chain").checked; toggleChain(); }
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      byId("search").focus();
    }
  });

  // Pointer: hover tells, a click chooses, a drag moves, the wheel zooms.
  let drag = null, hover = null;
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const tell = (event) => {
    const [x, y] = point(event), hit = timeline.hit(x, y);
    if (!hit) { tip.hidden = true; return; }
    tip.replaceChildren(...tooltip(report, timeline, hit).map((line) => element("div", line)));
    tip.hidden = false;
    const space = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = Math.max(Math.min(event.clientX + 14, space), 4) + "px";
    const below = event.clientY + 18, fits = below + tip.offsetHeight < window.innerHeight;
    tip.style.top = (fits ? below : event.clientY - tip.offsetHeight - 10) + "px";
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, from: timeline.from, to: timeline.to, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag && Math.abs(event.clientX - drag.x) > 3) drag.moved = true;
    if (drag && drag.moved) {
      tip.hidden = true;
      const by = (drag.x - event.clientX) * (drag.to - drag.from) / timeline.plot;
      timeline.setView(drag.from + by, drag.to + by);
      return;
    }
    if (!hover) requestAnimationFrame(() => { tell(hover); hover = null; });
    hover = event;
  });
  canvas.addEventListener("pointerup", (event) => {
    const clicked = drag && !drag.moved, hit = timeline.hit(...point(event));
    drag = null;
    if (!clicked || !hit) return;
    if (hit.kind === "row") {
      timeline.selected = hit.activity; // without moving the view
      details.show(hit.activity);
      canvas.dataset.selected = hit.activity < 0 ? "" : report.name(hit.activity);
      timeline.redraw();
    }
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { if (!hover) tip.hidden = true; else hover = null, tip.hidden = true; });
  canvas.addEventListener("dblclick", near);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      timeline.pan(Math.sign(event.deltaX || event.deltaY) * 0.15);
    } else timeline.zoom(event.deltaY > 0 ? 1.25 : 0.8, timeline.time(Math.max(point(event)[0], GUTTER)));
  }, { passive: false });

  // Search.
  const input = byId("search"), results = byId("results");
  let found = { hits: [], total: 0 };
  const look = () => {
    found = report.search(input.value, 30);
    results.replaceChildren();
    for (const a of found.hits) {
      const item = element("li"), button = details.link(a);
      button.append(element("small", ` ${report.rowName(a)}, ${whole(report.start[a])}`));
      item.append(button);
      results.append(item);
    }
    const told = !input.value.trim() ? "" : found.total ? `${whole(found.total)} found` : "nothing found";
    byId("found").textContent = told;
  };
  let timer = 0;
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 120); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { clearTimeout(timer); look(); if (found.hits.length) { choose(found.hits[0]); near(); } }
    if (event.key === "Escape") { input.value = ""; look(); canvas.focus(); }
  });

  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      const [from, to] = button.dataset.zoom.split(",").map(Number);
      timeline.setView(from - (to - from) * 0.1, to + (to - from) * 0.1);
      canvas.scrollIntoView({ block: "nearest" });
      canvas.focus({ preventScroll: true });
    });
  }
  const chooser = byId("memory");
  if (timeline.report.meta.memories.filter((m) => m.peak > 0).length > 4) {
    report.meta.memories.forEach((m, i) => chooser.append(new Option(m.id, i, i === timeline.memory, i === timeline.memory)));
    chooser.addEventListener("change", () => { timeline.memory = Number(chooser.value); timeline.redraw(); });
    chooser.parentElement.hidden = false;
  }
  legend(report);
  details.show(-1);
  timeline.onDraw = () => {
    byId("range").textContent = `${whole(timeline.from)} to ${whole(Math.min(timeline.to, timeline.span * 1.02))} cycles`;
  };
  timeline.from = 0;
  timeline.to = timeline.span * 1.02;
  new ResizeObserver(() => timeline.redraw()).observe(canvas.parentElement);
  timeline.draw();
}

async function main() {
  try {
    if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old to unpack the data (it lacks DecompressionStream)");
    const meta = JSON.parse(byId("meta").textContent);
    const arrays = await unpack(meta, byId("data").textContent);
    start(new Report(meta, arrays));
    document.documentElement.dataset.ready = Math.round(performance.now());
  } catch (error) {
    byId("details").textContent = "The picture cannot be drawn: " + error.message;
    document.documentElement.dataset.failed = error.message;
    throw error;
  }
}
main();
