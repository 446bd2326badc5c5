// The page: whose eyes it looks through, which conversation is open, and the panels beside it.
import { useCallback, useEffect, useMemo, useState } from "react";
import { failure, post, useWorkspace } from "./api.js";
import { Blocks } from "./blocks.jsx";
import { Composer } from "./composer.jsx";
import { Menu } from "./controls.jsx";
import { Icon, SEARCH } from "./icons.jsx";
import { Avatar } from "./message.jsx";
import { Modal } from "./modal.jsx";
import { Search } from "./search.jsx";
import { Sidebar } from "./sidebar.jsx";
import { Dialog, useConfirm, useSurface } from "./surface.jsx";
import { Systems, Wire } from "./systems.jsx";
import { People } from "./text.jsx";
import { Timeline } from "./timeline.jsx";

const NARROW = 900;
const ROOM_FOR_PANEL = 1100;

function useToasts() {
  const [toasts, setToasts] = useState([]);
  const tell = useCallback((text, kind = "note") => {
    const key = crypto.randomUUID();
    setToasts((before) => [...before.slice(-3), { key, text, kind }]);
    setTimeout(() => setToasts((before) => before.filter((it) => it.key !== key)), kind === "error" ? 8000 : 3000);
  }, []);
  return { tell, toasts };
}

// Whether the window is as narrow as `width` or narrower, now and after it has been resized.
function useNarrow(width) {
  const [narrow, setNarrow] = useState(() => window.matchMedia(`(max-width: ${width}px)`).matches);
  useEffect(() => {
    const media = window.matchMedia(`(max-width: ${width}px)`);
    const changed = () => setNarrow(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [width]);
  return narrow;
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

const readPlace = () => {
  const [, id = "", ts = ""] = window.location.hash.split("/");
  return { id, ts };
};

export function App() {
  const [user, setUser] = useState(() => sessionStorage.getItem("user") ?? "");
  const [place, setPlace] = useState(readPlace);
  const [thread, setThread] = useState("");
  const narrow = useNarrow(NARROW);
  const [side, setSide] = useState(() => (window.innerWidth <= NARROW ? "" : (sessionStorage.getItem("side") ?? (window.innerWidth > ROOM_FOR_PANEL ? "systems" : ""))));
  const [menu, setMenu] = useState(false);
  const [searching, setSearching] = useState(false);
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
  useEffect(() => {
    if (!narrow) sessionStorage.setItem("side", side);
  }, [side, narrow]);
  useEffect(() => {
    // On a narrow screen a panel covers the conversation: it is opened on purpose only.
    if (narrow) setSide("");
    setMenu(false);
  }, [narrow]);
  useEffect(() => {
    const keys = (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setSearching(true);
      }
    };
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, []);
  const closeMenu = useCallback(() => setMenu(false), []);

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
  const short = { systems: "CI", wire: "Wire" };
  const right = thread && threaded.length ? "thread" : side;

  return (
    <People.Provider value={people}>
      <div className={`shell ${right ? "with-side" : ""}`}>
        <Sidebar state={state} place={atHome ? "home" : channel.id} go={go} unread={unread} users={state.users} actAs={actAs} isDrawer={narrow} isOpen={menu} onClose={closeMenu} />
        <main aria-label={atHome ? "App Home" : channel.is_im ? "Direct message" : `Channel ${channel.name}`}>
          <header className="top">
            {narrow && (
              <button type="button" className="icon menu-button" aria-label="Menu" aria-expanded={menu} onClick={() => setMenu(true)}>
                ☰{unread.size > 0 && <span className="dot" aria-label={`${unread.size} unread`} />}
              </button>
            )}
            <div className="title">
              <h1>{atHome || channel.is_im ? <Avatar user={bot} /> : <span className="hash" aria-hidden="true">{channel.is_private ? "🔒" : "#"}</span>}{title}</h1>
              <p>{atHome ? "Home" : channel.is_im ? "Messages to the bot" : `${channel.topic}${channel.has_bot ? "" : " · Buildbell is not in this channel"}`}</p>
            </div>
            <span className="grow" />
            <button type="button" className="find" aria-label="Search" title="Search messages (Ctrl+K)" onClick={() => setSearching(true)}>
              <Icon path={SEARCH} /><span className="words">Search</span>
            </button>
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
                <button type="button" key={key} aria-label={name} aria-pressed={side === key && !thread} onClick={() => { setSide(side === key && !thread ? "" : key); setThread(""); }}>{narrow ? short[key] : name}</button>
              ))}
            </div>
          </header>
          {atHome ? (
            <div className="home" aria-label="App Home of Buildbell" role="region">
              <Home key={state.home?.id} state={state} tell={tell} confirm={confirm} />
            </div>
          ) : (
            <>
              <Timeline key={channel.id} messages={roots} label={`Messages in ${title}`} state={state} channel={channel.id} tell={tell} confirm={confirm} onThread={setThread} disabled={disabled} target={target}>
                {roots.length === 0 && (
                  <div className="welcome">
                    <h2>{channel.is_im ? "Ask Buildbell" : `This is #${channel.name}`}</h2>
                    <p>{channel.is_im ? "Write to Buildbell as you would type a command: status, run nightly, why." : `Nothing has happened here yet. Type /build to see what this channel follows, or push a commit in the panel “${panes.systems}”.`}</p>
                  </div>
                )}
              </Timeline>
              <Composer key={`c-${channel.id}`} state={state} channel={channel} label={channel.is_im ? "Message Buildbell" : `Message #${channel.name}`} tell={tell} disabled={archived} />
            </>
          )}
        </main>
        {right === "thread" && (
          <aside className="side" aria-label="Thread">
            <header><h2>Thread</h2><button type="button" className="icon" aria-label="Close thread" onClick={() => setThread("")}>×</button></header>
            <Timeline key={thread} messages={threaded} label="Messages in the thread" state={state} channel={channel.id} inThread tell={tell} confirm={confirm} onThread={() => {}} disabled={disabled} target={target} />
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
        {searching && <Search state={state} onClose={() => setSearching(false)} />}
        {renaming && <Rename channel={channel} act={act} onClose={() => setRenaming(false)} />}
        {dialog}
      </div>
    </People.Provider>
  );
}
