/* Excerpts of search results come from PAGES of search_pages.js, {page: [[anchor, text], …]}, and not from the pages themselves, which
   a browser does not read where the site is a folder of files. */
"use strict";

const fetchAnything = window.fetch;
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

window.fetch = (address, ...options) => {
  const root = new URL(document.documentElement.dataset.content_root || "./", window.location.href).href;
  const page = new URL(address, window.location.href).href.replace(root, "").replace(/\.html.*$/, "");
  if (!(page in PAGES)) return fetchAnything(address, ...options);
  const sections = PAGES[page].map(([anchor, text]) => `<div id="${escaped(anchor)}">${escaped(text)} </div>`);
  return Promise.resolve({ text: () => Promise.resolve(`<div role="main">${sections.join("")}</div>`) });
};
