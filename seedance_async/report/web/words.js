// Amounts and states in words.

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const exactClock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** A number that needs no fractions once it is great. */
const few = (amount) => (amount < 100 ? one : number).format(amount);

const at = (format, seconds) => format.format(new Date(seconds * 1000));
const usd = (amount) => {
  const text = amount.toFixed(6).replace(/0+$/, "");
  const [whole, fraction] = text.split(".");
  return `$${number.format(Number(whole))}.${fraction.padEnd(2, "0")}`;
};
const took = (seconds) => {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${number.format(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const minutes = Math.round(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
};
const size = (bytes) => {
  if (bytes < 1e6) return `${one.format(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${one.format(bytes / 1e6)} MB` : `${one.format(bytes / 1e9)} GB`;
};
const many = (count, what, plural = `${what}s`) =>
  `${number.format(count)} ${count === 1 ? what : plural}`;

// In the order of a row's life; a tone is a colour that the word always goes with.
const STATES = {
  downloaded: { word: "downloaded", tone: "good" },
  succeeded: { word: "succeeded", tone: "made" },
  submitted: { word: "submitted", tone: "running" },
  submitting: { word: "submitting", tone: "running" },
  timed_out: { word: "timed out", tone: "doubt" },
  in_doubt: { word: "in doubt", tone: "doubt" },
  lost: { word: "lost", tone: "lost" },
  failed: { word: "failed", tone: "failed" },
  cancelled: { word: "cancelled", tone: "idle" },
  invalid: { word: "invalid", tone: "failed" },
  planned: { word: "planned", tone: "waiting" },
};
const wordOf = (state) => STATES[state]?.word ?? state;
const toneOf = (state) => STATES[state]?.tone ?? "idle";
