// The page: who one is, where one is, and what is said there.
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { failure, post, useWorkspace } from "./api.js";
import { Blocks } from "./blocks.jsx";
import { Composer } from "./composer.jsx";
import { Menu } from "./controls.jsx";
import { Avatar, Bell, Message } from "./message.jsx";
import { Modal } from "./modal.jsx";
import { Dialog, useConfirm, useSurface } from "./surface.jsx";
import { Systems, Wire } from "./systems.jsx";
import { People, dateText } from "./text.jsx";

const MINUTES = 5 * 60;

function useToasts() {
  const [toasts, setToasts] = useState([]);
  const tell = useCallback((text, kind = "note") => {
    const key = crypto.randomUUID();
    setToasts((before) => [...before.slice(-3), { key, text, kind }]);
    setTimeout(() => setToasts((before) => before.filter((it) => it.key !== key)), kind === "error" ? 8000 : 3000);
  }, []);
  return { tell, toasts };
}

// Messages keep their identity while their JSON stays the same, so that only changed ones are drawn again.
function useStable(messages) {
  const known = useRef(new Map());
  return useMemo(() => {
    const next = new Map();
    const found = messages.map((message) => {
      const raw = JSON.stringify(message);
      const before = known.current.get(message.ts);
      const entry = before?.raw === raw ? before : { raw, message };
      next.set(message.ts, entry);
      return entry;
    });
    known.current = next;
    return found;
  }, [messages]);
}

function Timeline({ messages, label, state, channel, inThread, tell, confirm, onThread, disabled }) {
  const list = useRef(null);
  const pinned = useRef(true);
  const top = useRef(0);
  const entries = useStable(messages);
  const shortcuts = state.shortcuts.filter((it) => it.type === "message");
  const last = messages.at(-1)?.ts;
  const inner = useRef(null);
  useEffect(() => {
    // Charts grow after they are first drawn: whoever reads the end keeps reading the end.
    const stay = () => {
      if (pinned.current && list.current) list.current.scrollTop = list.current.scrollHeight;
    };
    stay();
    const watching = new ResizeObserver(stay);
    watching.observe(inner.current);
    return () => watching.disconnect();
  }, [last, label]);
  let day = "";
  let before = null;
  return (
    <div
      ref={list}
      className="timeline"
      role="log"
      aria-label={label}
      tabIndex={0}
      onScroll={(event) => {
        const { scrollTop, scrollHeight, clientHeight } = event.target;
        // Only moving up lets go of the end: content that grows below must not.
        if (scrollTop < top.current) pinned.current = false;
        if (scrollHeight - scrollTop - clientHeight < 80) pinned.current = true;
        top.current = scrollTop;
      }}
    >
      <div className="inner" ref={inner}>
      <div className="spacer" />
      {entries.map(({ raw, message }, number) => {
        const today = dateText("{date_pretty}", Number(message.ts), "");
        const fresh = today !== day && !inThread;
        day = today;
        const compact = !fresh && number > 0 && before?.user === message.user && !message.username && Number(message.ts) - Number(before.ts) < MINUTES && !message.is_ephemeral && !before.is_ephemeral && !before.reply_count;
        before = message;
        return (
          <div key={message.ts}>
            {fresh && <div className="day" role="separator"><span>{today}</span></div>}
            <Message raw={raw} message={message} channel={channel} state={state} compact={compact && !message.blocks?.length && !message.attachments} inThread={inThread} tell={tell} confirm={confirm} onThread={onThread} shortcuts={shortcuts} disabled={disabled} />
          </div>
        );
      })}
      </div>
    </div>
  );
}

function Home({ state, tell, confirm }) {
  const home = state.home;
  const ctx = useSurface({ user: state.me, place: { view_id: home?.id ?? "" }, kept: home?.state.values, tell, confirm });
  if (!home) return <p className="empty">Buildbell has not published an App Home for you yet.</p>;
  return <Blocks blocks={home.blocks} ctx={ctx} />;
}

function Rename({ channel, act, onClose }) {
  const [name, setName] = useState(channel.name);
  return (
    <Dialog label="Rename the channel" className="confirm" onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); act("rename", name); onClose(); }}>
        <h2>Rename the channel</h2>
        <label className="field"><span>New name</span><input autoFocus value={name} onChange={(event) => setName(event.target.value)} /></label>
        <footer>
          <button type="button" className="button" onClick={onClose}>Cancel</button>
          <button type="submit" className="button filled primary">Rename</button>
        </footer>
      </form>
    </Dialog>
  );
}

