// Previews: they load when the scrolling rests, play on hover, and give their decoders back.

const still = matchMedia("(prefers-reduced-motion: reduce)");

const previews = (() => {
  const waiting = new Set();
  let timer;

  const load = () => {
    for (const video of waiting) video.src = video.dataset.src;
    waiting.clear();
  };
  return {
    make: (row) => {
      const video = el("video", { preload: "metadata", playsinline: true, tabindex: "-1" });
      video.muted = true;
      video.loop = true;
      video.dataset.src = row.file;
      video.setAttribute("aria-hidden", "true");
      video.addEventListener("error", () => video.replaceWith(noVideo("The file cannot be played")));
      waiting.add(video);
      return video;
    },
    release: (video) => {
      waiting.delete(video);
      if (!video.src) return;
      video.pause();
      video.removeAttribute("src");
      video.load();
    },
    soon: () => {
      clearTimeout(timer);
      timer = setTimeout(load, 120);
    },
    play: (video) => {
      if (waiting.delete(video)) video.src = video.dataset.src;
      video.play().catch(() => {});
    },
    rest: (video) => {
      video.pause();
      if (video.readyState > 0) video.currentTime = 0;
    },
  };
})();

const noVideo = (text) => el("span", { class: "novideo" }, text);

/** Why there is no video, in a few words. */
const absence = (row) => {
  if (row.gone) return "The file is no longer there";
  if (row.state === "succeeded") return row.error ? "Not downloaded" : "Made, not on this disk";
  return { planned: "Not submitted yet", submitted: "Under way", submitting: "Under way" }[row.state];
};
