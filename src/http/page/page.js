// The agent's screen: cards that come and go by the stream, and notes that are sent back. All text is set as text, never as markup.
"use strict";

const byId = (id) => document.getElementById(id);
const cards = new Map();
const STATES = { ringing: "Ringing", answered: "In conversation", ended: "Ended" };
const WHY = {
  "answered-elsewhere": "A colleague took this call.",
  "caller-gone": "The caller hung up.",
  moved: "The call went on to somebody else.",
};
const VANISH_AFTER = 4000;
const PUT_AWAY_AFTER = 3600000;
const STALE_AFTER = 3000;
const MAX_WAIT = 30000;

let stream = null;
let lastEventId = "";
let wait = 1000;

async function ask(method, path, body) {
  const options = { method, credentials: "same-origin", headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const isJson = (response.headers.get("Content-Type") || "").includes("json");
  const content = isJson ? await response.json() : null;
  if (!response.ok) {
    const problem = new Error((content && content.detail) || "Error " + response.status);
    problem.status = response.status;
    throw problem;
  }
  return content;
}

function tell(text) {
  byId("banner").textContent = text;
  byId("banner").hidden = !text;
}

// Signing in

// A link with #token=… signs in; the token leaves the address bar and the history at once.
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) history.replaceState(null, "", location.pathname + location.search);
  return token;
}

async function start() {
  const token = takeToken();
  if (token) return signIn(token);
  try {
    open(await ask("GET", "/session"));
  } catch (problem) {
    if (problem.status) return showSignIn("");
    tell("ctibridge cannot be reached. Trying again…");
    setTimeout(start, later());
  }
}

async function signIn(token) {
  try {
    open(await ask("POST", "/session", { token }));
  } catch (problem) {
    showSignIn(problem.status === 401 ? "This token is not valid, or a newer one has replaced it." : problem.message);
  }
}

async function signOut() {
  closeStream();
  try {
    await ask("DELETE", "/session");
  } catch (problem) {
    if (problem.status !== 401) return tell(problem.message);
  }
  for (const card of [...cards.values()]) remove(card);
  lastEventId = "";
  showSignIn("");
}

function showSignIn(error) {
  tell("");
  byId("sign-in").hidden = false;
  byId("desk").hidden = true;
  byId("sign-out").hidden = true;
  byId("agent").textContent = "";
  byId("sign-in-error").textContent = error;
  byId("token").focus();
}

function open(session) {
  byId("sign-in").hidden = true;
  byId("desk").hidden = false;
  byId("sign-out").hidden = false;
  byId("token").value = "";
  byId("agent").textContent = [session.name, session.extension].filter(Boolean).join(", ");
  offerNotifications();
  listen(session.extension);
}

// The stream

function listen(extension) {
  closeStream();
  let path = "/api/v1/agents/" + encodeURIComponent(extension) + "/pops";
  if (lastEventId) path += "?last_event_id=" + encodeURIComponent(lastEventId);
  else forgetUnlessTold();
  stream = new EventSource(path);
  stream.onopen = () => {
    wait = 1000;
    tell("");
  };
  stream.onerror = () => {
    tell("The connection is lost. Calls may be missed until it is back. Trying again…");
    if (stream && stream.readyState === EventSource.CLOSED) comeBack(extension);
  };
  on("pop", (pop) => show(pop, true));
  on("update", (pop) => show(pop, false));
  on("withdraw", withdraw);
  on("gap", forgetUnlessTold);
}

function on(name, act) {
  stream.addEventListener(name, (event) => {
    lastEventId = event.lastEventId;
    act(JSON.parse(event.data));
  });
}

function closeStream() {
  if (stream) stream.close();
  stream = null;
}

// The browser has given up: find out whether the session is over, or come back later with the last id.
function comeBack(extension) {
  closeStream();
  setTimeout(async () => {
    try {
      await ask("GET", "/session");
      listen(extension);
    } catch (problem) {
      if (problem.status === 401 || problem.status === 403) showSignIn("Please sign in again. " + problem.message);
      else comeBack(extension);
    }
  }, later());
}

