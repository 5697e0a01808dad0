"use strict";
const setup = JSON.parse(document.getElementById("setup").textContent);
const form = document.getElementById("form");
const button = form.querySelector("button.main");
const problem = document.getElementById("problem");
const result = document.getElementById("result");
const inputs = setup.fields.map((field, number) => document.getElementById(`field-${number}`));
const usual = button.textContent;
let running = null;

// Everything from the model and the user comes into the page as text, never as HTML.
function make(tag, options = {}, ...children) {
  const { text, ...rest } = options;
  const node = Object.assign(document.createElement(tag), rest);
  if (text !== undefined) node.textContent = text;
  node.append(...children);
  return node;
}

const share = (value) => `${(100 * value).toFixed(1)}%`;

// A text with marks; places count code points, whereas strings here count UTF-16 units.
function marked(text, marks) {
  const letters = Array.from(text);
  const paragraph = make("p", { className: "text", dir: "auto" });
  let at = 0;
  for (const one of marks) {
    paragraph.append(letters.slice(at, one.start).join(""));
    const inside = letters.slice(one.start, one.end).join("");
    const mark = make("mark", { className: one.kind ?? "", title: one.title ?? "", text: inside });
    if (one.badge) mark.append(make("small", { text: one.badge }));
    paragraph.append(mark);
    at = one.end;
  }
  paragraph.append(letters.slice(at).join(""));
  return paragraph;
}

function bars(rows) {
  const list = make("ul", { className: "bars" });
  for (const [name, value, kind] of rows) {
    list.append(
      make("li", { className: kind },
        make("span", { className: `name ${kind}`, text: name, dir: "auto" }),
        make("progress", { max: 1, value, ariaLabel: name }),
        make("span", { className: "value", text: share(value) })));
  }
  return list;
}

function table(columns, rows) {
  const head = make("tr");
  columns.forEach(([name, kind]) => head.append(make("th", { text: name, className: kind, scope: "col" })));
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    row.forEach((cell, at) => line.append(make("td", { className: columns[at][1] }, cell)));
    body.append(line);
  }
  return make("table", {}, make("thead", {}, head), body);
}

function entities(found) {
  const types = [...new Set([...setup.types, ...found.entities.map((one) => one.type)])];
  const kind = (type) => `type-${types.indexOf(type) % 8}`;
  const marks = found.entities.map((one) => ({
    start: one.start, end: one.end, badge: one.type, kind: kind(one.type),
    title: `${one.type}, score ${one.score.toFixed(2)}`,
  }));
  const parts = [marked(found.text, marks)];
  if (!found.entities.length) {
    parts.push(make("p", { className: "aside none", text: "No entity was found." }));
    return parts;
  }
  const rows = found.entities.map((one) => [
    one.text, make("mark", { className: kind(one.type), text: one.type }), one.score.toFixed(2),
  ]);
  parts.push(make("h2", { text: `${rows.length} ${rows.length === 1 ? "entity" : "entities"}` }));
  parts.push(table([["entity", ""], ["type", ""], ["score", "number"]], rows));
  return parts;
}

function label(found) {
  const rest = 1 - found.probability;
  const rows = [[found.label, found.probability, "chosen"]];
  if (rest > 0.0005) rows.push(["all other labels", rest, "rest"]);
  return [make("p", { className: "answer", text: found.label, dir: "auto" }), bars(rows)];
}

function labels(found) {
  if (!found.labels.length) {
    return [make("p", { className: "answer none", text: "No label is likely enough." })];
  }
  const rows = found.labels.map((one) => [one.label, one.probability, ""]);
  const names = found.labels.map((one) => one.label).join(", ");
  return [make("p", { className: "answer", text: names, dir: "auto" }), bars(rows)];
}

function answers(found, given) {
  const parts = [];
  if (found.answer === null) {
    parts.push(make("p", { className: "answer none", text: "The text does not say." }));
    parts.push(make("p", { className: "aside", text: `No answer: ${share(found.no_answer)} likely.` }));
  } else {
    parts.push(make("p", { className: "answer", text: found.answer, dir: "auto" }));
    parts.push(make("p", { className: "aside", text: `${share(found.probability)} likely` }));
  }
  const marks = found.answer === null ? [] : [{ start: found.start, end: found.end }];
  const texts = given.contexts ?? [given.context];
  const text = marked(texts[found.context ?? 0], marks);
  text.classList.add("plain");
  parts.push(make("h2", { text: "In the text" }), text);
  if (found.answers.length) {
    const rows = found.answers.map((one) => [one.text, one.probability, ""]);
    if (found.no_answer > 0.0005) rows.push(["no answer", found.no_answer, "rest"]);
    if (found.answer !== null) rows[0][2] = "chosen";
    parts.push(make("h2", { text: "What was considered" }), bars(rows));
  }
  return parts;
}

