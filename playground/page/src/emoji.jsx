// Emoji by short code and by character, coloured as Slack shows them, and the few signs that are no emoji.
import { get as emojiNamed } from "node-emoji";
import { Fragment } from "react";

// Slack's names where they differ from those of the library.
const ALIASES = {
  large_red_square: "🟥",
  large_orange_square: "🟧",
  large_yellow_square: "🟨",
  large_green_square: "🟩",
  large_blue_square: "🟦",
  large_green_circle: "🟢",
  large_yellow_circle: "🟡",
  large_orange_circle: "🟠",
  large_blue_circle: "🔵",
  white_circle: "⚪",
  black_circle: "⚫",
  slack: "💬",
  double_vertical_bar: "⏸️",
  black_square_for_stop: "⏹️",
  hourglass_flowing_sand: "⏳",
  stopwatch: "⏱️",
  thumbsup: "👍",
  thumbsdown: "👎",
};

export const emoji = (name) => ALIASES[name] ?? emojiNamed(name) ?? null;

export function Emoji({ name, sign }) {
  const shown = sign ?? emoji(name);
  if (!shown) return `:${name}:`;
  return (
    <span className="emoji" role="img" aria-label={name.replaceAll("_", " ")} title={`:${name}:`}>
      {shown}
    </span>
  );
}

// Signs of builds' states that are plain characters: shown in the colour of what they stand for.
const SIGNS = { "✓": "good", "✗": "bad", "✘": "bad", "✕": "bad", "◐": "running", "↻": "running", "◌": "quiet", "○": "quiet", "⊘": "quiet" };
const PICTURE = /((?:\p{Extended_Pictographic}(?:\u{FE0F}|\p{Emoji_Modifier})?)(?:\u{200D}\p{Extended_Pictographic}\u{FE0F}?)*|[\u{1F1E6}-\u{1F1FF}]{2}|[✓✗✘✕◐↻◌○⊘])/u;
const NO_PICTURE = /^[©®™‼⁉↔-↪]$/u;

// Plain text as React nodes, its emoji characters and signs coloured.
export function withSigns(text) {
  const parts = text.split(PICTURE);
  if (parts.length === 1) return text;
  return parts.map((part, number) => {
    if (number % 2 === 0 || NO_PICTURE.test(part)) return <Fragment key={number}>{part}</Fragment>;
    if (SIGNS[part]) return <span key={number} className={`sign-${SIGNS[part]}`}>{part}</span>;
    // The variation selector asks for the coloured form where a character has a plain one too.
    return <span key={number} className="emoji">{part.endsWith("\u{FE0F}") || part.length > 2 ? part : `${part}\u{FE0F}`}</span>;
  });
}
