// The messages of a channel or thread. Whoever is at the end stays there; whoever has scrolled up is offered the way back.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { Message } from "./message.jsx";
import { dateText } from "./text.jsx";

const SAME_AUTHOR_SECONDS = 5 * 60;
const NEAR = 60;
const INTENT_MS = 1000;
const REDRAW_MS = 100;
const UP_KEYS = new Set(["ArrowUp", "PageUp", "Home"]);

// Messages keep their identity while their JSON stays the same, so that only changed ones are drawn again.
function useStable(messages) {
  const known = useRef(new Map());
  return useMemo(() => {
    const next = new Map();
    const entries = messages.map((message) => {
      const raw = JSON.stringify(message);
      const before = known.current.get(message.ts);
      const entry = before?.raw === raw ? before : { raw, message };
      next.set(message.ts, entry);
      return entry;
    });
    known.current = next;
    return entries;
  }, [messages]);
}

// Keeps `list` scrolled to its end, however late its content or its box change size, until the reader scrolls up.
function useEnd(list, inner, newest) {
  const atEnd = useRef(true);
  const size = useRef({ top: 0, height: 0, box: 0 });
  const intent = useRef(0); // when the reader last did what scrolls up
  const redrawn = useRef(0); // when the content last changed
  const [readUpTo, setReadUpTo] = useState(null); // the newest message when the end was left; null at the end

  const stay = () => {
    if (atEnd.current) list.current.scrollTop = list.current.scrollHeight;
  };
  const arrive = () => {
    atEnd.current = true;
    setReadUpTo(null);
  };
  const toEnd = () => {
    arrive();
    stay();
  };
  const leave = () => {
    atEnd.current = false;
    setReadUpTo((before) => before ?? newest ?? "");
  };
  useLayoutEffect(() => {
    stay();
    const sizes = new ResizeObserver(stay);
    sizes.observe(inner.current);
    sizes.observe(list.current);
    const changes = new MutationObserver(() => {
      redrawn.current = Date.now();
    });
    changes.observe(inner.current, { subtree: true, childList: true, characterData: true, attributes: true });
    return () => {
      sizes.disconnect();
      changes.disconnect();
    };
  }, [list, inner]);

  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = list.current;
    const before = size.current;
    size.current = { top: scrollTop, height: scrollHeight, box: clientHeight };
    // What is redrawn shorter for a moment, or resized, moves the list up too: that is not the reader's doing.
    const isSteady = before.height === scrollHeight && before.box === clientHeight && Date.now() - redrawn.current > REDRAW_MS;
    const byReader = isSteady || Date.now() - intent.current < INTENT_MS;
    if (scrollHeight - scrollTop - clientHeight < NEAR) {
      if (!atEnd.current) arrive();
    } else if (!byReader) stay();
    else if (scrollTop < before.top) leave();
  };
  const meant = () => {
    intent.current = Date.now();
  };
  return {
    readUpTo,
    toEnd,
    leave,
    handlers: {
      onScroll,
      onWheel: (event) => event.deltaY < 0 && meant(),
      onTouchMove: meant,
      onPointerDown: (event) => event.target === list.current && meant(), // the scrollbar
      onKeyDown: (event) => UP_KEYS.has(event.key) && meant(),
    },
  };
}

const continues = (message, before) =>
  before?.user === message.user && !message.username && Number(message.ts) - Number(before.ts) < SAME_AUTHOR_SECONDS && !message.is_ephemeral && !before.is_ephemeral && !before.reply_count;

export function Timeline({ messages, label, state, channel, inThread, tell, confirm, onThread, disabled, target, children }) {
  const list = useRef(null);
  const inner = useRef(null);
  const entries = useStable(messages);
  const newest = messages.at(-1);
  const { readUpTo, toEnd, leave, handlers } = useEnd(list, inner, newest?.ts);
  const shortcuts = state.shortcuts.filter((it) => it.type === "message");
  const fresh = readUpTo === null ? 0 : messages.filter((it) => Number(it.ts) > Number(readUpTo)).length;

  // Whoever writes wants to see what they wrote.
  const mine = newest?.user === state.me ? newest.ts : "";
  const wrote = useRef(mine);
  useEffect(() => {
    if (mine && mine !== wrote.current) toEnd();
    wrote.current = mine;
  }, [mine]);

  const isThere = Boolean(target) && messages.some((it) => it.ts === target);
  useEffect(() => {
    if (!isThere) return;
    const shown = list.current.querySelector(`[data-ts="${target}"]`);
    if (!shown) return;
    leave();
    shown.scrollIntoView({ block: "center" });
    shown.classList.add("target");
    // Only when the address changes: new messages must not scroll back to it.
  }, [target, isThere]);

  let day = "";
  let before = null;
  return (
    <div className="timeline-box">
      <div ref={list} className="timeline" role="log" aria-label={label} tabIndex={0} {...handlers}>
        <div className="inner" ref={inner}>
          {children}
          <div className="spacer" />
          {entries.map(({ raw, message }) => {
            const today = dateText("{date_pretty}", Number(message.ts), "");
            const starts = today !== day && !inThread;
            const compact = !starts && continues(message, before) && !message.blocks?.length && !message.attachments;
            day = today;
            before = message;
            return (
              <div key={message.ts}>
                {starts && <div className="day" role="separator"><span>{today}</span></div>}
                <Message raw={raw} message={message} channel={channel} state={state} compact={compact} inThread={inThread} tell={tell} confirm={confirm} onThread={onThread} shortcuts={shortcuts} disabled={disabled} />
              </div>
            );
          })}
        </div>
      </div>
      {fresh > 0 && (
        <button type="button" className="new-messages" onClick={toEnd}>
          ↓ {fresh === 1 ? "1 new message" : `${fresh} new messages`}
        </button>
      )}
    </div>
  );
}
