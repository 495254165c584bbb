// How the night went, in numbers.

const tile = (word, value, ...small) =>
  el("div", { class: "tile" }, el("dt", {}, word), el("dd", {}, el("span", { class: "value" }, value), small.filter(Boolean).map((text) => el("span", { class: "small-print" }, text))));

const moneyTile = ({ settled, reserved, unpriced, unestimated, compared, compared_settled, compared_estimated }) => {
  const known = [
    reserved > 0 ? `${usd(reserved)} set aside` : null,
    compared > 0 ? `${many(compared, "job")} estimated at ${usd(compared_estimated)} cost ${usd(compared_settled)}` : null,
    unpriced > 0 ? `${number.format(unpriced)} without a cost from the service` : null,
    unestimated > 0 ? `${number.format(unestimated)} without an estimate` : null,
  ];
  const sum = settled === 0 && unpriced > 0 ? "unknown" : usd(settled);
  return tile(facts.simulated ? "Settled (simulated)" : "Settled", sum, ...known);
};

/** How long a part of the jobs took, and of how many that is known. */
const partTile = (word, spread, known) =>
  spread === null
    ? tile(word, "–", known(0))
    : tile(word, took(spread.p50), `95% within ${took(spread.p95)}, longest ${took(spread.most)}`, known(spread.count));

const tiles = (sums) => {
  const found = [
    tile("Videos", number.format(sums.videos), `of ${many(sums.rows, "row")}`, sums.bytes > 0 ? `${size(sums.bytes)} on disk` : null),
    moneyTile(sums),
  ];
  if (sums.jobs === 0) return found;
  const span = sums.last - sums.first;
  found.push(
    tile(
      "Makespan",
      took(span),
      "from the first submission to the last end",
      span - sums.busy > 1 ? `${took(sums.busy)} with jobs in flight` : null,
    ),
  );
  if (sums.busy > 0) {
    const [unit, word] = sums.busy < 600 ? [60, "min"] : [3600, "h"];
    const rate = (sums.videos * unit) / sums.busy;
    found.push(
      tile(
        "Throughput",
        `${few(rate)} / ${word}`,
        "videos, while jobs were in flight",
        `${few(sums.mean_in_flight)} in flight on average, ${number.format(sums.peak_in_flight)} at most`,
      ),
    );
  }
  const ended = (count) => `known for ${number.format(count)} of ${many(sums.over, "job")} that ended`;
  const made = (count) => `known for ${number.format(count)} of ${many(sums.ran, "video")}`;
  found.push(partTile("Queue, median", sums.queue, ended), partTile("Run, median", sums.run, made));
  if (sums.whole !== null && (sums.run?.count ?? 0) < sums.ran) found.push(partTile("Queue and run, median", sums.whole, made));
  found.push(
    partTile("Lateness, median", sums.late, ended),
    tile(
      "Requests a job",
      sums.polled > 0 ? few(1 + sums.polls / sums.polled) : "–",
      sums.polled > 0 ? `its submission and ${few(sums.polls / sums.polled)} polls on average` : "not known",
      ended(sums.polled),
    ),
    tile(
      "Submissions a row",
      (sums.attempts / Math.max(1, sums.tried)).toFixed(2),
      `${many(sums.attempts, "submission")} for ${many(sums.tried, "row")}`,
      sums.answer ? `half accepted within ${took(sums.answer.p50)}` : null,
    ),
  );
  return found;
};

const stateBar = (sums) => {
  const present = Object.keys(STATES).filter((state) => sums.states[state]);
  const bar = el("div", { class: "statebar", "aria-hidden": "true" });
  const legend = el("ul", { class: "legend", "aria-label": "Rows by state" });
  for (const state of present) {
    const count = sums.states[state];
    const part = el("span", { class: `tone-${toneOf(state)}` });
    part.style.flexGrow = String(count);
    bar.append(part);
    const filter = button("", { class: "plain" }, () => choose("state", state));
    filter.append(
      el("span", { class: `dot tone-${toneOf(state)}`, "aria-hidden": "true" }),
      el("strong", {}, number.format(count)),
      ` ${wordOf(state)}`,
    );
    legend.append(el("li", {}, filter));
  }
  return [bar, legend];
};

const showSummary = () => {
  byId("summary").append(el("dl", { class: "tiles" }, tiles(facts.summary)), ...stateBar(facts.summary));
  if (facts.left_out > 0) {
    byId("summary").append(
      el(
        "p",
        { class: "note" },
        `The page shows ${many(rows.length, "row")}: the first of the manifest, and those behind them that need a person. ` +
          `${number.format(facts.left_out)} others are left out of the gallery, but count in all numbers; results.jsonl has them all.`,
      ),
    );
  }
};
