// The head of the page, the toolbar, keys and colours; then all is shown.

const changed = () => showFound();

/** Set one filter, as its control would, and go to the gallery. */
const choose = (name, value) => {
  query[name] = value;
  byId(`query-${name}`).value = value;
  changed();
  byId("toolbar").scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
};

const selectOf = (name, label, options) => {
  const select = el(
    "select",
    { id: `query-${name}`, "aria-label": label, onchange: () => ((query[name] = select.value), changed()) },
    options.map(([value, word]) => el("option", { value }, word)),
  );
  return select;
};

const distinct = (measure) =>
  [...new Set(rows.map(measure))].filter(Boolean).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));

const stateOptions = () => {
  const present = Object.keys(STATES).filter((state) => rows.some((row) => row.state === state));
  const needs = rows.some(troubled) ? [["troubled", "Needs you"]] : [];
  return [["", "All states"], ...needs, ...present.map((state) => [state, wordOf(state)])];
};

const showToolbar = () => {
  let timer;
  const search = el("input", {
    type: "search",
    id: "query-text",
    placeholder: "Search prompts, keys, ids   /",
    "aria-label": "Search prompts, keys, request ids and errors",
    oninput: () => {
      query.text = search.value;
      clearTimeout(timer);
      timer = setTimeout(changed, 120);
    },
  });
  const kept = button("", { class: "small", id: "save-keep" }, () => saveKeys("keep", marks.rows("keep")));
  const rejected = button("", { class: "small", id: "save-reject" }, () => saveKeys("reject", marks.rows("reject")));
  const countMarks = () => {
    for (const [made, mark] of [[kept, "keep"], [rejected, "reject"]]) {
      const count = marks.rows(mark).length;
      made.textContent = `Save ${number.format(count)} ${mark === "keep" ? "kept" : "rejected"}`;
      made.hidden = count === 0;
    }
    byId("unstored").hidden = marks.areStored();
  };
  const asOptions = (texts) => texts.map((text) => [text, text]);
  byId("toolbar").append(
    el(
      "div",
      { class: "wide tools" },
      search,
      selectOf("state", "State", stateOptions()),
      selectOf("model", "Model", [["", "All models"], ...asOptions(distinct((row) => row.model))]),
      selectOf("resolution", "Resolution", [["", "All resolutions"], ...asOptions(distinct(resolutionOf))]),
      selectOf("mark", "Marks", [["", "All marks"], ["keep", "Kept"], ["reject", "Rejected"], ["none", "Unmarked"]]),
      selectOf("sort", "Order", Object.entries(SORTS).map(([name, [word]]) => [name, word])),
      kept,
      rejected,
      el("span", { class: "quiet", id: "unstored", hidden: true }, "This browser keeps no marks: save them before you leave."),
    ),
  );
  marks.listen((row) => {
    countMarks();
    if (row === undefined || query.mark === "") gallery.refresh();
    else changed();
  });
  countMarks();
};

const showHead = () => {
  byId("eyebrow").textContent = facts.simulated ? "Seedance batch, simulated" : "Seedance batch";
  byId("title").textContent = facts.name;
  const { first, last } = facts.summary;
  const when = first === null ? "nothing submitted yet" : `${at(moment, first)} to ${at(day, first) === at(day, last) ? at(exactClock, last) : at(moment, last)}`;
  byId("written").textContent = `${when} · page written ${at(moment, facts.written)}`;
  const running = ["submitted", "submitting", "planned"].some((state) => facts.summary.states[state]);
  byId("footer").append(
    running ? el("p", {}, "This is how it stood then. To see more: ", commandLine(`seedance-async report ${shellWord(facts.folder)}`)) : "",
    el("p", {}, "Rows and times come from ledger.sqlite. Lateness is the time from the end that the service tells until it was known here; where the two clocks do not agree, it is not known. Polls, and the moment a run began, are known of jobs that one run followed from their submission on."),
    el("p", {}, "Marks stay in this browser. Saved lists go to ", el("code", {}, "batch … --only @FILE"), ", with ", el("code", {}, "--retry failed"), " for another attempt of those that failed."),
    el("p", {}, `seedance-async ${facts.version}`),
  );
};

const shellWord = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

const KEYS = [
  ["/", "search"],
  ["← → ↑ ↓ Home End", "move from video to video"],
  ["Enter", "open a video; ← → go on, Esc closes"],
  ["Space", "play or pause"],
  ["K", "keep"],
  ["X", "reject"],
  ["C", "choose to compare"],
  ["?", "show this list"],
];
const showKeys = () => {
  byId("keys").replaceChildren(
    el("div", { class: "bar" }, el("h2", { id: "keys-title", class: "title" }, "Keys"), el("span", { class: "room" }), button("Close", { class: "small" }, () => byId("keys").close())),
    el("dl", {}, KEYS.map(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)])),
  );
  byId("keys").showModal();
};

const THEMES = ["light dark", "light", "dark"];
const showTheme = () => {
  const place = "seedance-async theme";
  let theme = THEMES[0];
  const paint = () => {
    document.documentElement.style.colorScheme = theme;
    byId("theme").textContent = { "light dark": "Auto", light: "Light", dark: "Dark" }[theme];
    byId("theme").setAttribute("aria-label", `Colours: ${byId("theme").textContent}`);
  };
  try {
    theme = THEMES.find((known) => known === localStorage.getItem(place)) ?? theme;
  } catch {
    // no storage: the system's choice
  }
  byId("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    paint();
    try {
      localStorage.setItem(place, theme);
    } catch {
      // it holds for this visit
    }
  });
  paint();
};

addEventListener("keydown", (event) => {
  const inField = event.target.closest?.("input, select, textarea, dialog");
  if (inField || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    byId("query-text").focus();
  } else if (event.key === "?") showKeys();
});
byId("show-keys").addEventListener("click", showKeys);

showTheme();
showHead();
showSummary();
showTroubles();
showToolbar();
showFound();
showCharts();
