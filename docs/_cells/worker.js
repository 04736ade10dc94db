// Python, in a thread of its own: asked by cells.js, one question at a time, it says what is printed and then answers.
let python, cells;

async function start({pyodide, packages, mvnp}) {
  const {loadPyodide} = await import(new URL("pyodide.mjs", pyodide));
  // Neither kernels nor threads: the book's own code runs.
  const env = {HOME: "/home/pyodide", MVNP_BACKEND: "numpy", MVNP_KERNELS: "off", MVNP_THREADS: "1"};
  python = await loadPyodide({indexURL: pyodide, env});
  const say = {batched: (line) => postMessage({said: `${line}\n`})};
  python.setStdout(say);
  python.setStderr(say);
  await python.loadPackage(packages, {messageCallback: () => {}, errorCallback: () => {}});
  const missing = packages.filter((name) => !(name in python.loadedPackages));
  if (missing.length) throw new Error(`there is no ${missing.join(" and no ")} for Python at ${pyodide}`);
  const answer = await fetch(mvnp);
  if (!answer.ok) throw new Error(`${mvnp} cannot be read: ${answer.status}`);
  python.unpackArchive(await answer.arrayBuffer(), "zip", {extractDir: "/site"});
  python.runPython("import sys; sys.path.insert(0, '/site')");
  cells = python.pyimport("page_cells");
}

const answers = {
  start,
  run: ({code, place}) => cells.run(code, place),
  open: ({stem}) => cells.begin(stem),
  check: ({stem, text}) => cells.check(stem, text),
  solution: ({stem}) => cells.answer(stem),
};

onmessage = async ({data}) => {
  try {
    postMessage({answer: await answers[data.ask](data)});
  } catch (error) {
    postMessage({failed: error.message});
  }
};
