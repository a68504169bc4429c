"use strict";
// Sorting, filters, the theme and the comparison of two runs. Without it every page still reads.
(() => {
  const root = document.documentElement;
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  const kept = (name, value) => {
    try {
      if (value === undefined) return localStorage.getItem(name);
      localStorage.setItem(name, value);
    } catch { /* a browser may forbid storage to files */ }
    return null;
  };

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = kept("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  const toggle = document.querySelector("button.theme");
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const tell = () => toggle.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  if (toggle) {
    toggle.hidden = false;
    tell();
    toggle.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      kept("theme", root.dataset.theme);
      tell();
    });
  }

  for (const button of all("button.copy")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // A cell sorts by its data-by, else by its text. Empty cells come last in both directions.
  const key = (row, place) => {
    const cell = row.cells[place];
    const text = cell.dataset.by ?? cell.textContent.trim();
    const number = Number(text.replace("\u2212", "-"));
    return text === "" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };
  const sort = (table, head, place) => {
    const first = head.dataset.first || "ascending";
    const now = head.getAttribute("aria-sort");
    const other = first === "ascending" ? "descending" : "ascending";
    const order = now === first ? other : first;
    for (const one of all("th[aria-sort]", table)) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const keyed = [...table.tBodies[0].rows].map((row) => [key(row, place), row]);
    keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  };
  for (const table of all("table.sortable")) {
    all("thead th", table).forEach((head, place) => {
      if (!head.textContent.trim() || head.hasAttribute("data-still")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head, place));
    });
  }

  // A filter names a column of data on each row (data-NAME); one without a name searches the text.
  for (const tools of all(".tools[data-for]")) {
    const rows = all(`#${tools.dataset.for} tbody tr`);
    const inputs = all("input, select", tools);
    const output = tools.querySelector("output");
    const fits = (row, input) => {
      const asked = input.value.trim().toLowerCase();
      if (!asked) return true;
      if (!input.name) return row.textContent.toLowerCase().includes(asked);
      return (row.dataset[input.name] || "").toLowerCase().split("|").includes(asked);
    };
    const narrow = () => {
      let shown = 0;
      for (const row of rows) {
        row.hidden = !inputs.every((input) => fits(row, input));
        shown += !row.hidden;
      }
      output.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    };
    tools.hidden = false;
    for (const input of inputs) input.addEventListener("input", narrow);
    tools.addEventListener("submit", (event) => event.preventDefault());
    narrow();
  }

  // Two runs: each run's data is a script beside its page, as files may not be read from a file.
  const form = document.getElementById("compare");
  if (form) compareRuns(form);

  function make(name, text, ...children) {
    const one = document.createElement(name);
    if (text !== undefined && text !== null) one.textContent = text;
    one.append(...children);
    return one;
  }

  function tableOf(heads, lines, label) {
    const table = make("table");
    const cells = (line, kind) => line.map((text, place) => {
      const one = make(place || kind === "th" ? kind : "th", text);
      if (place && heads[place].n) one.className = "n";
      if (kind === "th") one.scope = "col"; else if (!place) one.scope = "row";
      return one;
    });
    table.createTHead().append(make("tr", null, ...cells(heads.map((head) => head.name), "th")));
    table.createTBody().append(...lines.map((line) => make("tr", null, ...cells(line, "td"))));
    const box = make("div", null, table);
    Object.assign(box, { className: "scroll", tabIndex: 0 });
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", label);
    return box;
  }

  const signed = (value, digits = 2) => {
    const text = Math.abs(value).toFixed(digits);
    return `${value < 0 ? "\u2212" : "+"}${text}`;
  };
  const percent = (share) => (share === null || share === undefined ? "" : (100 * share).toFixed(2));
  const bits = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const ones = (byte) => { let count = 0; for (; byte; byte &= byte - 1) count += 1; return count; };

  // McNemar's exact test, two-sided: gained of gained + lost under a fair coin.
  function mcnemar(gained, lost) {
    const n = gained + lost;
    if (!n) return 1;
    let logChoose = 0;
    let tail = 0;
    for (let k = 0; k <= Math.min(gained, lost); k += 1) {
      if (k) logChoose += Math.log((n - k + 1) / k);
      tail += Math.exp(logChoose - n * Math.LN2);
    }
    return Math.min(1, 2 * tail);
  }

  function compareRuns(asked) {
    const place = document.getElementById("compared");
    const runs = new Map();
    const labels = new Map();
    window.known = (list) => {
      for (const [id, label] of list) labels.set(id, label);
      document.getElementById("known").append(...list.slice(0, 2000).map(([id, label]) => {
        const option = make("option", label);
        option.value = id;
        return option;
      }));
    };
    window.run = (values) => runs.set(values.id, values);
    const classes = new Map();
    window.names = ([place, ...names]) => classes.set(place, names);
    const load = (id) => new Promise((resolve, reject) => {
      if (runs.has(id)) return resolve(runs.get(id));
      if (!/^[\w.-]+$/u.test(id)) return reject(new Error(`no run is called ${id}`));
      const script = make("script");
      script.src = `runs/${encodeURIComponent(id)}.js`;
      script.onload = () => (runs.has(id) ? resolve(runs.get(id)) : reject(new Error(`no run is called ${id}`)));
      script.onerror = () => reject(new Error(`no run is called ${id}`));
      document.head.append(script);
    });
    const namesOf = (run) => new Promise((resolve) => {
      if (!/^names\/[\w-]+\.js$/.test(run.names) || classes.has(run.names)) return resolve(classes.get(run.names) || []);
      const script = make("script");
      script.src = run.names;
      script.onload = () => resolve(classes.get(run.names) || []);
      script.onerror = () => resolve([]); // classes then have numbers only
      document.head.append(script);
    });
    const show = async () => {
      const ids = [asked.elements.a.value.trim(), asked.elements.b.value.trim()];
      if (!ids[0] || !ids[1]) return;
      try {
        const [a, b] = await Promise.all(ids.map(load));
        place.replaceChildren(...compared(a, b, await namesOf(a)));
        document.title = `${a.label} and ${b.label}`;
      } catch (error) {
        place.replaceChildren(make("p", `${error.message}; choose one of the list.`));
      }
    };
    asked.addEventListener("submit", (event) => {
      event.preventDefault();
      show();
    });
    const query = new URLSearchParams(location.search);
    for (const name of ["a", "b"]) asked.elements[name].value = query.get(name) || "";
    show();
  }

  function title(run) {
    const link = make("a", `${run.label}, seed ${run.seed}`);
    link.href = `runs/${encodeURIComponent(run.id)}.html`;
    return link;
  }

  function compared(a, b, names) {
    const found = [make("p", null, title(a), " \u2192 ", title(b), ` on ${a.data}${a.data === b.data ? "" : ` and ${b.data}`}`)];
    const same = a.correct && b.correct && a.pictures === b.pictures;
    if (same) {
      const [one, other] = [bits(a.correct), bits(b.correct)];
      let gained = 0;
      let lost = 0;
      one.forEach((byte, n) => {
        gained += ones(other[n] & ~byte);
        lost += ones(byte & ~other[n]);
      });
      const facts = make("dl");
      facts.className = "facts";
      const fact = (what, much, more) => {
        const box = make("div", null, make("dt", what), make("dd", much), make("dd", more));
        box.children[1].className = "much";
        box.children[2].className = "small";
        return box;
      };
      const p = mcnemar(gained, lost);
      facts.append(
        fact("difference", signed((100 * (gained - lost)) / a.images), `points of top-1 on ${a.images} pictures`),
        fact("gained", String(gained), "pictures that became right"),
        fact("lost", String(lost), "pictures that became wrong"),
        fact("McNemar\u2019s p", p < 0.001 ? "< 0.001" : p.toFixed(3), "one seed of each: for a verdict on methods see the board"),
      );
      found.push(facts);
    } else {
      found.push(make("p", "The two were not tested on the same pictures, or their predictions are missing: only their settings and accuracies stand side by side."));
    }
    const terms = new Map();
    a.scores.forEach(([split, views, epoch, top1]) => terms.set([split, views, epoch].join(", "), [top1, null]));
    b.scores.forEach(([split, views, epoch, top1]) => {
      const key = [split, views, epoch].join(", ");
      terms.set(key, [(terms.get(key) || [null])[0], top1]);
    });
    found.push(make("h2", "Scores"), tableOf(
      [{ name: "split, views, weights" }, { name: "first, top-1 %", n: 1 }, { name: "second, top-1 %", n: 1 }, { name: "difference", n: 1 }],
      [...terms].map(([key, [x, y]]) => [key, percent(x), percent(y), x === null || y === null ? "" : signed(100 * (y - x))]),
      "Scores of both runs",
    ));
    const fields = [...new Set([...Object.keys(a.settings), ...Object.keys(b.settings)])];
    // Of a stage that only one of them has, the name among the stages says enough.
    const stages = (one, name) => !/^stage \d+: /.test(name) || Object.hasOwn(one.settings, `${name.split(": ")[0]}: epochs`);
    const differing = fields.filter((name) => a.settings[name] !== b.settings[name] && stages(a, name) && stages(b, name));
    found.push(make("h2", "What was set differently"));
    found.push(differing.length
      ? tableOf([{ name: "setting" }, { name: "first" }, { name: "second" }], differing.map((name) => [name, a.settings[name] ?? "", b.settings[name] ?? ""]), "Settings that differ")
      : make("p", a.seed === b.seed ? "Nothing." : "Nothing but the seed."));
    if (same) {
      const rows = a.classes.map((x, n) => [names[n] || `class ${n}`, x, b.classes[n]]).filter(([, x, y]) => x !== null && y !== null);
      rows.sort((x, y) => (y[2] - y[1]) - (x[2] - x[1]));
      const shown = rows.length > 60 ? [...rows.slice(0, 30), ...rows.slice(-30)] : rows;
      found.push(make("h2", shown.length < rows.length ? "Classes that changed most" : "Classes"), tableOf(
        [{ name: "class" }, { name: "first, top-1 %", n: 1 }, { name: "second, top-1 %", n: 1 }, { name: "difference", n: 1 }],
        shown.map(([name, x, y]) => [name, percent(x), percent(y), signed(100 * (y - x))]),
        "Classes of both runs",
      ));
    }
    return found;
  }

  // What trains now, on a server of this machine only.
  const live = document.getElementById("live");
  if (live) follow(live, document.getElementById("live-note"));

  function duration(seconds) {
    if (seconds < 100) return `${Math.round(seconds)} s`;
    return seconds < 6000 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
  }

  function stageCard(one, now) {
    const { scalars } = one;
    const silent = now - one.time;
    const bar = make("progress");
    Object.assign(bar, { max: one.steps || 1, value: one.step });
    bar.setAttribute("aria-label", `${one.label}, stage ${one.stage}`);
    const said = [`epoch ${(scalars.epoch || 0).toFixed(1)} of ${one.epochs}`];
    if ("loss" in scalars) said.push(`loss ${scalars.loss.toFixed(3)}`);
    if ("val_top1" in scalars) said.push(`val top-1 ${(100 * scalars.val_top1).toFixed(1)} %`);
    if ("images_per_second" in scalars) said.push(`${Math.round(scalars.images_per_second)} images a second`);
    if (scalars.seconds_left && silent < 60) said.push(`${duration(scalars.seconds_left)} left`);
    const state = silent < 60 ? "running" : `silent for ${duration(silent)}: between epochs, or stopped; the same command goes on`;
    const lines = [make("figcaption", `${one.label}, seed ${one.seed}, ${one.data}`), make("strong", one.stage), bar, make("div", said.join(", ")), make("div", state)];
    lines[3].className = "small";
    lines[4].className = "note";
    return make("figure", null, ...lines);
  }

  function follow(place, told) {
    const ask = async () => {
      try {
        const answer = await fetch("live.json");
        const stages = await answer.json();
        place.replaceChildren(...stages.map((one) => stageCard(one, Date.now() / 1000)));
        told.textContent = stages.length ? "" : "No stage is training now.";
      } catch {
        told.textContent = "harness serve does not answer: start it again to follow runs.";
      }
    };
    ask();
    setInterval(ask, 2000);
  }
})();
