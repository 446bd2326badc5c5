// One message: who, when, text and blocks, coloured attachments, files, reactions, and what the bot sent to make it.
import { memo, useState } from "react";
import { failure, post } from "./api.js";
import { Blocks } from "./blocks.jsx";
import { Menu } from "./controls.jsx";
import { Dialog, useSurface } from "./surface.jsx";
import { Emoji, emoji } from "./emoji.jsx";
import { Mrkdwn, When, dateText } from "./text.jsx";

const REACTIONS = ["repeat", "eyes", "no_bell", "white_check_mark", "+1", "tada"];

export function Avatar({ user, icon }) {
  const bot = user?.is_bot;
  return (
    <span className={`avatar ${bot ? "bot" : ""}`} style={{ background: user?.color }} aria-hidden="true">
      {icon && emoji(icon.replaceAll(":", "")) ? emoji(icon.replaceAll(":", "")) : user?.name === "slackbot" ? "✦" : bot ? <Bell /> : user?.initials}
    </span>
  );
}

export const Bell = () => (
  <svg viewBox="0 0 24 24" width="60%" height="60%" fill="currentColor" aria-hidden="true">
    <path d="M12 3a6 6 0 0 0-6 6v4.5L4.3 16a.8.8 0 0 0 .7 1.2h14a.8.8 0 0 0 .7-1.2L18 13.500V9a6 6 0 0 0-6-6zm-2.600 15.400a2.700 2.700 0 0 0 5.200 0z" />
  </svg>
);

const clock = (ts) => dateText("{time}", Number(ts), ts);

function Attachment({ attachment, ctx }) {
  const color = { good: "#1b7f4b", warning: "#b37400", danger: "#c4314b" }[attachment.color] ?? (attachment.color ? `#${attachment.color.replace("#", "")}` : undefined);
  return (
    <div className="attachment" style={color && { "--bar": color }}>
      {attachment.pretext && <p><Mrkdwn text={attachment.pretext} /></p>}
      {attachment.title && <p><strong>{attachment.title_link ? <a href={attachment.title_link} target="_blank" rel="noreferrer">{attachment.title}</a> : attachment.title}</strong></p>}
      {attachment.text && <p><Mrkdwn text={attachment.text} /></p>}
      {attachment.fields && (
        <div className="fields">
          {attachment.fields.map((field) => (
            <p key={field.title}>
              <strong>{field.title}</strong>
              <br />
              <Mrkdwn text={field.value ?? ""} />
            </p>
          ))}
        </div>
      )}
      {attachment.blocks && <Blocks blocks={attachment.blocks} ctx={ctx} />}
      {attachment.footer && <p className="context"><Mrkdwn text={attachment.footer} /></p>}
    </div>
  );
}

function FileCard({ file }) {
  return (
    <figure className="file">
      <figcaption>
        <a href={file.url_private} target="_blank" rel="noreferrer">{file.title}</a>
        <small>{file.size.toLocaleString()} bytes</small>
      </figcaption>
      {file.filetype === "png" ? <img src={new URL(file.url_private).pathname} alt={file.title} /> : <pre>{file.preview}</pre>}
    </figure>
  );
}

export function Inspector({ message, onClose }) {
  const sent = message.sent;
  const [at, setAt] = useState(sent.length - 1);
  const shown = sent[at];
  return (
    <Dialog label="What the bot sent" className="inspector" onClose={onClose}>
      <header>
        <h2>What the bot sent</h2>
        <button type="button" className="icon" aria-label="Close" onClick={onClose}>×</button>
      </header>
      {sent.length === 0 && <p className="empty">A person wrote this. Below is the message as Slack holds it.</p>}
      {sent.length > 1 && (
        <div className="tabs" role="tablist">
          {sent.map((entry, number) => (
            <button type="button" role="tab" aria-selected={number === at} key={number} onClick={() => setAt(number)}>
              {number + 1}. {entry.method}
            </button>
          ))}
        </div>
      )}
      {sent.length === 1 && <p className="hint"><code>{shown.method}</code></p>}
      <pre tabIndex={0} aria-label="JSON">{JSON.stringify(shown ? shown.args : { ...message, sent: undefined }, null, 2)}</pre>
      <footer>
        <button type="button" className="button" onClick={() => navigator.clipboard?.writeText(JSON.stringify(shown ? shown.args : message, null, 2))}>Copy</button>
      </footer>
    </Dialog>
  );
}

