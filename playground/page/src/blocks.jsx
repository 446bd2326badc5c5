// Block Kit on the page. Markdown, videos, cards, plans and carousels come from slack-blocks-to-jsx, the rest is drawn here.
import { useContext, useId, useState } from "react";
import { Message as Rendered } from "slack-blocks-to-jsx";
import { Chart } from "./charts.jsx";
import { Element } from "./controls.jsx";
import { RichText } from "./rich_text.jsx";
import { DataTable, Table } from "./tables.jsx";
import { People, Plain, Text, plain } from "./text.jsx";

function FromLibrary({ block }) {
  const { users, channels, usergroups } = useContext(People);
  return (
    <div className="library">
      <Rendered
        blocks={[block]}
        logo=""
        name=""
        withoutWrapper
        theme={window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"}
        data={{
          users: users.map((it) => ({ id: it.id, name: it.name })),
          channels: channels.map((it) => ({ id: it.id, name: it.name })),
          user_groups: usergroups.map((it) => ({ id: it.id, name: it.handle })),
        }}
      />
    </div>
  );
}

// Outside pictures are not fetched: nothing on this page leaves the machine.
function Picture({ element, small }) {
  const url = element.image_url ?? "";
  const local = url.startsWith("/") || url.startsWith(window.location.origin) || url.startsWith("data:");
  if (local) return <img src={url} alt={element.alt_text} className={small ? "small" : ""} />;
  return (
    <span className={`no-picture ${small ? "small" : ""}`} role="img" aria-label={element.alt_text} title={element.alt_text}>
      {small ? (element.alt_text ?? "?").slice(0, 1).toUpperCase() : `🖼 ${element.alt_text}`}
    </span>
  );
}

function Section({ block, ctx }) {
  const accessory = block.accessory;
  return (
    <div className={`section ${accessory ? "with-accessory" : ""}`}>
      <div>
        {block.text && (
          <p>
            <Text of={block.text} />
          </p>
        )}
        {block.fields && (
          <div className="fields">
            {block.fields.map((field, number) => (
              <p key={number}>
                <Text of={field} />
              </p>
            ))}
          </div>
        )}
      </div>
      {accessory && <div className="accessory">{accessory.type === "image" ? <Picture element={accessory} /> : <Element element={accessory} block={block} ctx={ctx} label={accessory.type === "button" ? undefined : accessory.type === "overflow" ? "More" : accessory.placeholder ? plain(accessory.placeholder) : plain(block.text)} />}</div>}
    </div>
  );
}

function Input({ block, ctx }) {
  const id = useId();
  const error = ctx.errors?.[block.block_id];
  const described = [block.hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  return (
    <div className={`input ${error ? "wrong" : ""}`}>
      <div className="label">
        <Plain text={block.label.text} />
        {block.optional && <span className="optional"> (optional)</span>}
      </div>
      <Element element={block.element} block={block} ctx={ctx} label={plain(block.label)} invalid={Boolean(error)} describedBy={described} />
      {error && (
        <p className="error" role="alert" id={`${id}-error`}>
          {error}
        </p>
      )}
      {block.hint && (
        <p className="hint" id={`${id}-hint`}>
          <Text of={block.hint} />
        </p>
      )}
    </div>
  );
}

function Container({ block, ctx }) {
  const [open, setOpen] = useState(!block.default_collapsed);
  return (
    <div className="container">
      {block.title && (
        <div className="title">
          {block.is_collapsible ? (
            <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
              {open ? "▾" : "▸"} {plain(block.title)}
            </button>
          ) : (
            <Text of={block.title} />
          )}
        </div>
      )}
      {open && <Blocks blocks={block.child_blocks} ctx={ctx} />}
    </div>
  );
}

export function Block({ block, ctx }) {
  switch (block.type) {
    case "section":
      return <Section block={block} ctx={ctx} />;
    case "header":
      return (
        <h3 className="header">
          <Plain text={block.text.text} emoji={block.text.emoji !== false} />
        </h3>
      );
    case "divider":
      return <hr />;
    case "context":
      return (
        <div className="context">
          {block.elements.map((element, number) => (element.type === "image" ? <Picture key={number} element={element} small /> : <span key={number}><Text of={element} /></span>))}
        </div>
      );
    case "image":
      return (
        <figure>
          {block.title && <figcaption>{plain(block.title)}</figcaption>}
          <Picture element={block} />
        </figure>
      );
    case "actions":
    case "context_actions":
      return (
        <div className="actions">
          {block.elements.map((element, number) => (
            <Element key={element.action_id ?? number} element={element} block={block} ctx={ctx} />
          ))}
        </div>
      );
    case "rich_text":
      return <RichText block={block} />;
    case "table":
      return <Table block={block} />;
    case "data_table":
      return <DataTable block={block} />;
    case "data_visualization":
      return <Chart block={block} />;
    case "input":
      return <Input block={block} ctx={ctx} />;
    case "container":
      return <Container block={block} ctx={ctx} />;
    case "card":
      return (
        <div className="container">
          <FromLibrary block={{ ...block, actions: undefined }} />
          {block.actions && <Block block={{ ...block, type: "actions", elements: block.actions }} ctx={ctx} />}
        </div>
      );
    case "alert":
      return (
        <div className={`alert ${block.level ?? "default"}`} role="note">
          <Text of={block.text} />
        </div>
      );
    default:
      return <FromLibrary block={block} />;
  }
}

export const Blocks = ({ blocks, ctx }) => (
  <div className="blocks">
    {(blocks ?? []).map((block, number) => (
      <Block key={block.block_id ?? number} block={block} ctx={ctx} />
    ))}
  </div>
);
