/* How results of the search are ordered. ABOUT, {words: page}, comes from _static/search_pages.js, which docs/_ext/search_pages.py
   writes. The page that is about the words comes first; then what Sphinx finds by itself, but lists of all names last. */
var Scorer = {  // not const: the theme declares it, too
  score: ([page, title, anchor, description, score]) => {
    const words = (new URLSearchParams(window.location.search).get("q") || "").toLowerCase().match(/[\p{L}\p{N}_]+/gu) || [];
    if (ABOUT[words.join(" ")] === page) return score + 100;
    return ["bibliography", "reference", "genindex"].includes(page) ? score - 10 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
