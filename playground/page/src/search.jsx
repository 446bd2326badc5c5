// Search through the messages of all channels that the person at the page is in.
import { useEffect, useMemo, useRef, useState } from "react";
import { Dialog } from "./surface.jsx";
import { dateText } from "./text.jsx";

const MOST = 50;
const AROUND = 60;

// Every piece of text that a message shows.
function words(value, found = []) {
  if (Array.isArray(value)) value.forEach((item) => words(item, found));
  else if (value && typeof value === "object") {
    for (const [key, inner] of Object.entries(value)) {
      if (["text", "title", "preview", "fallback", "pretext", "footer", "caption", "alt_text"].includes(key) && typeof inner === "string") found.push(inner);
      else if (key !== "sent" && key !== "metadata" && key !== "bot_profile") words(inner, found);
    }
  }
  return found;
}

// What a message shows: its blocks in place of its text where it has some, attachments and files.
function shownBy(message) {
  const { text, blocks, attachments, files } = message;
  const instead = blocks?.length || attachments?.some((it) => it.blocks?.length);
  return [...words(instead ? blocks : [{ text }]), ...words(attachments), ...words(files)].filter((it) => it !== "[no preview available]");
}

// Mentions, links and styles as they read, so that a search finds what is seen.
function readable(text, people) {
  return text
    .replace(/<@(\w+)(?:\|[^>]*)?>/g, (_, id) => `@${people.users.find((it) => it.id === id)?.name ?? id}`)
    .replace(/<#(\w+)(?:\|[^>]*)?>/g, (_, id) => `#${people.channels.find((it) => it.id === id)?.name ?? id}`)
    .replace(/<(?:!date\^[^|>]*|[^|>]*)\|([^>]*)>/g, "$1")
    .replace(/<([^>]*)>/g, "$1")
    .replace(/[*_`~]/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&")
    .replace(/\s+/g, " ");
}

// `in:#web from:@ana broken build` as Slack reads it.
export function parse(query) {
  const wanted = { channel: "", author: "", words: [] };
  for (const word of query.toLowerCase().split(/\s+/).filter(Boolean)) {
    if (word.startsWith("in:")) wanted.channel = word.slice(3).replace(/^[#@]/, "");
    else if (word.startsWith("from:")) wanted.author = word.slice(5).replace(/^@/, "");
    else wanted.words.push(word);
  }
  return wanted;
}

function find(query, index) {
  const wanted = parse(query);
  if (!wanted.words.length && !wanted.channel && !wanted.author) return [];
  return index.filter((entry) => (!wanted.channel || entry.channelName.startsWith(wanted.channel)) && (!wanted.author || entry.names.some((name) => name.startsWith(wanted.author))) && wanted.words.every((word) => entry.lower.includes(word)));
}

function Snippet({ text, query }) {
  const [first] = parse(query).words;
  const at = first ? text.toLowerCase().indexOf(first) : -1;
  if (at < 0) return text.slice(0, 2 * AROUND);
  const start = Math.max(0, at - AROUND);
  return (
    <>
      {start > 0 && "…"}
      {text.slice(start, at)}
      <mark>{text.slice(at, at + first.length)}</mark>
      {text.slice(at + first.length, at + first.length + 2 * AROUND)}
    </>
  );
}

export function Search({ state, onClose }) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef(null);
  const index = useMemo(
    () =>
      state.channels
        .flatMap((channel) =>
          (state.messages[channel.id] ?? []).map((message) => {
            const author = state.users.find((it) => it.id === message.user);
            const text = readable(shownBy(message).join(" "), state);
            return { key: `${channel.id}/${message.ts}`, ts: message.ts, channel, channelName: channel.is_im ? "buildbell" : channel.name, author: message.username || author?.real_name || message.user, names: [author?.name ?? "", (author?.real_name ?? "").toLowerCase()], text, lower: text.toLowerCase() };
          }),
        )
        .sort((one, other) => Number(other.ts) - Number(one.ts)),
    [state],
  );
  const found = useMemo(() => find(query, index), [query, index]);
  const shown = found.slice(0, MOST);
  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);
  const open = (entry) => {
    window.location.hash = `#/${entry.key}`;
    onClose();
  };
  const keys = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt((shown.length + at + (event.key === "ArrowDown" ? 1 : -1)) % Math.max(1, shown.length));
    } else if (event.key === "Enter" && shown[at]) {
      event.preventDefault();
      open(shown[at]);
    }
  };
  return (
    <Dialog label="Search messages" className="search" onClose={onClose}>
      <header>
        <input
          type="text"
          role="combobox"
          aria-label="Search messages"
          aria-expanded={shown.length > 0}
          aria-controls="search-results"
          aria-activedescendant={shown[at] ? `found-${at}` : undefined}
          placeholder="Search messages, in:#web from:@ana"
          autoFocus
          value={query}
          onChange={(event) => {
            setQuery(event.target.value);
            setAt(0);
          }}
          onKeyDown={keys}
        />
        <button type="button" className="icon" aria-label="Close search" onClick={onClose}>×</button>
      </header>
      <p className="hint" role="status">
        {query.trim() ? (found.length ? `${found.length} ${found.length === 1 ? "message" : "messages"}${found.length > MOST ? `, the newest ${MOST} shown` : ""}` : "No messages found") : "Messages of all your channels and direct messages"}
      </p>
      <ul ref={list} id="search-results" role="listbox" aria-label="Messages found">
        {shown.map((entry, number) => (
          <li key={entry.key} id={`found-${number}`} role="option" aria-selected={number === at} className={number === at ? "at" : ""} onPointerEnter={() => setAt(number)} onClick={() => open(entry)}>
            <small>{entry.channel.is_im ? "Direct message" : `#${entry.channel.name}`} · {entry.author} · {dateText("{date_short_pretty} {time}", Number(entry.ts), entry.ts)}</small>
            <span><Snippet text={entry.text} query={query} /></span>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
