// Rows that failed, were cancelled, lost or are in doubt: alike ones together.

const AT_ONCE = 50;
const KINDS_AT_ONCE = 8;
const RANGES_AT_ONCE = 12;
const URGENT = ["in_doubt", "lost", "failed", "invalid", "cancelled", "timed_out", "succeeded"];

/** Why a row is in trouble, in words that are the same for all jobs. */
const reason = (row) => {
  if (row.gone) return "the file is no longer there";
  if (!row.error) return "no reason was given";
  const said = errorText(row.error);
  return row.request ? said.replaceAll(row.request, "ID") : said;
};

const troubleGroups = () => {
  const groups = new Map();
  for (const row of rows.filter(troubled)) {
    const why = reason(row);
    const name = `${row.state}\n${why}`;
    if (!groups.has(name)) groups.set(name, { state: row.state, why, rows: [] });
    groups.get(name).rows.push(row);
  }
  const rank = ({ state }) => (URGENT.indexOf(state) + 99) % 99; // what is not urgent comes last
  return [...groups.values()].sort((a, b) => rank(a) - rank(b) || b.rows.length - a.rows.length);
};

const troubleRow = (row) =>
  el(
    "li",
    {},
    el(
      "p",
      { class: "who" },
      button(nameOf(row), { class: "link foreign", dir: "auto" }, () => openRow(row)),
      row.request === undefined ? null : copyButton(row.request, `Copy the request id of ${row.key}`, "Copy request id"),
    ),
    row.prompt ? foreign("p", row.prompt, { class: "prompt quiet" }) : null,
    remedyList(row),
  );

const fillGroup = (list, group) => {
  const more = el("li", {});
  const add = () => {
    const from = list.childElementCount - (more.isConnected ? 1 : 0);
    more.remove();
    list.append(...group.rows.slice(from, from + AT_ONCE).map(troubleRow));
    const left = group.rows.length - from - AT_ONCE;
    if (left <= 0) return;
    more.replaceChildren(button(`Show ${number.format(Math.min(left, AT_ONCE))} of ${number.format(left)} more`, {}, add));
    list.append(more);
  };
  add();
};

/** Numbers that rise, as 3, 7–9. */
const ranges = (numbers) => {
  const found = [];
  for (const next of numbers) {
    if (next === found.at(-1)?.[1] + 1) found.at(-1)[1] = next;
    else found.push([next, next]);
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
};

const keysOf = (group) => [
  button(`Save ${many(group.rows.length, "key")}`, { class: "small" }, () => saveKeys(`${group.state}-keys`, group.rows)),
  " for ",
  el("code", {}, "--only @FILE"),
];

const linesOf = (group) => {
  const all = ranges(group.rows.map((row) => row.line));
  const more = all.length > RANGES_AT_ONCE ? ", …" : "";
  const word = group.rows.length === 1 ? "Line" : "Lines";
  return [
    `Not in the plan, so that no key chooses ${group.rows.length === 1 ? "it" : "them"}. `,
    el("span", { class: "lines" }, `${word} ${all.slice(0, RANGES_AT_ONCE).join(", ")}${more}`),
    " of the manifest ",
    copyButton(all.join(", "), "Copy the line numbers"),
  ];
};

const troubleGroup = (group, isOpen) => {
  const list = el("ul", { class: "rows" });
  const box = el(
    "details",
    { class: `group tone-${toneOf(group.state)}` },
    el(
      "summary",
      {},
      el("span", { class: "count" }, number.format(group.rows.length)),
      el("span", { class: `badge tone-${toneOf(group.state)}` }, wordOf(group.state)),
      foreign("span", group.why, { class: "why" }),
    ),
    el("p", { class: "quiet" }, choosable(group) ? keysOf(group) : linesOf(group)),
    list,
  );
  box.addEventListener("toggle", () => box.open && list.childElementCount === 0 && fillGroup(list, group));
  box.open = isOpen;
  return box;
};

const showTroubles = () => {
  const groups = troubleGroups();
  byId("troubles").hidden = groups.length === 0;
  byId("troubles-link").hidden = groups.length === 0;
  const few = groups.length <= 3 && groups.every((group) => group.rows.length <= 3);
  const holder = byId("trouble-groups");
  const add = (some) => holder.append(...some.map((group) => troubleGroup(group, few)));
  add(groups.slice(0, KINDS_AT_ONCE));
  const others = groups.slice(KINDS_AT_ONCE);
  if (others.length === 0) return;
  const more = button(`Show ${many(others.length, "other kind")}`, { class: "more" }, () => {
    more.remove();
    add(others);
  });
  holder.append(more);
};
