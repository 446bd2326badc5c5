// Slack's mrkdwn as React elements. Nothing is ever put in as HTML.
import { Fragment, createContext, useContext } from "react";
import { now, useMinute } from "./clock.js";
import { Emoji, emoji, withSigns } from "./emoji.jsx";

export const People = createContext({ users: [], channels: [], usergroups: [], open: () => {} });

const unescape = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const DAY = 86400000;

export function dateText(format, seconds, fallback) {
  const when = new Date(seconds * 1000);
  if (Number.isNaN(when.getTime())) return fallback;
  const show = (options) => new Intl.DateTimeFormat(undefined, options).format(when);
  const day = (options) => {
    const start = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
    const away = Math.round((start(when) - start(new Date(now()))) / DAY);
    return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[away] ?? show(options);
  };
  const full = { weekday: "long", year: "numeric", month: "long", day: "numeric" };
  const long = { year: "numeric", month: "long", day: "numeric" };
  const short = { year: "numeric", month: "short", day: "numeric" };
  const ago = () => {
    const past = (now() - when.getTime()) / 1000;
    const size = Math.abs(past);
    const [count, unit] = size < 60 ? [0, ""] : size < 3600 ? [size / 60, "minute"] : size < 86400 ? [size / 3600, "hour"] : [size / 86400, "day"];
    if (!unit) return "just now";
    return new Intl.RelativeTimeFormat(undefined, { numeric: "always" }).format(-Math.sign(past) * Math.round(count), unit);
  };
  const tokens = {
    date_num: () => when.toISOString().slice(0, 10),
    date: () => show(long),
    date_short: () => show(short),
    date_long: () => show(full),
    date_pretty: () => day(long),
    date_short_pretty: () => day(short),
    date_long_pretty: () => day(full),
    time: () => show({ hour: "numeric", minute: "2-digit" }),
    time_secs: () => show({ hour: "numeric", minute: "2-digit", second: "2-digit" }),
    ago,
  };
  return format.replace(/\{(\w+)\}/g, (whole, token) => tokens[token]?.() ?? whole);
}

// A time in one of Slack's formats; "today" and "5 minutes ago" stay true while the page is open.
export function When({ format, seconds, fallback }) {
  useMinute();
  return (
    <time dateTime={new Date(seconds * 1000 || 0).toISOString()} title={fallback}>
      {dateText(format, seconds, fallback)}
    </time>
  );
}

export function Mention({ kind, id, label }) {
  const { users, channels, usergroups, open } = useContext(People);
  if (kind === "#") {
    const channel = channels.find((it) => it.id === id);
    return (
      <button type="button" className="mention link" onClick={() => channel && open(channel.id)}>
        #{label || channel?.name || "private channel"}
      </button>
    );
  }
  if (kind === "group") return <span className="mention">@{usergroups.find((it) => it.id === id)?.handle ?? label ?? id}</span>;
  if (kind === "all") return <span className="mention loud">@{id}</span>;
  const user = users.find((it) => it.id === id);
  return <span className="mention">@{user?.name ?? label ?? id}</span>;
}

export function Link({ url, children }) {
  const safe = /^(https?:|mailto:)/i.test(url);
  return safe ? (
    <a href={url} target="_blank" rel="noreferrer">
      {children}
    </a>
  ) : (
    <>{children}</>
  );
}

function angle(body) {
  const [head, label] = [body.split("|")[0], body.includes("|") ? body.slice(body.indexOf("|") + 1) : ""];
  if (head.startsWith("@")) return <Mention kind="@" id={head.slice(1)} label={unescape(label)} />;
  if (head.startsWith("#")) return <Mention kind="#" id={head.slice(1)} label={unescape(label)} />;
  if (head.startsWith("!date^")) {
    const [, seconds, format, url] = head.split("^");
    const when = <When format={unescape(format ?? "")} seconds={Number(seconds)} fallback={unescape(label)} />;
    return url ? <Link url={unescape(url)}>{when}</Link> : when;
  }
  if (head.startsWith("!subteam^")) return <Mention kind="group" id={head.slice(9)} label={unescape(label)} />;
  if (head.startsWith("!")) return <Mention kind="all" id={head.slice(1)} />;
  return <Link url={unescape(head)}>{label ? inline(label) : unescape(head).replace(/^mailto:/, "")}</Link>;
}