export const Message = memo(
  function Message({ message, channel, state, compact, inThread, tell, confirm, onThread, shortcuts, disabled }) {
    const [inspecting, setInspecting] = useState(false);
    const me = state.me;
    const place = { channel, ts: message.ts };
    const ctx = useSurface({ user: me, place, tell, confirm, disabled });
    const author = state.users.find((it) => it.id === message.user);
    const name = message.username || author?.real_name || message.user;
    const react = async (reaction) => {
      const answer = await post("/ui/reaction", { user: me, ...place, name: reaction });
      if (!answer.ok) tell(failure(answer.error), "error");
    };
    const use = async (shortcut) => {
      const answer = await post("/ui/shortcut", { user: me, callback_id: shortcut.callback_id, ...place });
      if (!answer.ok) tell(failure(answer.error), "error");
    };
    const ephemeral = message.is_ephemeral;
    return (
      <article className={`message ${compact ? "compact" : ""} ${ephemeral ? "ephemeral" : ""}`} aria-label={`${name}, ${clock(message.ts)}`} id={`m-${message.ts}`} data-ts={message.ts}>
        {compact ? <time className="aside">{clock(message.ts)}</time> : <Avatar user={author} icon={message.icon_emoji} />}
        <div className="body">
          {ephemeral && <p className="only-you">👁 Only visible to you</p>}
          {!compact && (
            <header>
              <strong>{name}</strong>
              {author?.is_bot && <span className="badge">APP</span>}
              <time title={new Date(Number(message.ts) * 1000).toLocaleString()}>{clock(message.ts)}</time>
            </header>
          )}
          {message.blocks?.length && !(author && !author.is_bot) ? <Blocks blocks={message.blocks} ctx={ctx} /> : message.text && <p className="text"><Mrkdwn text={message.text} />{message.edited && <small className="edited"> (edited)</small>}</p>}
          {message.attachments?.map((attachment) => <Attachment key={attachment.id} attachment={attachment} ctx={ctx} />)}
          {message.files?.map((file) => <FileCard key={file.id} file={file} />)}
          {message.reactions && (
            <div className="reactions">
              {message.reactions.map((reaction) => (
                <button type="button" key={reaction.name} aria-pressed={reaction.users.includes(me)} aria-label={`${reaction.name.replaceAll("_", " ")}, ${reaction.count}`} onClick={() => react(reaction.name)}>
                  <Emoji name={reaction.name} /> {reaction.count}
                </button>
              ))}
            </div>
          )}
          {message.reply_count > 0 && !inThread && (
            <button type="button" className="replies" onClick={() => onThread(message.ts)}>
              {message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`}
              <small>Last <When format="{ago}" seconds={Number(message.latest_reply)} fallback="" /></small>
            </button>
          )}
        </div>
        <div className="tools" role="group" aria-label="Message actions">
          {!ephemeral && (
            <Menu label="Add a reaction" items={REACTIONS.map((it) => ({ key: it, label: it.replaceAll("_", " "), shown: <><span className="emoji" aria-hidden="true">{emoji(it)}</span> {it.replaceAll("_", " ")}</>, onPick: () => react(it) }))}>☺</Menu>
          )}
          {!ephemeral && !inThread && (
            <button type="button" className="icon" aria-label="Reply in thread" title="Reply in thread" onClick={() => onThread(message.thread_ts ?? message.ts)}>↩</button>
          )}
          <button type="button" className="icon" aria-label="What the bot sent" title="What the bot sent" onClick={() => setInspecting(true)}>{"{ }"}</button>
          {!ephemeral && <Menu label="More actions" items={shortcuts.map((it) => ({ label: it.name, note: it.description, onPick: () => use(it) }))}>⋮</Menu>}
        </div>
        {inspecting && <Inspector message={message} onClose={() => setInspecting(false)} />}
      </article>
    );
  },
  (before, after) =>
    before.raw === after.raw && before.compact === after.compact && before.disabled === after.disabled && before.state.me === after.state.me && before.channel === after.channel && before.inThread === after.inThread,
);
