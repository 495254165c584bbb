// One row of the gallery. Its height is known before it is made: see gallery.js.

const stateBadge = (row) =>
  el("span", { class: `badge tone-${toneOf(row.state)}` }, wordOf(row.state));

const chips = (row) => {
  const { resolution, ratio, duration, seed } = row.settings;
  const texts = [row.model, resolution, ratio, duration !== undefined ? `${duration} s` : undefined];
  if (seed !== undefined) texts.push(`seed ${seed}`);
  return texts.filter((text) => text !== undefined && text !== "").map(String);
};

const media = (row) => {
  if (playable(row)) return previews.make(row);
  const shown = el("div", { class: `blank tone-${toneOf(row.state)}` });
  if (row.error) shown.append(foreign("span", row.error.message, { class: "why" }));
  else shown.append(noVideo(absence(row) ?? wordOf(row.state)));
  return shown;
};

const makeCard = (row, { open, choose, isChosen }) => {
  const picture = media(row);
  const pick = el("input", {
    type: "checkbox",
    tabindex: "-1",
    "aria-label": `Compare ${row.key}`,
    onchange: () => choose(row),
  });
  pick.checked = isChosen(row);
  const buttons = markButtons(row, { tabindex: "-1" });
  const money = row.cost ?? row.estimate;
  const numbers = [
    money === undefined ? null : `${row.cost === undefined ? "≈ " : ""}${usd(money)}`,
    row.ran === undefined ? null : took(row.ran),
    row.attempts > 1 ? many(row.attempts, "attempt") : null,
  ].filter(Boolean);
  const card = el(
    "article",
    { class: "card", role: "listitem", tabindex: "-1", "aria-label": `${nameOf(row)}, ${wordOf(row.state)}` },
    el(
      "div",
      { class: "picture", onclick: () => open(row) },
      picture,
      row.state === "downloaded" && !row.gone ? null : stateBadge(row),
      playable(row)
        ? el("label", { class: "pick", onclick: (event) => event.stopPropagation() }, pick, "Compare")
        : null,
    ),
    el(
      "div",
      { class: "body" },
      foreign("p", row.prompt || nameOf(row), { class: "prompt", onclick: () => open(row) }),
      el("p", { class: "chips" }, chips(row).map((text) => foreign("span", text))),
      el(
        "div",
        { class: "foot" },
        el("span", { class: "numbers" }, numbers.join(" · ")),
        el("span", { class: "marks" }, buttons),
      ),
    ),
  );
  if (playable(row)) {
    const play = () => still.matches || previews.play(picture);
    const rest = () => previews.rest(picture);
    card.addEventListener("mouseenter", play);
    card.addEventListener("mouseleave", rest);
    card.addEventListener("focus", play);
    card.addEventListener("blur", rest);
  }
  const refresh = () => {
    showMark(buttons, row);
    card.dataset.marked = marks.of(row) ?? "";
    pick.checked = isChosen(row);
  };
  refresh();
  const release = () => picture instanceof HTMLVideoElement && previews.release(picture);
  return { card, picture, pick, refresh, release };
};
