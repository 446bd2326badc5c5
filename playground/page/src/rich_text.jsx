// The rich_text block: sections, lists, quotes and preformatted text.
import { Emoji, withSigns } from "./emoji.jsx";
import { Link, Mention, When } from "./text.jsx";

function styled(content, style = {}) {
  let shown = content;
  if (style.code) shown = <code>{shown}</code>;
  if (style.bold) shown = <strong>{shown}</strong>;
  if (style.italic) shown = <em>{shown}</em>;
  if (style.strike) shown = <s>{shown}</s>;
  if (style.underline) shown = <u>{shown}</u>;
  return shown;
}

function sign(element) {
  if (!element.unicode) return undefined;
  return String.fromCodePoint(...element.unicode.split("-").map((code) => Number.parseInt(code, 16)));
}

function Inline({ element }) {
  switch (element.type) {
    case "text":
      return styled(element.style?.code ? element.text : withSigns(element.text), element.style);
    case "link":
      return styled(<Link url={element.url}>{element.text || element.url}</Link>, element.style);
    case "emoji":
      return <Emoji name={element.name} sign={sign(element)} />;
    case "user":
      return <Mention kind="@" id={element.user_id} />;
    case "channel":
      return <Mention kind="#" id={element.channel_id} />;
    case "usergroup":
      return <Mention kind="group" id={element.usergroup_id} />;
    case "broadcast":
      return <Mention kind="all" id={element.range} />;
    case "date": {
      const shown = <When format={element.format} seconds={element.timestamp} fallback={element.fallback ?? ""} />;
      return styled(element.url ? <Link url={element.url}>{shown}</Link> : shown, element.style);
    }
    case "color":
      return <span className="color"><i style={{ background: element.value }} />{element.value}</span>;
    default:
      return element.text ?? "";
  }
}

const inline = (elements) => (elements ?? []).map((element, number) => <Inline key={number} element={element} />);

const text = (elements) => (elements ?? []).map((element) => element.text ?? element.url ?? "").join("");

function Part({ part }) {
  switch (part.type) {
    case "rich_text_list": {
      const items = part.elements.map((item, number) => <li key={number}>{inline(item.elements)}</li>);
      const style = { marginLeft: `${(part.indent ?? 0) * 24}px` };
      return part.style === "ordered" ? <ol className="rich-list" style={style} start={(part.offset ?? 0) + 1}>{items}</ol> : <ul className="rich-list" style={style}>{items}</ul>;
    }
    case "rich_text_quote":
      return <blockquote>{inline(part.elements)}</blockquote>;
    case "rich_text_preformatted":
      return <pre>{text(part.elements)}</pre>;
    default:
      return <p>{inline(part.elements)}</p>;
  }
}

export const RichText = ({ block }) => (
  <div className="rich">
    {block.elements.map((part, number) => <Part key={number} part={part} />)}
  </div>
);
