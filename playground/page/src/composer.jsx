// Where people type: slash commands, messages, mentions, and the global shortcuts.
import { useEffect, useId, useRef, useState } from "react";
import { failure, post } from "./api.js";
import { Menu } from "./controls.jsx";

function suggestions(text, at, state) {
  const before = text.slice(0, at);
  const slash = /^\/(\S*)$/.exec(before);
  if (slash) {
    const found = state.commands.filter((it) => it.command.startsWith(before));
    return { from: 0, items: found.map((it) => ({ insert: `${it.command} `, shown: it.command, note: it.usage_hint || it.description })) };
  }
  const word = /(^|\s)([@#])([\w.-]*)$/.exec(before);
  if (!word) return { from: 0, items: [] };
  const wanted = word[3].toLowerCase();
  const pool =
    word[2] === "@"
      ? [...state.users.filter((it) => it.name !== "slackbot").map((it) => ({ name: it.name, note: it.real_name })), ...state.usergroups.map((it) => ({ name: it.handle, note: it.name }))]
      : state.channels.filter((it) => !it.is_im).map((it) => ({ name: it.name, note: it.topic }));
  const items = pool.filter((it) => it.name.startsWith(wanted)).slice(0, 8);
  return { from: at - wanted.length - 1, items: items.map((it) => ({ insert: `${word[2]}${it.name} `, shown: `${word[2]}${it.name}`, note: it.note })) };
}

export function Composer({ state, channel, threadTs, label, tell, onSent, disabled }) {
  const id = useId();
  const key = `draft:${channel.id}:${threadTs ?? ""}`;
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? "");
  const [caret, setCaret] = useState(0);
  const [at, setAt] = useState(0);
  const [hidden, setHidden] = useState(false);
  const [sending, setSending] = useState(false);
  const [history, setHistory] = useState([]);
  const box = useRef(null);
  const { from, items } = hidden || sending ? { from: 0, items: [] } : suggestions(text, caret, state);

  useEffect(() => {
    sessionStorage.setItem(key, text);
    const area = box.current;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, 220)}px`;
  }, [key, text]);

  const change = (next, where) => {
    setText(next);
    setCaret(where ?? next.length);
    setAt(0);
    setHidden(false);
  };
  const complete = (item) => {
    const next = text.slice(0, from) + item.insert + text.slice(caret);
    change(next, from + item.insert.length);
    box.current.focus();
  };
  const send = async () => {
    const said = text.trim();
    if (!said || sending) return;
    setSending(true);
    const [, command, rest] = /^(\/\S+)\s*([^]*)$/.exec(said) ?? [];
    const common = { user: state.me, channel: channel.id, ...(threadTs ? { thread_ts: threadTs } : {}) };
    const pending = command ? post("/ui/command", { ...common, command, text: rest }) : post("/ui/message", { ...common, text: said });
    setText("");
    setHistory((before) => [...before, said].slice(-50));
    const answer = await pending;
    setSending(false);
    box.current?.focus();
    if (!answer.ok || answer.error) {
      tell(failure(answer.error), "error");
      if (!answer.ok && answer.error !== "dispatch_failed" && answer.error !== "operation_timeout") setText(said);
    }
    onSent?.();
  };
  const keys = (event) => {
    if (items.length && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      event.preventDefault();
      setAt((items.length + at + (event.key === "ArrowDown" ? 1 : -1)) % items.length);
    } else if (items.length && (event.key === "Tab" || (event.key === "Enter" && items[at].insert.trim() !== text.slice(from, caret)))) {
      event.preventDefault();
      complete(items[at]);
    } else if (event.key === "Escape" && items.length) {
      event.preventDefault();
      setHidden(true);
    } else if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && !text && history.length) {
      event.preventDefault();
      change(history.at(-1));
    }
  };
  const use = async (shortcut) => {
    const answer = await post("/ui/shortcut", { user: state.me, callback_id: shortcut.callback_id });
    if (!answer.ok) tell(failure(answer.error), "error");
  };

  return (
    <div className="composer">
      {items.length > 0 && (
        <ul className="suggestions" role="listbox" id={`${id}-list`} aria-label="Suggestions">
          {items.map((item, number) => (
            <li key={item.shown} role="option" id={`${id}-${number}`} aria-selected={number === at} className={number === at ? "at" : ""} onPointerDown={(event) => { event.preventDefault(); complete(item); }}>
              <strong>{item.shown}</strong>
              <small>{item.note}</small>
            </li>
          ))}
        </ul>
      )}
      <textarea
        ref={box}
        rows={1}
        aria-label={label}
        placeholder={disabled || (threadTs ? label : `${label} — try ${state.commands[0]?.command ?? "/"} help`)}
        disabled={Boolean(disabled)}
        aria-controls={items.length ? `${id}-list` : undefined}
        aria-activedescendant={items.length ? `${id}-${at}` : undefined}
        value={text}
        onChange={(event) => change(event.target.value, event.target.selectionStart)}
        onSelect={(event) => setCaret(event.target.selectionStart)}
        onBlur={() => setHidden(true)}
        onKeyDown={keys}
      />
      <div className="bar">
        {!threadTs && (
          <Menu label="Shortcuts" align="left" items={state.shortcuts.filter((it) => it.type === "global").map((it) => ({ label: it.name, note: it.description, onPick: () => use(it) }))}>
            ⚡
          </Menu>
        )}
        <span className="hint">{sending ? "Waiting for Buildbell…" : "Enter sends, Shift+Enter breaks the line"}</span>
        <button type="button" className="send" aria-label="Send" title="Send" disabled={!text.trim() || Boolean(disabled)} onClick={send}>
          ➤
        </button>
      </div>
    </div>
  );
}
