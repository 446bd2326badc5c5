// The interactive elements of Block Kit. Each tells `onChoose` what was chosen, in the form Slack sends it.
import { useCallback, useContext, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "react";
import { People, Text, plain } from "./text.jsx";

const DEBOUNCE = 200;

// A list that hangs below `anchor`, over everything else, inside a modal too.
export function Floating({ anchor, onClose, children, className = "", align = "left" }) {
  const [place, setPlace] = useState({ visibility: "hidden" });
  const box = useRef(null);
  useLayoutEffect(() => {
    const where = anchor.current?.getBoundingClientRect();
    const size = box.current?.getBoundingClientRect();
    if (!where || !size) return;
    const below = window.innerHeight - where.bottom - 12;
    const above = below < Math.min(size.height, 260) && where.top > below;
    const width = Math.max(where.width, className.includes("menu") ? 200 : 0);
    const left = align === "right" ? where.right - width : where.left;
    setPlace({
      left: Math.max(8, Math.min(left, window.innerWidth - width - 8)),
      minWidth: width,
      maxWidth: Math.max(width, 320),
      ...(above ? { bottom: window.innerHeight - where.top + 4, maxHeight: where.top - 16 } : { top: where.bottom + 4, maxHeight: below }),
    });
  }, [anchor, align, className, children]);
  useEffect(() => {
    const away = (event) => {
      if (!box.current?.contains(event.target) && !anchor.current?.contains(event.target)) onClose();
    };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [anchor, onClose]);
  return (
    <div ref={box} className={`floating ${className}`} style={place}>
      {children}
    </div>
  );
}

// A button that opens a menu: [{ label, onPick, danger?, note? }]
export function Menu({ label, items, children, className = "icon", align = "right" }) {
  const [open, setOpen] = useState(false);
  const anchor = useRef(null);
  const list = useRef(null);
  const close = useCallback(() => setOpen(false), []);
  useEffect(() => {
    if (open) list.current?.querySelector("button")?.focus();
  }, [open]);
  const move = (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
      anchor.current?.focus();
    }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const all = [...list.current.querySelectorAll("button")];
      const at = all.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      all[(at + all.length) % all.length]?.focus();
    }
  };
  return (
    <>
      <button ref={anchor} type="button" className={className} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)}>
        {children}
      </button>
      {open && (
        <Floating anchor={anchor} onClose={close} className="menu" align={align}>
          <div role="menu" aria-label={label} ref={list} onKeyDown={move}>
            {items.length === 0 && <p className="empty">Nothing here</p>}
            {items.map((item) => (
              <button
                key={item.key ?? item.label}
                type="button"
                role="menuitem"
                className={item.danger ? "danger" : ""}
                onClick={() => {
                  setOpen(false);
                  anchor.current?.focus();
                  item.onPick();
                }}
              >
                {item.shown ?? item.label}
                {item.note && <small>{item.note}</small>}
              </button>
            ))}
          </div>
        </Floating>
      )}
    </>
  );
}

const same = (one, other) => one?.value === other?.value;