function summary(found, given) {
  const empty = !found.summary;
  const parts = [make("p", {
    className: empty ? "summary none" : "summary", dir: "auto",
    text: empty ? "There is nothing to summarize." : found.summary,
  })];
  const source = given.source ?? given.document ?? given.text;
  if (found.sentences && found.sentences.length && typeof source === "string") {
    const marks = found.sentences.map((one) => ({
      start: one.start, end: one.end, title: `score ${one.score.toFixed(2)}`,
    }));
    const text = marked(source, marks);
    text.classList.add("plain");
    parts.push(make("h2", { text: "Chosen from the document" }), text);
  }
  if (found.cut) {
    const words = `The last ${found.cut.toLocaleString("en")} tokens were not read: the model can take no more.`;
    parts.push(make("p", { className: "aside", text: words }));
  }
  return parts;
}

function shown(found, given) {
  if ("entities" in found) return entities(found);
  if ("answers" in found) return answers(found, given);
  if ("summary" in found) return summary(found, given);
  if ("labels" in found) return labels(found);
  if ("label" in found) return label(found);
  if ("value" in found) return [make("p", { className: "answer", text: String(found.value) })];
  return [];
}

// What is sent: an object with the fields, without optional ones that are empty.
function record() {
  if (setup.fields[0].name === "") return JSON.parse(inputs[0].value);
  const given = {};
  setup.fields.forEach((field, number) => {
    const value = inputs[number].value;
    if (value || field.required) given[field.name] = value;
  });
  return given;
}

function complain(sentence) {
  problem.textContent = sentence;
  problem.hidden = false;
  result.hidden = true;
}

async function predict(event) {
  event.preventDefault();
  const missing = setup.fields.findIndex((field, at) => field.required && !inputs[at].value.trim());
  if (missing >= 0) {
    complain(`${setup.fields[missing].label} is empty.`);
    inputs[missing].focus();
    return;
  }
  let given;
  try {
    given = record();
  } catch (error) {
    complain(`This is no JSON: ${error.message}.`);
    return;
  }
  if (running) running.abort();
  const own = running = new AbortController();
  button.textContent = "One moment …";
  button.setAttribute("aria-disabled", "true");
  result.classList.add("old");
  problem.hidden = true;
  try {
    const reply = await fetch("predict", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify(given), signal: own.signal,
    });
    const said = await reply.json();
    if (!reply.ok) {
      complain(said.error);
      return;
    }
    const found = said.predictions[0];
    const details = make("details", {}, make("summary", { text: "As JSON" }),
      make("pre", { text: JSON.stringify(found, null, 2), tabIndex: 0 }));
    result.replaceChildren(...shown(found, given), details);
    result.hidden = false;
  } catch (error) {
    if (error.name !== "AbortError") complain("The server cannot be reached. Does it still run?");
  } finally {
    if (running === own) {
      running = null;
      button.textContent = usual;
      button.removeAttribute("aria-disabled");
      result.classList.remove("old");
    }
  }
}

function count() {
  inputs.forEach((input, number) => {
    const note = document.getElementById(`note-${number}`);
    const length = Array.from(input.value).length;
    const bad = length > setup.max_characters;
    const most = setup.max_characters.toLocaleString("en");
    const near = 2 * length > setup.max_characters;
    note.textContent = near ? `${length.toLocaleString("en")} of at most ${most} characters` : "";
    note.classList.toggle("bad", bad);
  });
}

form.addEventListener("submit", predict);
form.addEventListener("input", count);
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
document.getElementById("clear").addEventListener("click", () => {
  if (running) running.abort();
  form.reset();
  count();
  problem.hidden = result.hidden = true;
  inputs[0].focus();
});
document.getElementById("example")?.addEventListener("click", () => {
  setup.fields.forEach((field, number) => { inputs[number].value = setup.example[field.name] ?? ""; });
  count();
  form.requestSubmit();
});
document.getElementById("sent").textContent = setup.fields[0].name
  ? `{${setup.fields.filter((field) => field.required).map((field) => `"${field.name}": "..."`).join(", ")}}`
  : "{...}";

// An address such as /?text=... fills the form and asks at once.
const asked = new URLSearchParams(location.search);
setup.fields.forEach((field, number) => { if (asked.has(field.name)) inputs[number].value = asked.get(field.name); });
count();
if (setup.fields.some((field) => asked.has(field.name))) form.requestSubmit();