function Sidebar({ state, place, go, unread, users, actAs }) {
  const channels = state.channels.filter((it) => !it.is_im);
  const dm = state.channels.find((it) => it.is_im);
  const bot = users.find((it) => it.id === state.bot);
  const item = (id, shown, more = {}) => (
    <li key={id}>
      <button type="button" aria-current={place === id ? "page" : undefined} className={`${unread.has(id) ? "unread" : ""} ${more.className ?? ""}`} aria-label={more.label} onClick={() => go(id)}>
        {shown}
      </button>
    </li>
  );
  return (
    <aside className="sidebar" aria-label="Workspace">
      <div className="team">
        <span className="logo" aria-hidden="true"><Bell /></span>
        <div>
          <strong>{state.team.name}</strong>
          <small>{state.socket_mode ? "Socket Mode" : "HTTP"}{!state.installed && " · app removed"}</small>
        </div>
      </div>
      <nav aria-label="Conversations">
        <h2>Channels</h2>
        <ul>{channels.map((it) => item(it.id, <><span className="hash" aria-hidden="true">{it.is_private ? "🔒" : "#"}</span>{it.name}</>, { className: it.is_archived ? "archived" : "", label: it.name }))}</ul>
        <h2>Direct messages</h2>
        <ul>{dm && item(dm.id, <><Avatar user={bot} />{bot?.real_name}</>, { label: `Direct message to ${bot?.real_name}` })}</ul>
        <h2>Apps</h2>
        <ul>{item("home", <><span className="hash" aria-hidden="true">⌂</span>App Home</>, { label: "App Home" })}</ul>
      </nav>
      <div className="acting">
        <Avatar user={users.find((it) => it.id === state.me)} />
        <span>
          <label htmlFor="acting-as">Acting as</label>
          <select id="acting-as" value={state.me} onChange={(event) => actAs(event.target.value)}>
            {users.filter((it) => !it.is_bot).map((it) => <option key={it.id} value={it.id}>{it.real_name}{it.is_admin ? " (admin)" : ""}</option>)}
          </select>
        </span>
      </div>
    </aside>
  );
}

const readPlace = () => {
  const [, id = "", ts = ""] = window.location.hash.split("/");
  return { id, ts };
};

