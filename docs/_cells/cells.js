// Cells that run in the browser, on a site that was built with PYODIDE (docs/_ext/cells.py).
//
// The examples of a page can be edited and run, top to bottom in one Python, as the site's build has run them; the layer's
// exercise of `mvnp learn` is opened, written and checked in the page. Nothing is loaded until a button is pressed: then a worker
// (worker.js) loads Python, NumPy and mvnp, once for the page. A worker can be ended, whatever it runs.
"use strict";

(() => {
  const script = document.currentScript;
  const folder = new URL(".", script.src);
  const pyodide = new URL(script.dataset.pyodide, folder).href;
  const packages = script.dataset.packages.split(" ").filter(Boolean);
  const cells = [];
  let python = null; // the worker, with what it was asked last
  let busy = null; // what runs now, with its buttons

  const el = (tag, attributes, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };

  // Python.

  function start() {
    const worker = new Worker(new URL("worker.js", folder), {type: "module"});
    python = {worker, said: () => {}, answered: () => {}, failed: () => {}};
    const mine = python;
    worker.onmessage = ({data}) => {
      if (data.said !== undefined) mine.said(data.said);
      else if (data.failed !== undefined) mine.failed(new Error(data.failed));
      else mine.answered(data.answer);
    };
    worker.onerror = (event) => mine.failed(new Error(event.message || "its script cannot be loaded"));
    return ask({ask: "start", pyodide, packages, mvnp: new URL("mvnp.zip", folder).href});
  }

  const ask = (question, said = () => {}) => new Promise((answered, failed) => {
    Object.assign(python, {said, answered, failed});
    python.worker.postMessage(question);
  });

  function end() {
    if (python) python.worker.terminate();
    python = null;
    for (const cell of cells) cell.ran = false;
  }

  // One thing at a time: `work(tell)` with the buttons of `it`, where Stop ends Python.
  async function occupy(it, work) {
    if (busy) return it.tell(busy === it ? "This runs already." : "Something else runs; stop it first, or wait.");
    busy = it;
    it.stop.hidden = false;
    it.box.setAttribute("aria-busy", "true");
    it.stopped = false;
    try {
      if (!python) {
        it.tell(`Python, NumPy and mvnp are being loaded, once for this page: ${script.dataset.size} from ${new URL(pyodide).host || "this folder"} …`);
        await start();
      }
      it.tell("Running …");
      it.tell(await work());
    } catch (error) {
      if (!it.stopped) {
        end();
        const hint = location.protocol === "file:" ? " Pages that are opened as files cannot load it; serve the site: python -m http.server" : "";
        it.tell(`Python could not be run here: ${error.message.trim().split("\n").pop()}.${hint}`); // the last line of a traceback
      }
    } finally {
      if (busy === it) busy = null;
      it.stop.hidden = true;
      it.box.removeAttribute("aria-busy");
    }
  }

  function stop(it) {
    const failed = python && python.failed;
    it.stopped = true;
    end();
    it.tell("Stopped. Python begins anew with the next run.");
    it.first.focus();
    if (failed) failed(new Error("stopped"));
  }

  // What every cell has: code that can be edited, buttons, a line that says how it stands.
  function furnish(box, pre, name, buttons) {
    const status = el("span", {className: "cell-status"});
    status.setAttribute("role", "status");
    const it = {box, pre, first: buttons[0], tell: (text) => (status.textContent = text)};
    it.stop = el("button", {type: "button", textContent: "Stop", hidden: true, onclick: () => stop(it)});
    editable(pre, name, () => it.first.click());
    (pre.closest("[class*=highlight-]") || pre.parentElement).after(el("div", {className: "cell-bar"}, ...buttons, it.stop, status));
    return it;
  }

  function editable(pre, name, run) {
    pre.contentEditable = "true";
    try {
      pre.contentEditable = "plaintext-only";
    } catch { /* an older browser: what is pasted may bring its colours */ }
    pre.spellcheck = false;
    pre.classList.add("cell-code");
    for (const [key, value] of Object.entries({role: "textbox", "aria-multiline": "true", "aria-label": name})) pre.setAttribute(key, value);
    pre.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return; // the Tab key goes on to the buttons
      event.preventDefault();
      if (event.ctrlKey || event.shiftKey || event.metaKey) return run();
      const spot = getSelection().getRangeAt(0).cloneRange();
      spot.setStart(pre, 0);
      const line = spot.toString().split("\n").pop();
      document.execCommand("insertText", false, `\n${line.match(/^ */)[0]}${line.trimEnd().endsWith(":") ? "    " : ""}`);
    });
  }

  const text = (pre) => pre.innerText.replace(/\u00a0/g, " ").replace(/\n*$/, "\n");

  // The examples.

  function example(box) {
    const pre = box.querySelector(".highlight-python pre");
    const original = pre.innerHTML, place = cells.length + 1;
    const run = el("button", {type: "button", textContent: "Run"}), back = el("button", {type: "button", textContent: "As it was", hidden: true});
    const it = furnish(box, pre, `Code of cell ${place}; Ctrl and Enter run it`, [run, back]);
    let output = box.querySelector(".output pre");
    if (!output) {
      output = el("pre");
      box.append(el("div", {className: "output highlight", hidden: true}, output));
    }
    output.setAttribute("aria-live", "polite");
    const printed = output.textContent;
    const clear = () => ((output.textContent = ""), (output.closest(".output").hidden = true));
    it.run = async () => {
      clear();
      const error = await ask({ask: "run", code: text(pre), place}, (said) => {
        output.closest(".output").hidden = false;
        output.append(said);
      });
      output.classList.toggle("cell-error", Boolean(error));
      if (error) {
        output.closest(".output").hidden = false;
        output.append(error);
      }
      it.ran = !error;
      return !error;
    };
    run.onclick = () => occupy(it, async () => {
      for (const before of cells.slice(0, place - 1)) {
        if (!before.ran && !(await before.run())) return `Cell ${cells.indexOf(before) + 1}, above, ends with an error, and this one needs it.`;
      }
      return (await it.run()) ? "" : "It ends with an error.";
    });
    back.onclick = () => {
      pre.innerHTML = original;
      output.textContent = printed;
      output.classList.remove("cell-error");
      output.closest(".output").hidden = !printed;
      it.ran = false;
      back.hidden = true;
      run.focus();
    };
    pre.addEventListener("input", () => ((back.hidden = false), (it.ran = false)));
    cells.push(it);
  }

  // The exercise. What is written is kept by the browser, for this site alone.

  function exercise(box) {
    const stem = box.dataset.exercise, kept = `mvnp-learn-${stem}`;
    const store = (value) => {
      try {
        if (value === null) localStorage.removeItem(kept);
        else if (value !== undefined) localStorage.setItem(kept, value);
        return localStorage.getItem(kept);
      } catch {
        return null; // the reader's browser keeps nothing
      }
    };
    const open = el("button", {type: "button", textContent: "Write it here"});
    const hint = el("span", {className: "cell-status"});
    hint.setAttribute("role", "status");
    const opening = {box, first: open, tell: (words) => (hint.textContent = words)};
    opening.stop = el("button", {type: "button", textContent: "Stop", hidden: true, onclick: () => stop(opening)});
    const bar = el("div", {className: "cell-bar"}, open, opening.stop, hint);
    box.append(bar);
    open.onclick = () => occupy(opening, async () => {
      const fresh = await ask({ask: "open", stem});
      bar.remove();
      write(fresh);
      return "";
    });

    function write(fresh) {
      const pre = el("pre", {textContent: store() || fresh}), output = el("pre");
      const check = el("button", {type: "button", textContent: "Check"}), anew = el("button", {type: "button", textContent: "Begin anew"});
      const solution = el("button", {type: "button", textContent: "Solution", hidden: true});
      box.append(el("div", {className: "highlight"}, pre), el("div", {className: "output highlight", hidden: true}, output));
      const it = furnish(box, pre, `Your answer to the exercise ${stem}; Ctrl and Enter check it`, [check, solution, anew]);
      output.setAttribute("aria-live", "polite");
      const say = (words) => ((output.parentElement.hidden = false), output.append(words));
      let tries = 0;
      check.onclick = () => occupy(it, async () => {
        output.textContent = "";
        const {told, right, tried} = JSON.parse(await ask({ask: "check", stem, text: text(pre)}, say));
        say(told);
        tries += tried;
        solution.hidden = !tries;
        return right ? "Right." : tried ? "Not right yet." : "";
      });
      solution.onclick = () => occupy(it, async () => {
        output.textContent = "";
        say(await ask({ask: "solution", stem}));
        return "";
      });
      anew.onclick = () => {
        store(null);
        pre.textContent = fresh;
        check.focus();
      };
      pre.addEventListener("input", () => store(text(pre)));
      pre.focus();
    }
  }

  document.querySelectorAll("article .example").forEach(example);
  document.querySelectorAll("article [data-exercise]").forEach(exercise);
})();
