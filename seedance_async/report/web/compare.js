// Two to four chosen clips side by side, played together.

const compare = (() => {
  const MOST = 4;
  const APART = 0.08; // seconds of drift that are set right
  const tray = byId("tray");
  const dialog = byId("compare");
  let chosen = [];
  let videos = [];
  let timer;
  const inPanes = new Map(); // row -> its buttons
  marks.listen(() => inPanes.forEach((buttons, row) => showMark(buttons, row)));

  const has = (row) => chosen.includes(row);
  const toggle = (row) => {
    if (has(row)) chosen = chosen.filter((other) => other !== row);
    else if (!playable(row)) say("There is no video to compare");
    else if (chosen.length === MOST) say(`At most ${MOST} clips are compared`);
    else chosen = [...chosen, row];
    show();
  };
  const clear = () => {
    chosen = [];
    show();
  };

  const show = () => {
    tray.hidden = chosen.length === 0;
    document.body.classList.toggle("with-tray", chosen.length > 0);
    tray.replaceChildren(
      el("strong", {}, `${chosen.length} of ${MOST} chosen`),
      ...chosen.map((row) => foreign("span", row.key, { class: "picked" })),
      el("span", { class: "room" }),
      button("Clear", { class: "small" }, clear),
      button("Compare", { class: "main", disabled: chosen.length < 2 }, open),
    );
    gallery.refresh();
  };

  const longest = () => Math.max(0, ...videos.map((video) => video.duration || 0));
  const leader = () => videos.reduce((a, b) => ((b.duration || 0) > (a.duration || 0) ? b : a));
  const seek = (time) => videos.forEach((video) => (video.currentTime = Math.min(time, video.duration || 0)));
  const playing = () => !leader().paused && !leader().ended;
  const play = () => {
    if (leader().ended) seek(0);
    videos.filter((video) => !video.ended).forEach((video) => video.play().catch(() => {}));
  };
  const pause = () => videos.forEach((video) => video.pause());

  /** Bring the clips to the leader's time; a shorter one waits at its end. */
  const align = () => {
    const time = leader().currentTime;
    for (const video of videos) {
      const due = Math.min(time, video.duration || 0);
      if (Math.abs(video.currentTime - due) > APART) video.currentTime = due;
    }
  };

  const controls = () => {
    const slider = el("input", { type: "range", min: "0", step: "0.01", value: "0", "aria-label": "Time of all clips" });
    const toggleButton = button("Pause", { class: "main" }, () => (playing() ? pause() : play()));
    const shownTime = el("span", { class: "numbers" }, "0.0 s");
    slider.addEventListener("input", () => {
      pause();
      seek(Number(slider.value));
    });
    const tick = () => {
      slider.max = String(longest());
      if (document.activeElement !== slider || playing()) slider.value = String(leader().currentTime);
      shownTime.textContent = `${leader().currentTime.toFixed(1)} s`;
      toggleButton.textContent = playing() ? "Pause" : "Play";
    };
    const lead = () => {
      tick();
      if (!leader().ended) return playing() && align();
      if (repeat.checked && !still.matches) {
        seek(0);
        play();
      }
    };
    const repeat = el("input", { type: "checkbox" });
    repeat.checked = true;
    timer = setInterval(lead, 200);
    return el(
      "div",
      { class: "controls" },
      toggleButton,
      button("From the start", { class: "small" }, () => (seek(0), play())),
      slider,
      shownTime,
      el("label", { class: "check" }, repeat, "Again and again"),
    );
  };

  const pane = (row) => {
    const video = el("video", { src: row.file, playsinline: true, preload: "auto", "aria-label": row.key });
    video.muted = true;
    const buttons = markButtons(row);
    inPanes.set(row, buttons);
    return el(
      "figure",
      { class: "pane" },
      video,
      el(
        "figcaption",
        {},
        foreign("p", row.key, { class: "title" }),
        foreign("p", row.prompt, { class: "prompt" }),
        el("p", { class: "chips" }, chips(row).map((text) => foreign("span", text))),
        el("p", { class: "marks" }, buttons),
      ),
    );
  };

  const open = () => {
    const panes = chosen.map(pane);
    videos = panes.map((made) => made.querySelector("video"));
    dialog.replaceChildren(
      el(
        "div",
        { class: "bar" },
        el("h2", { id: "compare-title", class: "title" }, `${chosen.length} clips side by side`),
        el("span", { class: "room" }),
        button("Close", { class: "small", autofocus: true }, () => dialog.close()),
      ),
      el("div", { class: "side-by-side", "data-clips": String(panes.length) }, panes),
      controls(),
    );
    dialog.showModal();
    if (still.matches) return;
    Promise.all(videos.map(ready)).then(play);
  };
  const ready = (video) =>
    new Promise((done) => {
      if (video.readyState >= 3) done();
      video.addEventListener("canplay", done, { once: true });
      video.addEventListener("error", done, { once: true });
    });

  dialog.addEventListener("close", () => {
    clearInterval(timer);
    pause();
    videos = [];
    inPanes.clear();
    dialog.replaceChildren();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.target.closest("button, input")) return;
    event.preventDefault();
    if (playing()) pause();
    else play();
  });
  return { has, toggle };
})();
