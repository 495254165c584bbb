// All that is known of one row, with its video in full.

const details = byId("details");
let inDetails;

const term = (word, ...values) => [el("dt", {}, word), el("dd", {}, ...values)];
const copied = (text, label) => [foreign("span", text, { class: "mono" }), " ", copyButton(text, label)];
const webLink = (url) =>
  /^https?:\/\//i.test(url)
    ? foreign("a", url, { href: url, rel: "noopener noreferrer", target: "_blank" })
    : foreign("span", url);

const asked = (row) =>
  Object.entries(row.settings).flatMap(([name, value]) =>
    term(name.replaceAll("_", " "), typeof value === "string" ? webLink(value) : String(value)),
  );

const moments = (row) => {
  const lasted = (word, seconds) => (seconds === undefined ? [] : term(word, took(seconds)));
  const shown = (word, seconds) => (seconds === undefined ? [] : term(word, at(moment, seconds)));
  return [
    ...shown("Submitted", row.submitted),
    ...shown("Accepted", row.accepted),
    ...shown("End known", row.finished),
    ...lasted("Queue and run", row.run === undefined ? row.ran : undefined),
    ...lasted("Queue", row.queue),
    ...lasted("Run", row.run),
    ...lasted("Lateness", row.late),
    ...lasted("Download", row.download),
    ...(row.polls === undefined ? [] : term("Polls", String(row.polls))),
  ];
};

const costs = (row) => [
  ...(row.cost === undefined ? [] : term("Cost", usd(row.cost))),
  ...(row.estimate === undefined ? [] : term("Estimate", usd(row.estimate))),
  ...(row.attempts > 0 ? term("Attempts", String(row.attempts)) : []),
];

const places = (row) => [
  ...(row.key === "" ? [] : term("Key", copied(row.key, "Copy the key"))),
  ...(row.line === undefined ? [] : term("Line", String(row.line))),
  ...(row.request === undefined ? [] : term("Request id", copied(row.request, "Copy the request id"))),
  ...(row.file === undefined
    ? []
    : term("File", row.gone ? "no longer there" : el("a", { href: row.file, target: "_blank" }, decodeURIComponent(row.file)), row.bytes === undefined ? null : ` (${size(row.bytes)})`)),
  ...(row.url === undefined ? [] : term("Service’s URL", webLink(row.url))),
];

const remedyList = (row) =>
  el(
    "ul",
    { class: "remedies" },
    row.remedies.map(([when, command]) => el("li", {}, el("span", {}, `${when}:`), commandLine(command))),
  );

const errorBox = (row) =>
  el(
    "div",
    { class: `error tone-${toneOf(row.state)}` },
    row.error ? foreign("p", errorText(row.error)) : null,
    row.remedies ? remedyList(row) : null,
  );

const errorText = (error) =>
  `${error.kind}${error.code === undefined || error.code === null ? "" : ` ${error.code}`}: ${error.message}`;

const player = (row) => {
  if (!playable(row)) return el("div", { class: "player" }, noVideo(absence(row) ?? wordOf(row.state)));
  const video = el("video", { src: row.file, controls: true, playsinline: true, preload: "auto" });
  video.loop = true;
  video.muted = true;
  if (!still.matches) video.autoplay = true;
  const shown = el("div", { class: "player" }, video);
  video.addEventListener("error", () => shown.replaceChildren(noVideo("The file cannot be played")));
  return shown;
};

const openRow = (row) => {
  inDetails = row;
  const step = (by, word) => {
    const next = gallery.neighbour(row, by);
    return button(word, { class: "small", disabled: next === undefined }, () => next && openRow(next));
  };
  details.replaceChildren(
    el(
      "div",
      { class: "bar" },
      foreign("h2", nameOf(row), { id: "details-title", class: "title" }),
      stateBadge(row),
      el("span", { class: "room" }),
      markButtons(row),
      step(-1, "Previous"),
      step(1, "Next"),
      button("Close", { class: "small", autofocus: true }, () => details.close()),
    ),
    el(
      "div",
      { class: "panes" },
      player(row),
      el(
        "div",
        { class: "told" },
        foreign("p", row.prompt, { class: "whole" }),
        row.prompt ? el("p", {}, copyButton(row.prompt, "Copy the prompt", "Copy the prompt")) : null,
        row.error || row.remedies?.length ? errorBox(row) : null,
        el("dl", {}, term("Model", foreign("span", row.model)), asked(row), costs(row), moments(row), places(row)),
      ),
    ),
  );
  if (!details.open) details.showModal();
};

details.addEventListener("close", () => {
  details.replaceChildren();
  inDetails = undefined;
});
details.addEventListener("keydown", (event) => {
  if (event.target.closest("video, code") || event.ctrlKey || event.metaKey || event.altKey) return;
  const next = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const mark = { k: "keep", x: "reject" }[event.key];
  if (next && gallery.neighbour(inDetails, next)) openRow(gallery.neighbour(inDetails, next));
  else if (mark) marks.set(inDetails, mark);
});
marks.listen(() => inDetails && showMark(details.querySelectorAll(".bar .mark"), inDetails));

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