export function App() {
  const [user, setUser] = useState(() => sessionStorage.getItem("user") ?? "");
  const [place, setPlace] = useState(readPlace);
  const [thread, setThread] = useState("");
  const [side, setSide] = useState(() => sessionStorage.getItem("side") ?? (window.innerWidth > 1100 ? "systems" : ""));
  const [renaming, setRenaming] = useState(false);
  const [seen, setSeen] = useState({});
  const { state, connected } = useWorkspace(user);
  const { tell, toasts } = useToasts();
  const { confirm, dialog } = useConfirm();

  useEffect(() => {
    const moved = () => setPlace(readPlace());
    window.addEventListener("hashchange", moved);
    return () => window.removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => sessionStorage.setItem("side", side), [side]);

  const go = useCallback((id) => {
    window.location.hash = `#/${id}`;
    setThread("");
  }, []);
  const actAs = (id) => {
    sessionStorage.setItem("user", id);
    setUser(id);
    setThread("");
    setSeen({});
  };

  const atHome = place.id === "home";
  const channel = state && (state.channels.find((it) => it.id === place.id) ?? state.channels[0]);
  const me = state?.me;
  useEffect(() => {
    if (atHome && me) post("/ui/home", { user: me }).then((answer) => !answer.ok && tell(failure(answer.error), "error"));
  }, [atHome, me, tell]);
  const isDm = Boolean(channel?.is_im) && !atHome;
  useEffect(() => {
    if (isDm && me) post("/ui/home", { user: me, tab: "messages" });
  }, [isDm, me]);

  const everything = state?.messages[channel?.id];
  const last = everything?.at(-1)?.ts;
  const where = atHome ? "" : channel?.id;
  useEffect(() => {
    if (where && last) setSeen((before) => ({ ...before, [where]: last }));
  }, [where, last]);
  const target = place.ts;
  useEffect(() => {
    if (!target || !everything) return;
    const message = everything.find((it) => it.ts === target);
    if (message?.thread_ts && message.thread_ts !== message.ts) setThread(message.thread_ts);
    const shown = document.getElementById(`m-${target}`);
    shown?.scrollIntoView({ block: "center" });
    shown?.classList.add("target");
    // Only when the address changes: new messages must not scroll back to it.
  }, [target, Boolean(everything)]);

  const roots = useMemo(() => (everything ?? []).filter((it) => it.is_root && !(it.is_ephemeral && it.thread_ts)), [everything]);
  const threaded = useMemo(() => (everything ?? []).filter((it) => thread && (it.ts === thread || it.thread_ts === thread)), [everything, thread]);
  const people = useMemo(
    () => ({ users: state?.users ?? [], channels: state?.channels ?? [], usergroups: state?.usergroups ?? [], open: go }),
    [state?.users, state?.channels, state?.usergroups, go],
  );

  if (!state) return <p className="empty whole">Opening the playground…</p>;
  const unread = new Set(state.channels.filter((it) => it.id !== where && (state.messages[it.id]?.at(-1)?.ts ?? "") > (seen[it.id] ?? "") && state.messages[it.id]?.length).map((it) => it.id));
  const bot = state.users.find((it) => it.id === state.bot);
  const title = atHome ? bot?.real_name : channel.is_im ? bot?.real_name : channel.name;
  const act = async (change, name) => {
    const answer = await post("/ui/channel", { user: me, channel: channel.id, change, ...(name ? { name } : {}) });
    if (!answer.ok) tell(failure(answer.error), "error");
  };
  const archived = channel.is_archived && "This channel is archived.";
  const disabled = false;
  const top = state.views.at(-1);
  const panes = { systems: "CI systems", wire: "Wire" };
  const right = thread && threaded.length ? "thread" : side;

  return (
    <People.Provider value={people}>
      <div className={`shell ${right ? "with-side" : ""}`}>
        <Sidebar state={state} place={atHome ? "home" : channel.id} go={go} unread={unread} users={state.users} actAs={actAs} />
        <main aria-label={atHome ? "App Home" : channel.is_im ? "Direct message" : `Channel ${channel.name}`}>
          <header className="top">
            <div>
              <h1>{atHome || channel.is_im ? <Avatar user={bot} /> : <span className="hash" aria-hidden="true">{channel.is_private ? "🔒" : "#"}</span>}{title}</h1>
              <p>{atHome ? "Home" : channel.is_im ? "Messages to the bot" : `${channel.topic}${channel.has_bot ? "" : " · Buildbell is not in this channel"}`}</p>
            </div>
            <span className="grow" />
            {!connected && <span className="offline" role="status">Reconnecting…</span>}
            {!atHome && !channel.is_im && (
              <Menu
                label="Channel settings"
                items={[
                  channel.has_bot ? { label: "Remove Buildbell", onPick: () => act("remove") } : { label: "Invite Buildbell", onPick: () => act("invite") },
                  { label: "Rename", onPick: () => setRenaming(true) },
                  channel.is_archived ? { label: "Unarchive", onPick: () => act("unarchive") } : { label: "Archive", danger: true, onPick: () => act("archive") },
                ]}
              >
                ⚙
              </Menu>
            )}
            <div className="switch" role="group" aria-label="Side panel">
              {Object.entries(panes).map(([key, name]) => (
                <button type="button" key={key} aria-pressed={side === key && !thread} onClick={() => { setSide(side === key && !thread ? "" : key); setThread(""); }}>{name}</button>
              ))}
            </div>
          </header>
          {atHome ? (
            <div className="home" aria-label="App Home of Buildbell" role="region">
              <Home key={state.home?.id} state={state} tell={tell} confirm={confirm} />
            </div>
          ) : (
            <>
              {roots.length === 0 && (
                <div className="welcome">
                  <h2>{channel.is_im ? "Say what you want to know" : `This is #${channel.name}`}</h2>
                  <p>{channel.is_im ? "Write to Buildbell as you would type a command: status, run nightly, why." : "Nothing has happened here yet. Type /build to see what this channel follows, or push a commit in the panel on the right."}</p>
                </div>
              )}
              <Timeline key={channel.id} messages={roots} label={`Messages in ${title}`} state={state} channel={channel.id} tell={tell} confirm={confirm} onThread={setThread} disabled={disabled} />
              <Composer key={`c-${channel.id}`} state={state} channel={channel} label={channel.is_im ? "Message Buildbell" : `Message #${channel.name}`} tell={tell} disabled={archived} />
            </>
          )}
        </main>
        {right === "thread" && (
          <aside className="side" aria-label="Thread">
            <header><h2>Thread</h2><button type="button" className="icon" aria-label="Close thread" onClick={() => setThread("")}>×</button></header>
            <Timeline key={thread} messages={threaded} label="Messages in the thread" state={state} channel={channel.id} inThread tell={tell} confirm={confirm} onThread={() => {}} disabled={disabled} />
            <Composer key={`t-${thread}`} state={state} channel={channel} threadTs={thread} label="Reply in thread" tell={tell} disabled={archived} />
          </aside>
        )}
        {(right === "systems" || right === "wire") && (
          <aside className="side" aria-label={panes[right]}>
            <header><h2>{panes[right]}</h2><button type="button" className="icon" aria-label="Close panel" onClick={() => setSide("")}>×</button></header>
            <div className="scroll">{right === "systems" ? <Systems state={state} tell={tell} /> : <Wire version={state.version} />}</div>
          </aside>
        )}
        <div className="toasts" role="status" aria-live="polite">
          {toasts.map((toast) => <p key={toast.key} className={toast.kind}>{toast.text}</p>)}
        </div>
        {top && <Modal key={top.id} view={top} depth={state.views.length} me={me} tell={tell} confirm={confirm} />}
        {renaming && <Rename channel={channel} act={act} onClose={() => setRenaming(false)} />}
        {dialog}
      </div>
    </People.Provider>
  );
}
