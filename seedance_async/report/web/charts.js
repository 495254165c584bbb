// The timeline of all jobs, and how long they ran.

const tip = byId("tip");
const showTip = (event, text) => {
  tip.hidden = false;
  tip.textContent = text;
  const { offsetWidth: wide, offsetHeight: high } = tip;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - wide - 8))}px`;
  tip.style.top = `${event.clientY + high + 24 > innerHeight ? event.clientY - high - 12 : event.clientY + 16}px`;
};
const hideTip = () => (tip.hidden = true);

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
const stepFor = (seconds, room) => STEPS.find((step) => (seconds / step) * 96 <= room) ?? 86400 * Math.ceil(seconds / 86400 / 6);

/** Return where a time of the timeline is drawn: quiet hours between two spells are cut out. */
const timeScale = (spells, room) => {
  const CUT = 14;
  const whole = spells.reduce((sum, [start, end]) => sum + end - start, 0) || 1;
  const scale = (room - CUT * (spells.length - 1)) / whole;
  let x = 0;
  const parts = spells.map(([start, end]) => {
    const part = { start, end, x };
    x += (end - start) * scale + CUT;
    return part;
  });
  const place = (time) => {
    const part = parts.findLast(({ start }) => start <= time + 0.005) ?? parts[0];
    return part.x + (Math.min(Math.max(time, part.start), part.end) - part.start) * scale;
  };
  return { parts, place, scale };
};

const timeTicks = ({ parts, place, scale }, height) =>
  parts.flatMap(({ start, end, x }) => {
    const room = (end - start) * scale;
    const step = stepFor(end - start, room);
    const format = step < 60 ? exactClock : step < 43_200 ? clock : day;
    const from = facts.timeline.start + start;
    const offset = new Date(from * 1000).getTimezoneOffset() * 60;
    const found = [];
    for (let tick = Math.ceil((from - offset) / step) * step + offset; tick <= facts.timeline.start + end; tick += step) {
      const where = place(tick - facts.timeline.start);
      const word = at(format, tick);
      found.push(svg("line", { x1: where, x2: where, y1: 0, y2: height, class: "rule" }));
      if (where - x < room - 60) {
        found.push(svg("text", { x: where + 3, y: height + 14, class: "label" }, word));
      }
    }
    return found;
  });

const levelPaths = ({ parts, scale }, levels, most, height) =>
  parts.map(({ start, end, x }, spell) => {
    const wide = ((end - start) * scale) / levels[spell].length;
    const points = levels[spell].flatMap((level, bin) => {
      const y = (height - (level / most) * height).toFixed(1);
      return [`${(x + bin * wide).toFixed(1)},${y}`, `${(x + (bin + 1) * wide).toFixed(1)},${y}`];
    });
    const right = (x + (end - start) * scale).toFixed(1);
    return svg("polygon", { points: `${x.toFixed(1)},${height} ${points.join(" ")} ${right},${height}`, class: "level" });
  });

/** Return what a bar tells of its job; a time that is not known is null. */
const stationsOf = ([place, state, lane, start, accepted, began, end, asked, there]) => ({ place, state, lane, start, accepted, began, end, asked, there });

const barWords = (bar) => {
  const { place, state, start, accepted, began, end, asked, there } = stationsOf(bar);
  const row = rows[place];
  const prompt = row === undefined ? "" : `\n${row.prompt.slice(0, 120)}`;
  const begun = at(exactClock, facts.timeline.start + start);
  const parts = [
    `${begun}, accepted after ${took(accepted - start)}`,
    began === null ? `queue and run ${took(end - accepted)}` : `queue ${took(began - accepted)}, run until its end was known ${took(end - began)}`,
    there === null ? null : `download ${took(there - asked)}`,
  ];
  return `${row?.key ?? "A row that the page leaves out"} · ${wordOf(state)}${prompt}\n${parts.filter(Boolean).join("\n")}`;
};

const timelineBars = ({ place }, bars, thick) =>
  bars.flatMap((bar, index) => {
    const { state, lane, start, accepted, began, end, asked, there } = stationsOf(bar);
    const tone = `tone-${toneOf(state === "succeeded" ? "downloaded" : state)}`;
    const y = lane * thick;
    const high = Math.max(1, thick - (thick > 4 ? 1.5 : 0.4));
    const part = (from, to, what, least = 0.4, share = 1) =>
      svg("rect", {
        x: place(from),
        y: y + (high * (1 - share)) / 2,
        width: Math.max(least, place(to) - place(from)),
        height: high * share,
        class: what,
        "data-bar": index,
      });
    const seen = (from, to) => from !== null && to !== null && place(to) - place(from) >= 0.5;
    return [
      seen(start, accepted) ? part(start, accepted, "sent") : null,
      seen(accepted, began) ? part(accepted, began, `queue ${tone}`) : null,
      part(began ?? accepted, end, `job ${began === null ? "whole " : ""}${tone}`, 0.8),
      seen(end, asked) ? part(end, asked, "waited", 0.4, 0.1) : null,
      there === null ? null : part(asked, there, "download", 0.8, 0.5),
    ].filter(Boolean);
  });

const drawTimeline = (holder) => {
  const { spells, levels, bars, jobs } = facts.timeline;
  const room = holder.clientWidth;
  const scale = timeScale(spells, room);
  const most = Math.max(1, ...levels.flat());
  const CURVE = 64;
  const used = Math.max(...bars.map((bar) => stationsOf(bar).lane)) + 1;
  const thick = Math.min(16, Math.max(3, 420 / used));
  const high = used * thick;
  const curve = svg(
    "svg",
    { width: room, height: CURVE + 20, viewBox: `0 -16 ${room} ${CURVE + 20}`, role: "img", "aria-label": `Jobs in flight over time, ${few(most)} at most on average` },
    levelPaths(scale, levels, most, CURVE),
    svg("text", { x: 0, y: -5, class: "label" }, `${few(most)} jobs in flight`),
  );
  const chart = svg(
    "svg",
    { width: room, height: high + 20, role: "img", "aria-label": `Timeline of ${many(jobs, "job")}; each clip’s details tell its times in words` },
    timeTicks(scale, high),
    timelineBars(scale, bars, thick),
  );
  chart.addEventListener("mousemove", (event) => {
    const bar = bars[event.target.dataset?.bar];
    if (bar === undefined) hideTip();
    else showTip(event, barWords(bar));
  });
  chart.addEventListener("mouseleave", hideTip);
  chart.addEventListener("click", (event) => {
    const row = rows[bars[event.target.dataset?.bar]?.[0]];
    if (row !== undefined) openRow(row);
  });
  holder.replaceChildren(curve, chart);
};

/** What the parts of a bar mean; only those that occur. */
const timelineLegend = ({ bars }) => {
  const found = bars.map(stationsOf);
  const parts = [
    ["sent", "submission", true],
    ["queue", "queue", found.some(({ began }) => began !== null)],
    ["job", "run", found.some(({ began }) => began !== null)],
    ["job whole", "queue and run, not told apart", found.some(({ began }) => began === null)],
    ["download", "download", found.some(({ there }) => there !== null)],
  ];
  return el(
    "ul",
    { class: "parts", "aria-label": "Parts of a bar" },
    parts
      .filter(([, , occurs]) => occurs)
      .map(([kind, word]) =>
        el("li", {}, svg("svg", { width: 22, height: 10, "aria-hidden": "true" }, svg("rect", { width: 22, y: kind === "download" ? 2.5 : 0, height: kind === "download" ? 5 : 10, class: `${kind} tone-good` })), word),
      ),
  );
};

const timelineNote = ({ every, jobs, spells }) =>
  [
    "Each bar is a job, in its colour of state. Its run begins when a poll first saw it in progress, up to a poll late, and ends when its end was known.",
    every > 1 ? `Of ${many(jobs, "job")} one in ${number.format(every)} is drawn; the curve counts all.` : null,
    spells.length > 1 ? `Quiet times between ${number.format(spells.length)} spells of work are cut out.` : null,
    "A job that is not over is drawn until the last news, one that timed out until its acceptance.",
    "A download that came more than two minutes after the end is left out.",
  ]
    .filter(Boolean)
    .join(" ");

const distribution = ({ edges, groups }) => {
  const most = Math.max(...groups.flatMap(({ bins }) => bins));
  const last = edges.at(-1);
  const histogram = ({ bins, spread }) => {
    const part = 100 / bins.length;
    return svg(
      "svg",
      { viewBox: "0 0 100 30", preserveAspectRatio: "none", class: "bins", role: "img", "aria-label": `from ${took(spread.least)} to ${took(spread.most)}` },
      bins.map((count, bin) =>
        svg("rect", { x: bin * part + part * 0.06, width: part * 0.88, y: 30 - (count / most) * 29, height: (count / most) * 29, class: "bin" }),
      ),
      svg("line", { x1: (spread.p50 / last) * 100, x2: (spread.p50 / last) * 100, y1: 0, y2: 30, class: "median" }),
    );
  };
  const head = ["Model", "Resolution", "Time", "Videos", `0 to ${took(last)}`, "Median", "95%", "99%", "Longest"];
  return el(
    "div",
    { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Run times by model and resolution" },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, head.map((word) => el("th", { scope: "col" }, word)))),
      el(
        "tbody",
        {},
        groups.map((group) =>
          el(
            "tr",
            {},
            foreign("th", group.model, { scope: "row" }),
            foreign("td", group.resolution || "–"),
            el("td", {}, group.whole ? "queue and run" : "run"),
            el("td", { class: "n" }, number.format(group.spread.count)),
            el("td", { class: "wide-cell" }, histogram(group)),
            ["p50", "p95", "p99", "most"].map((name) => el("td", { class: "n" }, took(group.spread[name]))),
          ),
        ),
      ),
    ),
  );
};

const runsNote = ({ groups }) =>
  [
    "Of jobs that brought a video; the line marks the median.",
    groups.some(({ whole }) => !whole) ? "A run is from the poll that first saw it in progress to the end that the service tells." : null,
    groups.some(({ whole }) => whole) ? "Where one of the two is not known, a line of its own tells queue and run together: from acceptance until the end was known." : null,
  ]
    .filter(Boolean)
    .join(" ");

const showCharts = () => {
  const { timeline, runs } = facts;
  if (timeline.jobs === 0) {
    byId("charts").append(el("p", { class: "quiet" }, "No job has been accepted yet."));
    return;
  }
  const holder = el("div", { class: "timeline" });
  byId("charts").append(
    el("h3", {}, "Timeline"),
    timelineLegend(timeline),
    holder,
    el("p", { class: "quiet" }, timelineNote(timeline)),
  );
  let drawn = 0;
  new ResizeObserver(() => {
    if (holder.clientWidth === drawn) return;
    drawn = holder.clientWidth;
    drawTimeline(holder);
  }).observe(holder);
  if (runs.groups.length === 0) return;
  byId("charts").append(
    el("h3", {}, "Run times by model and resolution"),
    distribution(runs),
    el("p", { class: "quiet" }, runsNote(runs)),
  );
};