function later() {
  const now = wait * (0.5 + Math.random() / 2);
  wait = Math.min(wait * 2, MAX_WAIT);
  return now;
}

// Events were missed: what the stream does not show again is over, but nobody's draft is thrown away.
function forgetUnlessTold() {
  const doubtful = [...cards.values()].filter((card) => card.state !== "ended");
  for (const card of doubtful) card.doubtful = true;
  setTimeout(() => {
    for (const card of doubtful) if (card.doubtful) vanish(card, "This call is over; its end was missed.");
  }, STALE_AFTER);
}

// Cards

function show(pop, isNew) {
  let card = cards.get(pop.call);
  const first = !card;
  if (first) card = add(pop.call);
  card.doubtful = false;
  clearTimeout(card.vanishing);
  card.state = pop.state;
  card.direction = pop.direction;
  fill(card, pop);
  if (pop.state === "ended") goLater(card, PUT_AWAY_AFTER);
  if (first && isNew && pop.state === "ringing") notify(pop);
  tidy();
}

function add(call) {
  const element = byId("card").content.firstElementChild.cloneNode(true);
  const part = (name) => element.querySelector("." + name);
  const card = { call, element, part, state: "", direction: "", doubtful: false, dirty: false, vanishing: 0 };
  cards.set(call, card);
  part("notes").addEventListener("submit", (event) => {
    event.preventDefault();
    save(card);
  });
  part("notes").addEventListener("input", () => {
    card.dirty = true;
    part("saved").textContent = "Not saved yet";
  });
  part("close").addEventListener("click", () => remove(card));
  byId("cards").prepend(element);
  return card;
}