// A box to type into and choose from: one choice or many, from a given list or from the bot.
export function Picker({ label, placeholder, groups, load, minQuery = 0, multi, most, value, onChange, invalid, describedBy, autoFocus, disabled }) {
  const id = useId();
  const anchor = useRef(null);
  const input = useRef(null);
  const [open, setOpen] = useState(false);
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const [offered, setOffered] = useState({ groups: [], state: "idle" });
  const chosen = multi ? (value ?? []) : value ? [value] : [];
  const close = useCallback(() => {
    setOpen(false);
    setQuery("");
  }, []);

  const loading = useRef(load);
  loading.current = load;
  useEffect(() => {
    if (!loading.current || !open) return undefined;
    if (query.length < minQuery) {
      setOffered({ groups: [], state: "short" });
      return undefined;
    }
    let stale = false;
    setOffered((before) => ({ ...before, state: "loading" }));
    const timer = setTimeout(async () => {
      const found = await loading.current(query);
      if (stale) return;
      setOffered(
        found.ok
          ? { groups: found.option_groups ?? [{ options: found.options ?? [] }], state: "done" }
          : { groups: [], state: "failed", error: found.error },
      );
      setAt(0);
    }, query ? DEBOUNCE : 0);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [query, open, minQuery]);

  const shown = useMemo(() => {
    if (load) return offered.groups;
    const wanted = query.toLowerCase();
    return groups
      .map((group) => ({ ...group, options: group.options.filter((it) => plain(it.text).toLowerCase().includes(wanted)) }))
      .filter((group) => group.options.length);
  }, [load, offered.groups, groups, query]);
  const flat = shown.flatMap((group) => group.options);

  const pick = (option) => {
    if (!option) return;
    if (multi) {
      const there = chosen.some((it) => same(it, option));
      if (!there && most && chosen.length >= most) return;
      onChange(there ? chosen.filter((it) => !same(it, option)) : [...chosen, option]);
      setQuery("");
      input.current?.focus();
    } else {
      onChange(option);
      close();
      input.current?.focus();
    }
  };
  const keys = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) setOpen(true);
      else setAt((flat.length + at + (event.key === "ArrowDown" ? 1 : -1)) % Math.max(1, flat.length));
    } else if (event.key === "Enter" && open) {
      event.preventDefault();
      pick(flat[at]);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === "Backspace" && multi && !query && chosen.length) {
      onChange(chosen.slice(0, -1));
    } else if (event.key === "Tab") close();
  };
  const count = shown.reduce((sum, group) => sum + group.options.length, 0);
  const note =
    offered.state === "failed" && load
      ? `Options could not be loaded (${offered.error}).`
      : offered.state === "short" && load
        ? `Type ${minQuery} or more letters`
        : offered.state === "loading" && load && !count
          ? "Looking…"
          : !count
            ? "No matches"
            : "";
  let number = -1;
  return (
    <div className={`picker ${disabled ? "off" : ""}`} ref={anchor} onClick={() => !disabled && input.current?.focus()}>
      {multi &&
        chosen.map((option) => (
          <span className="chip" key={option.value}>
            {plain(option.text)}
            <button type="button" aria-label={`Remove ${plain(option.text)}`} onClick={() => onChange(chosen.filter((it) => !same(it, option)))}>
              ×
            </button>
          </span>
        ))}
      <input
        ref={input}
        role="combobox"
        aria-label={label}
        aria-expanded={open}
        aria-controls={`${id}-list`}
        aria-activedescendant={open && flat[at] ? `${id}-${at}` : undefined}
        aria-autocomplete="list"
        aria-invalid={invalid || undefined}
        aria-describedby={describedBy}
        autoComplete="off"
        autoFocus={autoFocus}
        disabled={disabled}
        placeholder={multi && chosen.length ? "" : placeholder}
        value={open || multi ? query : value ? plain(value.text) : ""}
        onFocus={() => !multi && input.current?.select()}
        onClick={() => setOpen(true)}
        onChange={(event) => {
          setQuery(event.target.value);
          setAt(0);
          setOpen(true);
        }}
        onKeyDown={keys}
      />
      {!multi && value && !open && !disabled ? (
        <button type="button" className="clear" aria-label={`Clear ${label}`} onClick={() => onChange(null)}>
          ×
        </button>
      ) : (
        <span className="caret" aria-hidden="true">
          ▾
        </span>
      )}
      {open && (
        <Floating anchor={anchor} onClose={close} className="list">
          <div role="listbox" id={`${id}-list`} aria-label={label} aria-multiselectable={multi || undefined}>
            {note && <p className="empty">{note}</p>}
            {shown.map((group, place) => (
              <div role="group" key={place} aria-label={group.label ? plain(group.label) : undefined}>
                {group.label && <div className="group">{plain(group.label)}</div>}
                {group.options.map((option) => {
                  number += 1;
                  const mine = number;
                  const on = chosen.some((it) => same(it, option));
                  return (
                    <div
                      key={`${option.value}-${mine}`}
                      id={`${id}-${mine}`}
                      role="option"
                      aria-selected={on}
                      className={mine === at ? "at" : ""}
                      onPointerEnter={() => setAt(mine)}
                      onPointerDown={(event) => event.preventDefault()}
                      onClick={(event) => {
                        event.stopPropagation();
                        pick(option);
                      }}
                    >
                      <span>{plain(option.text)}</span>
                      {option.description && <small>{plain(option.description)}</small>}
                      {on && <span aria-hidden="true">✓</span>}
                    </div>
                  );
                })}
              </div>
            ))}
          </div>
        </Floating>
      )}
    </div>
  );
}

