// Shows entries as they come. Whatever came from outside is put into the page with textContent only.
"use strict";

const FINAL = ["completed", "failed", "canceled"];
const SHOWN_CALLS = 100;
const known = new Set(); // ids: after a lost connection the stream begins again
const cards = new Map(); // call id -> {item, entries}

const byId = (id) => document.getElementById(id);

const source = new EventSource("stream");
source.onopen = () => connection("live", "Live");
source.onerror = () => connection("lost", "Connection lost, trying again …");
source.onmessage = (message) => {
  const entry = JSON.parse(message.data);
  if (known.has(entry.id)) return;
  known.add(entry.id);
  show(entry);
};

function connection(state, text) {
  byId("connection").dataset.state = state;
  byId("connection").textContent = text;
}

function show(entry) {
  byId("empty").hidden = true;
  const card = cards.get(entry.call_id) ?? newCard(entry.call_id);
  card.entries.push(entry);
  card.entries.sort((a, b) => happenedAt(a) - happenedAt(b) || (a.sequence ?? Infinity) - (b.sequence ?? Infinity));
  const item = entryItem(entry);
  card.items.set(entry, item);
  const next = card.entries[card.entries.indexOf(entry) + 1];
  card.list.insertBefore(item, next ? card.items.get(next) : null);
  describe(card);
}

function newCard(callId) {
  const item = byId("call-template").content.firstElementChild.cloneNode(true);
  const card = { callId, item, list: item.querySelector(".entries"), entries: [], items: new Map() };
  cards.set(callId, card);
  byId("calls").prepend(item);
  if (cards.size > SHOWN_CALLS) {
    const [oldest, { item: last }] = cards.entries().next().value;
    cards.delete(oldest);
    last.remove();
  }
  return card;
}

// The heading, and the offsets: they count from the first thing that happened, which may have come late.
function describe({ callId, item, entries, items }) {
  const put = (selector, text) => (item.querySelector(selector).textContent = text);
  if (callId) {
    const latest = entries.findLast((entry) => entry.body.call)?.body.call ?? entries.at(-1).body;
    const reason = latest.end_reason && latest.end_reason !== "hangup" ? `: ${words(latest.end_reason)}` : "";
    put("h2", `${latest.from} → ${latest.to}`);
    put(".status", words(latest.status) + reason);
    item.querySelector(".status").dataset.status = FINAL.includes(latest.status) ? latest.status : "live";
    put(".about", callId);
  } else {
    put("h2", "Your account");
  }
  for (const entry of entries) {
    const offset = happenedAt(entry) - happenedAt(entries[0]);
    items.get(entry).querySelector(".offset").textContent = `+${offset.toLocaleString("en")} ms`;
  }
}

function entryItem(entry) {
  const item = byId("entry-template").content.firstElementChild.cloneNode(true);
  const put = (selector, text) => (item.querySelector(selector).textContent = text);
  put(".name", entry.event);
  put(".detail", detail(entry));
  item.querySelector(".verified").hidden = !entry.verified;
  if (entry.reply) {
    item.dataset.kind = "request";
    put(".delay", `MiniVoice asked for instructions at ${entry.received_at}.`);
    put(".body", `${pretty(entry.body)}\n\n// we replied\n${pretty(entry.reply)}`);
  } else {
    const late = new Date(entry.received_at) - new Date(entry.body.created_at);
    put(".delay", `Happened at ${entry.body.created_at}, arrived here ${late.toLocaleString("en")} ms later.`);
    put(".body", pretty(entry.body));
  }
  return item;
}

// A webhook tells when the fact happened; a request happens when it comes.
function happenedAt(entry) {
  return Number(new Date(entry.reply ? entry.received_at : entry.body.created_at));
}

function detail({ body, reply }) {
  if (reply) return reply.actions.map((action) => Object.keys(action)[0]).join(", ");
  const { data = {}, call } = body;
  if (data.digits) return `pressed ${data.digits}`;
  if (data.timed_out) return "nothing pressed";
  return call && FINAL.includes(call.status) && call.end_reason ? words(call.end_reason) : "";
}

const words = (text) => String(text ?? "").replaceAll("_", " ");
const pretty = (value) => JSON.stringify(value, null, 2);
