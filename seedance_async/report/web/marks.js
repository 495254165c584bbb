// Keep and reject. A mark is about a video, not about a key: another attempt begins unmarked.

const marks = (() => {
  const place = `seedance-async marks ${location.pathname}`;
  const listeners = [];
  let known = new Map();
  let stored = true;

  const read = () => {
    try {
      known = new Map(JSON.parse(localStorage.getItem(place) ?? "[]"));
    } catch {
      stored = false;
    }
  };
  const write = () => {
    try {
      localStorage.setItem(place, JSON.stringify([...known]));
    } catch {
      stored = false;
    }
  };
  const of = (row) => {
    const found = choosable(row) ? known.get(row.key) : undefined;
    return found !== undefined && found[1] === (row.request ?? "") ? found[0] : undefined;
  };
  const tell = (row) => listeners.forEach((listener) => listener(row));
  const set = (row, mark) => {
    if (!choosable(row)) return say(`${nameOf(row)} is invalid: only rows of the plan take marks`);
    if (mark === undefined || mark === of(row)) known.delete(row.key);
    else known.set(row.key, [mark, row.request ?? ""]);
    write();
    say(`${row.key}: ${of(row) ?? "no mark"}`);
    tell(row);
  };
  addEventListener("storage", (event) => {
    if (event.key !== place) return;
    read();
    tell(undefined);
  });
  read();
  return {
    of,
    set,
    rows: (mark) => rows.filter((row) => of(row) === mark),
    listen: (listener) => listeners.push(listener),
    areStored: () => stored,
  };
})();

/** The keys as `--only @FILE` takes them: one a line. */
const keyList = (chosen) => chosen.map((row) => `${row.key}\n`).join("");

const saveKeys = (name, chosen) => {
  save(`${name}.txt`, keyList(chosen));
  say(`${many(chosen.length, "key")} saved as ${name}.txt`);
};

/** The two buttons of a row; none if a mark would choose nothing. */
const markButtons = (row, properties = {}) => {
  if (!choosable(row)) return [];
  const made = [
    ["keep", "Keep"],
    ["reject", "Reject"],
  ].map(([mark, word]) =>
    button(word, { ...properties, class: `small mark ${mark}`, "data-mark": mark }, (event) => {
      event.stopPropagation();
      marks.set(row, mark);
    }),
  );
  showMark(made, row);
  return made;
};

const showMark = (buttons, row) => {
  for (const made of buttons) {
    made.setAttribute("aria-pressed", String(marks.of(row) === made.dataset.mark));
  }
};
