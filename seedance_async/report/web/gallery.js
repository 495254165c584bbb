// The gallery holds only the cards near the window, so that 10,000 rows scroll like ten.

const gallery = (() => {
  const grid = byId("grid");
  const shown = new Map(); // place in `found` -> card
  const GAP = 20;
  const BODY = 8.6; // rem, as in gallery.css
  const NARROWEST = 17; // rem
  const OVERSCAN = 600; // pixels
  let found = [];
  let columns = 1;
  let width = 0;
  let height = 0;
  let active = 0;
  let asked = false;

  const measure = () => {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const room = grid.clientWidth;
    columns = Math.max(1, Math.floor((room + GAP) / (NARROWEST * rem + GAP)));
    width = (room - GAP * (columns - 1)) / columns;
    height = Math.round((width * 9) / 16 + BODY * rem);
    grid.style.height = `${Math.max(0, Math.ceil(found.length / columns) * (height + GAP) - GAP)}px`;
  };

  const put = (place) => {
    const item = shown.get(place);
    const x = (place % columns) * (width + GAP);
    const y = Math.floor(place / columns) * (height + GAP);
    item.card.style.transform = `translate(${x}px, ${y}px)`;
    item.card.style.width = `${width}px`;
    item.card.style.height = `${height}px`;
  };

  const add = (place) => {
    const item = makeCard(found[place], { open: openRow, choose: compare.toggle, isChosen: compare.has });
    item.card.dataset.place = String(place);
    item.card.setAttribute("aria-setsize", String(found.length));
    item.card.setAttribute("aria-posinset", String(place + 1));
    shown.set(place, item);
    put(place);
    if (place === active) setReach(item, "0");
    grid.append(item.card);
  };

  const drop = (place) => {
    shown.get(place).release();
    shown.get(place).card.remove();
    shown.delete(place);
  };

  /** Only the active card and what is in it are reached by Tab. */
  const setReach = (item, tabindex) => {
    item.card.setAttribute("tabindex", tabindex);
    for (const inner of item.card.querySelectorAll("button, input")) inner.setAttribute("tabindex", tabindex);
  };

  const render = () => {
    asked = false;
    const top = -grid.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor((top - OVERSCAN) / (height + GAP))) * columns;
    const last = Math.min(found.length, Math.ceil((top + innerHeight + OVERSCAN) / (height + GAP)) * columns);
    for (const [place, item] of shown) {
      const inside = (place >= first && place < last) || place === active;
      if (!inside && !item.card.contains(document.activeElement)) drop(place);
    }
    for (let place = first; place < last; place += 1) if (!shown.has(place)) add(place);
    if (active < found.length && !shown.has(active)) add(active); // Tab always finds a card
    previews.soon();
  };

  const renderSoon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(render);
  };

  const lay = () => {
    measure();
    for (const place of shown.keys()) put(place);
    renderSoon();
  };

  const reach = (place) => {
    if (shown.has(active)) setReach(shown.get(active), "-1");
    active = Math.max(0, Math.min(place, found.length - 1));
    if (shown.has(active)) setReach(shown.get(active), "0");
  };

  const focus = (place) => {
    reach(place);
    const y = grid.getBoundingClientRect().top + Math.floor(active / columns) * (height + GAP);
    const bar = byId("toolbar").offsetHeight + 12;
    if (y < bar) scrollBy(0, y - bar);
    else if (y + height > innerHeight) scrollBy(0, y + height - innerHeight + 12);
    render();
    shown.get(active)?.card.focus({ preventScroll: true });
  };

  const show = (list) => {
    for (const place of [...shown.keys()]) drop(place);
    found = list;
    active = 0;
    lay();
    render();
  };

  const MOVES = {
    ArrowRight: () => active + 1,
    ArrowLeft: () => active - 1,
    ArrowDown: () => (active + columns < found.length ? active + columns : active),
    ArrowUp: () => (active >= columns ? active - columns : active),
    Home: () => 0,
    End: () => found.length - 1,
  };
  const ACTS = {
    Enter: (row) => openRow(row),
    k: (row) => marks.set(row, "keep"),
    x: (row) => marks.set(row, "reject"),
    c: (row) => compare.toggle(row),
    " ": (row, item) => playable(row) && (item.picture.paused ? previews.play(item.picture) : item.picture.pause()),
  };
  grid.addEventListener("keydown", (event) => {
    const item = shown.get(active);
    if (event.ctrlKey || event.metaKey || event.altKey || item === undefined) return;
    if (MOVES[event.key]) focus(MOVES[event.key]());
    else if (ACTS[event.key] && event.target === item.card) ACTS[event.key](found[active], item);
    else return;
    event.preventDefault();
  });
  grid.addEventListener("focusin", (event) => {
    const card = event.target.closest(".card");
    if (card) reach(Number(card.dataset.place));
  });
  addEventListener("scroll", renderSoon, { passive: true });
  new ResizeObserver(lay).observe(grid);

  return {
    show,
    focus: () => focus(active),
    refresh: () => shown.forEach((item) => item.refresh()),
    neighbour: (row, step) => found[found.indexOf(row) + step],
  };
})();

const showFound = () => {
  const found = findRows();
  gallery.show(found);
  const all = found.length === rows.length;
  byId("found").textContent = all ? many(rows.length, "row") : `${number.format(found.length)} of ${many(rows.length, "row")}`;
};