const asOptions = (items) => items.map((it) => ({ value: it.id, text: { type: "plain_text", text: it.shown, emoji: false } }));

function usePool(type) {
  const { users, channels } = useContext(People);
  return useMemo(() => {
    if (type.includes("users")) return asOptions(users.filter((it) => !it.is_bot).map((it) => ({ id: it.id, shown: `${it.real_name} (@${it.name})` })));
    const open = channels.filter((it) => !it.is_archived && (!it.is_im || type.includes("conversations")));
    return asOptions(open.map((it) => ({ id: it.id, shown: it.is_im ? "Direct message" : `#${it.name}` })));
  }, [type, users, channels]);
}

function IdPicker({ element, value, onChoose, ...rest }) {
  const pool = usePool(element.type);
  const multi = element.type.startsWith("multi_");
  const find = (id) => pool.find((it) => it.value === id) ?? { value: id, text: { type: "plain_text", text: id } };
  return (
    <Picker
      {...rest}
      groups={[{ options: pool }]}
      multi={multi}
      most={element.max_selected_items}
      value={multi ? (value ?? []).map(find) : value ? find(value) : null}
      onChange={(picked) => onChoose(multi ? picked.map((it) => it.value) : (picked?.value ?? null))}
    />
  );
}

function Choices({ element, label, value, onChoose, invalid, describedBy }) {
  const name = useId();
  const many = element.type === "checkboxes";
  const chosen = many ? (value ?? []) : value ? [value] : [];
  const toggle = (option) => {
    if (!many) return onChoose(option);
    return onChoose(chosen.some((it) => same(it, option)) ? chosen.filter((it) => !same(it, option)) : [...chosen, option]);
  };
  return (
    <div className="choices" role={many ? "group" : "radiogroup"} aria-label={label} aria-invalid={invalid || undefined} aria-describedby={describedBy}>
      {element.options.map((option) => (
        <label key={option.value}>
          <input type={many ? "checkbox" : "radio"} name={name} checked={chosen.some((it) => same(it, option))} onChange={() => toggle(option)} />
          <span>
            <Text of={option.text} />
            {option.description && (
              <small>
                <Text of={option.description} />
              </small>
            )}
          </span>
        </label>
      ))}
    </div>
  );
}

const INPUT_TYPES = { email_text_input: "email", url_text_input: "url", number_input: "number", datepicker: "date", timepicker: "time" };

function Typed({ element, label, value, onChoose, onDispatch, invalid, describedBy, autoFocus }) {
  const when = element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const given = {
    "aria-label": label,
    "aria-invalid": invalid || undefined,
    "aria-describedby": describedBy,
    placeholder: element.placeholder ? plain(element.placeholder) : undefined,
    maxLength: element.max_length,
    minLength: element.min_length,
    autoFocus,
    value: value ?? "",
    onChange: (event) => {
      onChoose(event.target.value || null);
      if (onDispatch && when.includes("on_character_entered")) onDispatch(event.target.value || null);
    },
    onKeyDown: (event) => {
      if (event.key === "Enter" && onDispatch && when.includes("on_enter_pressed") && !element.multiline) {
        event.preventDefault();
        onDispatch(event.target.value || null);
      }
    },
  };
  return element.multiline ? <textarea rows={4} {...given} /> : <input type={INPUT_TYPES[element.type] ?? "text"} step={element.is_decimal_allowed ? "any" : undefined} min={element.min_value} max={element.max_value} {...given} />;
}

