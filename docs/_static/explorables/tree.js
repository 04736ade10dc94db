// The tree: which steps of a recurrence are joined in which round, one after another, by Hillis and Steele's way, and by Blelloch's.
"use strict";

(() => {
  const {choice, el, line, player, range, rect, shown, slider, text} = mvnp.kit;

  const WAYS = {
    loop: (k) => range(k - 1).map((t) => [[t, t + 1]]),
    simple: (k) => doubling(k).map((d) => range(k - d).map((i) => [i, i + d])),
    tree: (k) => [
      ...doubling(k).map((d) => every(2 * d - 1, k, 2 * d).map((i) => [i - d, i])),
      ...doubling(k).reverse().map((d) => every(3 * d - 1, k, 2 * d).map((i) => [i - d, i])),
    ].filter((joins) => joins.length),
  };
  function doubling(k) {
    const found = [];
    for (let d = 1; d < k; d *= 2) found.push(d);
    return found;
  }
  function every(from, to, by) {
    const found = [];
    for (let i = from; i < to; i += by) found.push(i);
    return found;
  }

  // a, u (k,). After each round the map (a, u) that stands at every position, and from which step it begins; joins [from, into] of
  // each round; work and depth are how many there are of them and of the rounds.
  function compute({a, u, way}) {
    const joins = WAYS[way](a.length);
    const rounds = [a.map((decay, t) => ({a: decay, u: u[t], first: t}))];
    for (const round of joins) {
      const old = rounds[rounds.length - 1], next = [...old];
      for (const [from, into] of round) next[into] = {a: old[into].a * old[from].a, u: old[into].a * old[from].u + old[into].u, first: old[from].first};
      rounds.push(next);
    }
    return {joins, rounds, states: rounds[rounds.length - 1].map((map) => map.u), work: joins.flat().length, depth: joins.length};
  }

  const inputs = (k) => ({a: range(k).map(() => 0.5), u: range(k).map((t) => [8, 4, 2, 1][t % 4])});
  mvnp.define("tree", {
    start: {...inputs(8), k: 8, way: "tree", step: 5},
    compute,
    controls: (it) => [
      choice(it, {
        key: "way", label: "the way",
        options: [["loop", "one after another"], ["simple", "Hillis and Steele"], ["tree", "Blelloch's tree"]],
      }),
      slider({...it, set: ({k}) => it.set({k, ...inputs(k), step: 0})}, {key: "k", label: "steps", min: 2, max: 16, show: String}),
      player(it, {key: "step", last: it.numbers ? it.numbers.depth : 5, pause: 900, what: "round"}),
    ],
    draw(it) {
      const n = it.numbers, k = it.state.k, step = Math.min(it.state.step, n.depth);
      it.state.step = step;
      const left = 4, wide = (it.width - left) / k, high = n.depth > 8 ? 26 : 40, side = Math.min(wide * 0.86, 44);
      const x = (i) => left + (i + 0.5) * wide, y = (round) => 18 + round * high;
      const words = wide > 30;
      it.height = y(n.depth) + 22;
      return range(n.depth + 1).map((round) => el("g", {opacity: round > step ? 0.18 : 1},
        round === 0 ? null : n.joins[round - 1].map(([from, into]) => [
          line(x(from), y(round - 1) + 9, x(into), y(round) - 9, {class: "way"}),
          line(x(into), y(round - 1) + 9, x(into), y(round) - 9, {class: "way"}),
        ]),
        n.rounds[round].map((map, i) => {
          const joined = round === 0 || n.joins[round - 1].some(([, into]) => into === i);
          if (!joined) return line(x(i), y(round) - high + 9, x(i), y(round) + 9, {class: "faint"});
          return [
            rect(x(i) - side / 2, y(round) - 9, side, 18, {class: map.first === 0 ? "green" : "outside", rx: 4}),
            words ? text(x(i), y(round) + 4, map.first === i ? String(i) : `${map.first}–${i}`, {
              class: `small middle ${map.first === 0 ? "on" : ""}`,
            }) : null,
          ];
        })));
    },
    tell(it) {
      const n = it.numbers, {step, k} = it.state;
      const total = `In all ${n.work} joins in ${n.depth} rounds; one after another it is ${k - 1} in ${k - 1}.`;
      if (step === 0) return `A box is a stretch of steps, joined to one map; green ones begin at step 0, and their state is known. ${total}`;
      const round = n.joins[step - 1], [from, into] = round[round.length - 1], old = n.rounds[step - 1], made = n.rounds[step][into];
      const pair = (map) => `(${shown(map.a)}, ${shown(map.u)})`;
      return `Round ${step}: ${round.length} ${round.length === 1 ? "join" : "joins at once"}; the last, in pairs of decay and input, is ${pair(old[from])} then ${pair(old[into])} = ${pair(made)}.`
        + ` So far ${n.joins.slice(0, step).flat().length} joins. ${total}`;
    },
  });
})();
