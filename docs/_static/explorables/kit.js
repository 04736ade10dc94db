// What the explorables share: drawing, controls, mouse, finger, keyboard. No library, no request.
//
// An explorable is described once, by mvnp.define(name, {
//   start             its state at the beginning; options on the page (data-options) come on top
//   compute(inputs)   numbers from the state: a pure function of plain arrays, which a test holds to Python's
//   controls(it)      nodes above the drawing                 draw(it)   nodes of the drawing; the height is it.height
//   tell(it)          what is to be seen now, in words
// }), where `it` has: state, numbers, width, still (true while the picture for readers without scripts is made), set(changes).
//
// A node is what el() gives. A drawing is made anew at every change and laid over the old one (patch), so that focus and a finger
// that is down stay where they are.
"use strict";

window.mvnp = window.mvnp || {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDE = 640; // of the still picture
  const described = {};
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  const el = (tag, attributes, ...children) => ({tag, attributes: attributes || {}, children});

  // Makes the children of `parent` what `nodes` say. Functions among the attributes are handlers of events.
  function patch(parent, nodes, space) {
    nodes = nodes.flat(Infinity).filter((node) => node !== null && node !== undefined && node !== false);
    nodes.forEach((node, i) => {
      let there = parent.childNodes[i];
      if (typeof node === "string") {
        if (there && there.nodeType === 3) {
          if (there.data !== node) there.data = node;
        } else if (there) there.replaceWith(node);
        else parent.append(node);
        return;
      }
      const inside = node.tag === "svg" ? SVG : space;
      if (!there || there.localName !== node.tag) {
        const made = document.createElementNS(inside, node.tag);
        if (there) there.replaceWith(made);
        else parent.append(made);
        there = made;
      }
      dress(there, node.attributes);
      patch(there, node.children, inside);
      if ("value" in node.attributes && there.value !== String(node.attributes.value)) there.value = node.attributes.value;
    });
    while (parent.childNodes.length > nodes.length) parent.lastChild.remove();
  }

  function dress(element, attributes) {
    const before = element.handlers || [];
    element.handlers = Object.keys(attributes).filter((name) => typeof attributes[name] === "function");
    for (const name of before) if (!element.handlers.includes(name)) element[name] = null;
    for (const name of element.handlers) element[name] = attributes[name];
    for (const name of element.getAttributeNames()) if (!(name in attributes)) element.removeAttribute(name);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") continue;
      if (name === "checked" || name === "disabled" || name === "selected") element[name] = Boolean(value);
      if (value === false || value === undefined || value === null) element.removeAttribute(name);
      else {
        const text = typeof value === "number" ? String(Math.round(100 * value) / 100) : value === true ? "" : value;
        if (element.getAttribute(name) !== text) element.setAttribute(name, text);
      }
    }
  }

  // Numbers in words: 0.123, −4.5, 1.2·10⁻⁵.
  function shown(value, digits = 3) {
    if (Number.isNaN(value)) return "not a number";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value) * (1 + 1e-14), sign = value < 0 ? "−" : ""; // two ways to 0.4375 are shown alike
    if (size < 1e-12) return "0";
    if (size >= 0.001 && size < 10000) return sign + String(Number(size.toPrecision(digits)));
    const [figures, exponent] = size.toExponential(1).split("e");
    return `${sign}${figures}·10${exponent.replace("+", "").replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)])}`;
  }
  const percent = (share) => `${shown(100 * share, share > 0.9995 ? 3 : 2)} %`;
  const clamp = (value, least, most) => Math.max(least, Math.min(most, value));
  const range = (count) => Array.from({length: count}, (_, i) => i);
  const most = (values, least = 1e-9) => values.flat(Infinity).reduce((a, v) => Math.max(a, Math.abs(v)), least);

  // Controls, as HTML. `key`: the name of what it sets in the state.

  // A slider; `log`: its steps are equal factors, of which 40 lead from `min` to `max`.
  function slider(it, {key, label, min, max, step = 1, log = false, show = (value) => shown(value)}) {
    const value = it.state[key];
    const limits = log ? {min: 0, max: 40, step: 1} : {min, max, step};
    const place = log ? Math.round((40 * Math.log(value / min)) / Math.log(max / min)) : value;
    const meant = (at) => (log ? min * (max / min) ** (at / 40) : at);
    const said = show(value);
    return el("label", {class: "explorable-control"},
      el("span", {}, label, " ", el("output", {}, said)),
      el("input", {
        type: "range", ...limits, value: String(place), "aria-label": label, "aria-valuetext": said, "data-key": key,
        oninput: (event) => it.set({[key]: meant(Number(event.target.value))}),
      }));
  }

  function choice(it, {key, label, options}) {
    return el("label", {class: "explorable-control"}, el("span", {}, label),
      el("select", {
        "aria-label": label, "data-key": key, value: String(it.state[key]),
        onchange: (event) => it.set({[key]: options[event.target.selectedIndex][0]}),
      }, options.map(([value, text]) => el("option", {value: String(value)}, text))));
  }

  function check(it, {key, label}) {
    return el("label", {class: "explorable-check"},
      el("input", {
        type: "checkbox", "data-key": key, checked: it.state[key], onchange: (event) => it.set({[key]: event.target.checked}),
      }), el("span", {}, label));
  }

  const button = (label, act, more) => el("button", {type: "button", onclick: act, ...more}, label);

  // Back, on, and play where the reader has nothing against motion. `last`: the largest value of state[key].
  function player(it, {key, last, pause = 700, what = "step"}) {
    it.player = {key, last, pause};
    const go = (to) => { it.stop(); it.set({[key]: clamp(to, 0, last)}); };
    const at = it.state[key];
    return el("span", {class: "explorable-player"},
      button("◀", () => go(at - 1), {"aria-label": `one ${what} back`, "aria-disabled": at <= 0 ? "true" : false}),
      calm.matches ? null : button(it.playing ? "Pause" : "Play", () => (it.playing ? it.stop() : it.play(key, last, pause)), {
        class: "explorable-play",
      }),
      button("▶", () => go(at + 1), {"aria-label": `one ${what} on`, "aria-disabled": at >= last ? "true" : false}),
      el("span", {class: "explorable-count"}, `${what} ${at} of ${last}`));
  }

  // Drawing, as SVG.

  const text = (x, y, words, more) => el("text", {x, y, ...more}, words);
  const line = (x1, y1, x2, y2, more) => el("line", {x1, y1, x2, y2, class: "faint", ...more});
  const rect = (x, y, width, height, more) => el("rect", {x, y, width: Math.max(width, 0), height: Math.max(height, 0), ...more});

  // A bar from one height to another, whichever is the higher.
  const bar = (x, width, y1, y2, more) => rect(x, Math.min(y1, y2), width, Math.abs(y1 - y2), more);

  // Numbers to drag: a column for each, a bar from zero, a knob at its end. By keyboard one Tab stop; ← and → go from number to
  // number, ↑ and ↓ change it. `box` {x, y, width, height}; `name` is what a screen reader says before the number of the column, which
  // begins with `first`.
  function handles(it, {group, name, values, min, max, step = 0.1, box, set, colour = "ink", show = (v) => shown(v), first = 0}) {
    const wide = box.width / values.length;
    const yOf = (value) => box.y + (box.height * (max - value)) / (max - min);
    const zero = yOf(clamp(0, min, max));
    const round = (value) => Math.round(clamp(value, min, max) / step) * step;
    const change = (i, value) => set(i, Number(round(value).toFixed(6)));
    const focused = it.at[group] || 0;
    const drag = (i) => (event) => {
      if (event.type === "pointermove" && !event.currentTarget.hasPointerCapture(event.pointerId)) return;
      const frame = it.svg.getBoundingClientRect();
      change(i, max - ((((event.clientY - frame.top) * it.width) / frame.width - box.y) / box.height) * (max - min));
    };
    const keys = (i) => (event) => {
      const to = {ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: values.length - 1}[event.key];
      const by = {ArrowUp: step, ArrowDown: -step, PageUp: 5 * step, PageDown: -5 * step}[event.key];
      if (to === undefined && by === undefined) return;
      event.preventDefault();
      if (by !== undefined) change(i, values[i] + by);
      else it.focus(group, clamp(to, 0, values.length - 1));
    };
    return el("g", {role: it.still ? false : "group", "aria-label": it.still ? false : name},
      line(box.x, zero, box.x + box.width, zero),
      values.map((value, i) => {
        const x = box.x + i * wide, y = yOf(value);
        const live = it.still ? {} : {
          tabindex: i === focused ? "0" : "-1", role: "slider", "aria-label": `${name} ${i + first}`, "aria-valuemin": String(min),
          "aria-valuemax": String(max), "aria-valuenow": String(value), "aria-valuetext": show(value),
          "aria-orientation": "vertical", "data-handle": `${group}-${i}`, onkeydown: keys(i), onpointermove: drag(i),
          ontouchstart: (event) => event.preventDefault(), // a finger on a bar drags it, and does not scroll the page
          onfocus: () => { if (it.at[group] !== i) { it.at[group] = i; it.draw(); } },
          onpointerdown: (event) => {
            event.preventDefault();
            event.currentTarget.setPointerCapture(event.pointerId);
            it.focus(group, i);
            drag(i)(event);
          },
        };
        return el("g", {class: "handle", ...live},
          rect(x, box.y - 6, wide, box.height + 12, {class: "hit"}),
          bar(x + wide * 0.22, wide * 0.56, zero, y, {class: colour}),
          rect(x + wide * 0.12, y - 2.5, wide * 0.76, 5, {class: `knob ${colour}`, rx: 2.5}));
      }));
  }

  // Numbers as bars from zero, without handles; `box` as above, `of(i)` more attributes for one of them.
  function bars(values, {min, max, box, of = () => ({class: "ink"}), share = 0.56}) {
    const wide = box.width / values.length, yOf = (value) => box.y + (box.height * (max - value)) / (max - min);
    return [
      line(box.x, yOf(0), box.x + box.width, yOf(0)),
      values.map((value, i) => bar(box.x + wide * (i + (1 - share) / 2), wide * share, yOf(0), yOf(clamp(value, min, max)), of(i))),
    ];
  }

  // Words below the columns of a box.
  const labels = (words, {box, y, more = "muted"}) => words.map((word, i) =>
    text(box.x + (box.width * (i + 0.5)) / words.length, y, word, {class: `small middle ${more}`}));

  // A square of numbers as colours: positive orange, negative blue, of the strength of their share of `top`. `words`: also as digits.
  function grid(values, {x, y, size, top, words = false, marked = () => false, act = null, still = false, label = null}) {
    const limit = top || most(values);
    return el("g", {class: "grid"}, values.map((row, r) => row.map((value, c) => {
      const strength = Math.min(1, Math.abs(value) / limit);
      const live = act && !still ? {class: "cell hit-cell", onclick: () => act(r, c)} : {class: "cell"};
      return el("g", live,
        rect(x + c * size, y + r * size, size - 1, size - 1, {class: "paper cell-line"}),
        rect(x + c * size, y + r * size, size - 1, size - 1, {class: value < 0 ? "blue" : "orange", "fill-opacity": (words ? 0.5 : 0.85) * strength}),
        marked(r, c) ? rect(x + c * size + 0.5, y + r * size + 0.5, size - 2, size - 2, {class: "frame"}) : null,
        words ? text(x + (c + 0.5) * size - 0.5, y + (r + 0.5) * size + 3.5, shown(value, 2), {class: "small middle"}) : null);
    })), label ? text(x, y - 6, label, {class: "small"}) : null);
  }

  function drawing(description, it) {
    it.numbers = description.compute(it.state);
    const inside = description.draw(it);
    return el("svg", {
      viewBox: `0 0 ${it.width} ${Math.ceil(it.height)}`, width: it.still ? false : it.width, height: it.still ? false : Math.ceil(it.height),
      role: it.still ? "img" : "group", "aria-label": it.label,
    }, inside);
  }

  // Brings one to life, in place of its still picture.
  function mount(figure) {
    const description = described[figure.dataset.explorable];
    if (!description) return;
    const place = figure.querySelector(".explorable-place");
    const label = figure.querySelector(".explorable-title").textContent;
    const it = {state: {...structuredClone(description.start), ...JSON.parse(figure.dataset.options || "{}")}, at: {}, label, still: false};
    const root = document.createElement("div");
    let timer = null;
    it.draw = () => {
      it.width = Math.floor(clamp(place.clientWidth, 280, WIDE));
      const svg = drawing(description, it);
      patch(root, [
        el("div", {class: "explorable-controls"}, description.controls(it)), svg,
        el("p", {class: "explorable-tells", role: "status", "aria-live": it.playing ? "off" : "polite"}, description.tell(it)),
      ], "http://www.w3.org/1999/xhtml");
      it.svg = root.querySelector("svg");
    };
    it.set = (changes) => { Object.assign(it.state, changes); it.draw(); };
    it.focus = (group, i) => {
      it.at[group] = i;
      it.draw();
      root.querySelector(`[data-handle="${group}-${i}"]`).focus({preventScroll: true});
    };
    it.stop = () => { clearInterval(timer); it.playing = false; it.draw(); };
    it.play = (key, last, pause) => {
      if (it.state[key] >= last) it.state[key] = 0;
      it.playing = true;
      timer = setInterval(() => (it.state[key] >= last ? it.stop() : it.set({[key]: it.state[key] + 1})), pause);
      it.draw();
    };
    place.replaceChildren(root);
    it.draw();
    figure.classList.add("alive");
    let before = it.width;
    new ResizeObserver(() => {
      if (Math.floor(clamp(place.clientWidth, 280, WIDE)) !== before) it.draw();
      before = it.width;
    }).observe(place);
    if (figure.dataset.play && !calm.matches) {
      whenSeen(figure, () => {
        it.state[it.player.key] = 0;
        it.play(it.player.key, it.player.last, it.player.pause);
      });
    }
  }

  // Calls `act` once, when half of an element, or as much as a window holds of it, has come into view.
  function whenSeen(element, act) {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      act();
    }, {threshold: 0.4});
    observer.observe(element);
  }

  // What a reader without scripts sees: the drawing at its start, as text.
  mvnp.still = (name, options = {}) => {
    const description = described[name], it = {state: {...structuredClone(description.start), ...options}, at: {}, width: WIDE, still: true};
    it.label = "";
    it.set = it.focus = it.stop = it.play = () => {};
    const place = document.createElement("div");
    patch(place, [drawing(description, it)], "http://www.w3.org/1999/xhtml");
    return place.innerHTML.replaceAll("><", ">\n<") + "\n";
  };

  mvnp.define = (name, description) => {
    described[name] = description;
    mvnp[name] = {compute: description.compute, start: description.start};
  };
  mvnp.kit = {bar, bars, button, check, choice, clamp, el, grid, handles, labels, line, most, percent, player, range, rect, shown, slider, text};

  const begin = () => document.querySelectorAll("[data-explorable]").forEach(mount);
  if (document.readyState === "complete") begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
