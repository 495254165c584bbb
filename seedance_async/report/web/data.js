// What the page knows, and which rows are looked at.

const facts = JSON.parse(byId("facts").textContent);
const rows = JSON.parse(byId("rows").textContent).slice(1);
byId("rows").remove();

rows.forEach((row, place) => {
  row.place = place;
  row.ran = row.finished && row.accepted ? Math.max(0, row.finished - row.accepted) : undefined;
  row.words = [row.key, row.prompt, row.request ?? "", row.error?.message ?? ""]
    .join("\n")
    .toLowerCase();
});

const resolutionOf = (row) => String(row.settings.resolution ?? "");
/** A row that was left out has no key to be chosen by: the one that it names may be another's. */
const choosable = (row) => row.state !== "invalid";
const nameOf = (row) =>
  choosable(row) ? row.key : `line ${row.line}${row.key === "" ? "" : `: ${row.key}`}`;
const playable = (row) => row.file !== undefined && !row.gone;
const troubled = (row) => row.remedies !== undefined;

const query = { text: "", state: "", model: "", resolution: "", mark: "", sort: "line" };

const SORTS = {
  line: ["Manifest order", null],
  newest: ["Newest first", (row) => -(row.finished ?? row.submitted ?? 0)],
  longest: ["Longest run first", (row) => -(row.ran ?? -1)],
  dearest: ["Dearest first", (row) => -(row.cost ?? -1)],
  prompt: ["Prompt, A to Z", (row) => row.prompt.toLowerCase()],
};

const matches = (row, words) =>
  words.every((word) => row.words.includes(word)) &&
  (query.state === "" || (query.state === "troubled" ? troubled(row) : row.state === query.state)) &&
  (query.model === "" || row.model === query.model) &&
  (query.resolution === "" || resolutionOf(row) === query.resolution) &&
  (query.mark === "" || (marks.of(row) ?? "none") === query.mark);

/** Return the rows that the query asks for, in its order. */
const findRows = () => {
  const words = query.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = rows.filter((row) => matches(row, words));
  const measure = SORTS[query.sort][1];
  if (measure === null) return found;
  const measured = found.map((row) => [measure(row), row]);
  measured.sort(([a, first], [b, second]) => (a < b ? -1 : a > b ? 1 : first.place - second.place));
  return measured.map(([, row]) => row);
};
