// Workspace, channels, direct messages, App Home, and whose eyes the page looks through. A drawer on narrow screens.
import { useEffect, useRef } from "react";
import { Avatar, Bell } from "./message.jsx";

export function Sidebar({ state, place, go, unread, users, actAs, isDrawer, isOpen, onClose }) {
  const box = useRef(null);
  const channels = state.channels.filter((it) => !it.is_im);
  const dm = state.channels.find((it) => it.is_im);
  const bot = users.find((it) => it.id === state.bot);
  const shut = isDrawer && !isOpen;
  useEffect(() => {
    if (!isDrawer || !isOpen) return undefined;
    box.current.querySelector("[aria-current]")?.focus();
    const keys = (event) => event.key === "Escape" && onClose();
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, [isDrawer, isOpen, onClose]);
  const item = (id, shown, more = {}) => (
    <li key={id}>
      <button
        type="button"
        aria-current={place === id ? "page" : undefined}
        className={`${unread.has(id) ? "unread" : ""} ${more.className ?? ""}`}
        aria-label={more.label}
        onClick={() => {
          go(id);
          onClose();
        }}
      >
        {shown}
      </button>
    </li>
  );
  return (
    <>
      {isDrawer && isOpen && <div className="shade" onClick={onClose} />}
      <aside ref={box} className={`sidebar ${isDrawer ? "drawer" : ""} ${shut ? "shut" : ""}`} aria-label="Workspace" inert={shut}>
        <div className="team">
          <span className="logo" aria-hidden="true"><Bell /></span>
          <div>
            <strong>{state.team.name}</strong>
            <small>{state.socket_mode ? "Socket Mode" : "HTTP"}{!state.installed && " · app removed"}</small>
          </div>
          {isDrawer && <button type="button" className="icon" aria-label="Close menu" onClick={onClose}>×</button>}
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
    </>
  );
}