// One interactive element. `ctx` knows the values, sends acts and asks for options; `label` names it for everyone.
export function Element({ element, block, ctx, label, invalid, describedBy }) {
  const value = ctx.value(block, element);
  const name = label ?? (element.placeholder ? plain(element.placeholder) : element.action_id);
  const choose = (choice) => ctx.choose(block, element, choice);
  const common = {
    label: name,
    placeholder: element.placeholder ? plain(element.placeholder) : "Choose…",
    invalid,
    describedBy,
    autoFocus: element.focus_on_load,
    disabled: ctx.disabled,
  };
  switch (element.type) {
    case "button":
    case "workflow_button":
      return element.url ? (
        <a className={`button ${element.style ?? ""}`} role="button" href={/^https?:/i.test(element.url) ? element.url : undefined} target="_blank" rel="noreferrer" aria-label={element.accessibility_label} onClick={() => ctx.act(block, element)}>
          {plain(element.text)}
          <span className="out" aria-hidden="true">↗</span>
        </a>
      ) : (
        <button type="button" className={`button ${element.style ?? ""}`} aria-label={element.accessibility_label} disabled={ctx.disabled} aria-busy={ctx.busy === `${block.block_id}/${element.action_id}`} onClick={() => ctx.act(block, element)}>
          {plain(element.text)}
        </button>
      );
    case "icon_button":
      return (
        <button type="button" className="button" aria-label={element.accessibility_label ?? plain(element.text)} onClick={() => ctx.act(block, element)}>
          {plain(element.text)}
        </button>
      );
    case "overflow":
      return (
        <Menu
          label={label ?? "More"}
          className="button more"
          items={element.options.map((option) => ({
            key: option.value,
            label: plain(option.text),
            note: option.description ? plain(option.description) : "",
            onPick: () => {
              if (option.url) window.open(option.url, "_blank", "noreferrer");
              ctx.act(block, element, option);
            },
          }))}
        >
          <span aria-hidden="true">⋯</span>
        </Menu>
      );
    case "static_select":
    case "multi_static_select":
      return <Picker {...common} groups={element.option_groups ?? [{ options: element.options ?? [] }]} multi={element.type.startsWith("multi")} most={element.max_selected_items} value={value} onChange={choose} />;
    case "external_select":
    case "multi_external_select":
      return <Picker {...common} load={(query) => ctx.options(block, element, query)} minQuery={element.min_query_length ?? 3} multi={element.type.startsWith("multi")} most={element.max_selected_items} value={value} onChange={choose} />;
    case "users_select":
    case "multi_users_select":
    case "conversations_select":
    case "multi_conversations_select":
    case "channels_select":
    case "multi_channels_select":
      return <IdPicker {...common} element={element} value={value} onChoose={choose} />;
    case "checkboxes":
    case "radio_buttons":
      return <Choices element={element} label={name} value={value} onChoose={choose} invalid={invalid} describedBy={describedBy} />;
    case "datetimepicker": {
      const local = value ? new Date((value - new Date().getTimezoneOffset() * 60) * 1000).toISOString().slice(0, 16) : "";
      return <input type="datetime-local" aria-label={name} value={local} onChange={(event) => choose(event.target.value ? Math.round(new Date(event.target.value).getTime() / 1000) : null)} />;
    }
    default:
      return <Typed element={element} label={name} value={value} onChoose={choose} onDispatch={block.dispatch_action || block.type !== "input" ? (typed) => ctx.act(block, element, typed) : null} invalid={invalid} describedBy={describedBy} autoFocus={element.focus_on_load} />;
  }
}

export const MEMBER = {
  static_select: "selected_option",
  external_select: "selected_option",
  users_select: "selected_user",
  conversations_select: "selected_conversation",
  channels_select: "selected_channel",
  multi_static_select: "selected_options",
  multi_external_select: "selected_options",
  multi_users_select: "selected_users",
  multi_conversations_select: "selected_conversations",
  multi_channels_select: "selected_channels",
  radio_buttons: "selected_option",
  checkboxes: "selected_options",
  datepicker: "selected_date",
  timepicker: "selected_time",
  datetimepicker: "selected_date_time",
};

export const memberOf = (element) => MEMBER[element.type] ?? "value";
export const initialOf = (element) => element[memberOf(element).replace("selected", "initial").replace(/^value$/, "initial_value")];