function fill(card, pop) {
  const { element, part } = card;
  const best = pop.matches[0];
  element.className = "card " + pop.state;
  setText(part("state"), STATES[pop.state] || pop.state);
  setText(part("direction"), pop.direction);
  const at = new Date(pop.at);
  part("at").dateTime = pop.at;
  setText(part("at"), at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  const withheld = isWithheld(pop);
  const name = who(pop);
  setText(part("who"), name);
  setText(part("number"), withheld || name === pop.caller.display ? "" : pop.caller.display);
  fillFacts(part("facts"), pop, best);
  fillLink(part("open"), pop, best);
  fillChoice(card, pop);
  setText(part("word"), "");
  part("close").hidden = pop.state !== "ended";
  part("notes").hidden = pop.state === "ringing" && !card.dirty;
}

// Of several that fit equally well all are named, until the agent says which one it is.
function who(pop) {
  const best = pop.matches[0];
  if (!best) return pop.caller.name || (isWithheld(pop) ? "Withheld number" : pop.caller.display);
  const equals = pop.chosen ? [best] : pop.matches.filter((match) => match.object === best.object);
  const names = [...new Set(equals.map((match) => match.name))];
  return names.length > 3 ? names[0] + " or " + (names.length - 1) + " others" : names.join(" or ");
}

function isWithheld(pop) {
  return !pop.caller.e164 && pop.caller.display === "withheld";
}

function fillFacts(list, pop, best) {
  const facts = [
    [best ? best.object : "", best ? best.account : ""],
    ["Phone says", best && pop.caller.name !== best.name ? pop.caller.name : ""],
    ["Dialled", pop.dialed],
    ["Queue", pop.queue],
  ].filter((fact) => fact[1]);
  list.replaceChildren(
    ...facts.flatMap(([term, value]) => [make("dt", term), make("dd", value)]),
  );
}

function fillLink(link, pop, best) {
  link.hidden = !pop.url || !/^https?:/i.test(pop.url);
  if (link.hidden) return link.removeAttribute("href");
  link.href = pop.url;
  const unknown = pop.url.includes("/new?") ? "Create a lead in Salesforce" : "Search in Salesforce";
  const several = pop.matches.length > 1 && !pop.chosen;
  const known = best && (several ? "Open " + best.name : "Open in Salesforce");
  setText(link, known || unknown);
}

function fillChoice(card, pop) {
  const box = card.part("choice");
  box.hidden = pop.matches.length < 2;
  const ids = pop.matches.map((match) => match.id).join() + pop.chosen;
  if (box.hidden || box.dataset.ids === ids) return;
  box.dataset.ids = ids;
  box.replaceChildren(box.firstElementChild, ...pop.matches.map((match) => choice(card, pop, match)));
}

function choice(card, pop, match) {
  const label = document.createElement("label");
  const radio = document.createElement("input");
  radio.type = "radio";
  radio.name = "match-" + card.call;
  radio.checked = pop.chosen === match.id;
  radio.addEventListener("change", () => choose(card, match));
  const about = [match.object, match.account].filter(Boolean).join(", ");
  const text = make("span", match.name + " ");
  const small = make("span", about);
  small.className = "about";
  text.append(small);
  label.append(radio, text);
  return label;
}

function make(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

// Only what changed, so that screen readers do not read the card anew.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function withdraw(told) {
  const card = cards.get(told.call);
  if (!card) return;
  const unanswered = told.reason === "caller-gone" && card.direction === "outbound";
  vanish(card, unanswered ? "Nobody answered." : WHY[told.reason] || "This call is no longer yours.");
}

// A card with a draft stays until it is put away.
function vanish(card, why) {
  card.element.className = "card gone";
  setText(card.part("state"), "Gone");
  setText(card.part("word"), why);
  card.state = "ended";
  card.part("close").hidden = false;
  goLater(card, VANISH_AFTER);
}

function goLater(card, wait) {
  clearTimeout(card.vanishing);
  card.vanishing = setTimeout(() => {
    if (card.dirty || card.element.contains(document.activeElement)) goLater(card, VANISH_AFTER);
    else remove(card);
  }, wait);
}

function remove(card) {
  clearTimeout(card.vanishing);
  card.element.remove();
  cards.delete(card.call);
  tidy();
}

function tidy() {
  byId("idle").hidden = cards.size > 0;
  const ringing = [...cards.values()].filter((card) => card.state === "ringing").length;
  document.title = ringing ? "(" + ringing + ") Ringing" : "ctibridge";
}

// Notes

async function note(card, body) {
  const saved = card.part("saved");
  saved.textContent = "Saving…";
  try {
    await ask("POST", "/api/v1/calls/" + encodeURIComponent(card.call) + "/notes", body);
    saved.textContent = "Saved";
    return true;
  } catch (problem) {
    saved.textContent = "Not saved: " + problem.message;
    return false;
  }
}

async function save(card) {
  const text = card.part("text").value;
  const disposition = card.part("disposition").value.trim();
  card.dirty = false;
  const kept = await note(card, { notes: text, disposition: disposition || null });
  if (!kept) card.dirty = true;
}

function choose(card, match) {
  note(card, { record_id: match.id });
}

// Notifications: asked for by a click, shown while the page is in the background.

function offerNotifications() {
  byId("notify").hidden = !("Notification" in window) || Notification.permission !== "default";
}

function notify(pop) {
  if (!("Notification" in window) || Notification.permission !== "granted" || document.hasFocus()) return;
  const best = pop.matches[0];
  const shown = new Notification(who(pop), { body: [best && best.account, pop.caller.display].filter(Boolean).join("\n"), tag: pop.call });
  shown.onclick = () => {
    window.focus();
    if (pop.url && /^https?:/i.test(pop.url)) window.open(pop.url, "ctibridge-record");
    shown.close();
  };
}

byId("notify").addEventListener("click", async () => {
  await Notification.requestPermission();
  offerNotifications();
});
byId("sign-out").addEventListener("click", signOut);
byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value.trim());
});
window.addEventListener("hashchange", () => {
  const token = takeToken();
  if (token) signIn(token);
});
start();