// A mark beside a soft hyphen is a letter. In this order: code, things in angle brackets, emoji, then the three styles at word boundaries.
const INLINE = /(`[^`\n]+`)|<([^<>\n]+)>|:([a-z0-9_+-]+):|(?<![\w*\u00ad])\*(?!\u00ad)(\S(?:[^*\n]*?\S)?)(?<!\u00ad)\*(?![\w*])|(?<![\w_\u00ad])_(?!\u00ad)(\S(?:[^_\n]*?\S)?)(?<!\u00ad)_(?![\w_])|(?<![\w~\u00ad])~(?!\u00ad)(\S(?:[^~\n]*?\S)?)(?<!\u00ad)~(?![\w~])/u;

function inline(text, withEmoji = true) {
  const parts = [];
  let rest = text;
  while (rest) {
    const match = INLINE.exec(rest);
    if (!match) break;
    if (match.index) parts.push(withSigns(unescape(rest.slice(0, match.index))));
    const [whole, code, bracket, name, bold, italic, strike] = match;
    if (code) parts.push(<code>{unescape(code.slice(1, -1))}</code>);
    else if (bracket) parts.push(angle(bracket));
    else if (name) parts.push(withEmoji && emoji(name) ? <Emoji name={name} /> : whole);
    else if (bold) parts.push(<strong>{inline(bold)}</strong>);
    else if (italic) parts.push(<em>{inline(italic)}</em>);
    else parts.push(<s>{inline(strike)}</s>);
    rest = rest.slice(match.index + whole.length);
  }
  if (rest) parts.push(withSigns(unescape(rest)));
  return parts.map((part, number) => <Fragment key={number}>{part}</Fragment>);
}

function lines(text) {
  const rows = text.split("\n");
  const out = [];
  for (let at = 0; at < rows.length; at += 1) {
    if (/^(>|&gt;)/.test(rows[at])) {
      const quoted = [];
      for (; at < rows.length && /^(>|&gt;)/.test(rows[at]); at += 1) quoted.push(rows[at].replace(/^(>|&gt;) ?/, ""));
      at -= 1;
      out.push(<blockquote key={at}>{lines(quoted.join("\n"))}</blockquote>);
    } else {
      out.push(
        <Fragment key={at}>
          {inline(rows[at])}
          {at < rows.length - 1 && <br />}
        </Fragment>,
      );
    }
  }
  return out;
}

export function Mrkdwn({ text }) {
  const parts = text.split("```");
  return parts.map((part, number) => {
    if (number % 2 && number < parts.length - 1) return <pre key={number}>{unescape(part.replace(/^\n|\n$/g, ""))}</pre>;
    const trimmed = number ? part.replace(/^\n/, "") : part;
    return <Fragment key={number}>{lines(number % 2 ? `\`\`\`${trimmed}` : trimmed)}</Fragment>;
  });
}

export function Plain({ text, emoji: withEmoji = true }) {
  return text.split(/(:[a-z0-9_+-]+:|\n)/u).map((part, number) => {
    if (part === "\n") return <br key={number} />;
    const name = withEmoji && /^:[^:]+:$/.test(part) ? part.slice(1, -1) : "";
    return emoji(name) ? <Emoji key={number} name={name} /> : <Fragment key={number}>{withEmoji ? withSigns(part) : part}</Fragment>;
  });
}

export const Text = ({ of }) => (of?.type === "mrkdwn" ? <Mrkdwn text={of.text} /> : <Plain text={of?.text ?? ""} emoji={of?.emoji !== false} />);

export const plain = (of) => (of?.text ?? "").replace(/:([a-z0-9_+-]+):/gu, (whole, name) => emoji(name) ?? whole);
