// Elements. Text becomes text nodes and nothing else; nothing here parses markup.

const byId = (id) => document.getElementById(id);

/** Give an element its properties: on... are listeners, booleans are present or absent. */
const dress = (element, properties) => {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return element;
};

const made = (element, properties, children) => {
  dress(element, properties);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
};

const el = (tag, properties = {}, ...children) =>
  made(document.createElement(tag), properties, children);

const svg = (tag, properties = {}, ...children) =>
  made(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);

const button = (text, properties, onclick) =>
  el("button", { type: "button", ...properties, onclick }, text);

/** Text of a stranger: its own direction of writing, and no effect on what stands around it. */
const foreign = (tag, text, properties = {}) =>
  el(tag, { dir: "auto", ...properties, class: `foreign ${properties.class ?? ""}` }, text);

/** Say something to those who listen to the page. */
const say = (text) => {
  byId("said").textContent = text;
};

const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = el("textarea", { readonly: true, class: "unseen" });
    field.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
};

const copyButton = (text, label, words = "Copy") => {
  const made = button(words, { class: "small", "aria-label": label }, async (event) => {
    event.stopPropagation();
    const done = await copy(text);
    made.textContent = done ? "Copied" : "Not copied";
    say(`${label}: ${done ? "copied" : "it could not be copied"}`);
    setTimeout(() => (made.textContent = words), 1500);
  });
  return made;
};

/** A command to copy. */
const commandLine = (command) =>
  el(
    "span",
    { class: "command" },
    el("code", { tabindex: "0" }, command),
    copyButton(command, "Copy the command"),
  );

/** Save text as a file of the reader's. */
const save = (name, text) => {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
};
