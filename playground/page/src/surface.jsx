// What a message, a modal and the App Home have in common: values typed or chosen, acts sent to the bot.
import { useCallback, useEffect, useRef, useState } from "react";
import { failure, post } from "./api.js";
import { initialOf, memberOf } from "./controls.jsx";
import { Text, plain } from "./text.jsx";

export function useSurface({ user, place, kept = {}, errors, tell, confirm, disabled }) {
  const [chosen, setChosen] = useState({});
  const [busy, setBusy] = useState("");
  const latest = useRef(chosen);
  latest.current = chosen;

  const set = (block, element, choice) => {
    const entry = { type: element.type, [memberOf(element)]: choice };
    latest.current = { ...latest.current, [block.block_id]: { ...latest.current[block.block_id], [element.action_id]: entry } };
    setChosen(latest.current);
  };
  const value = (block, element) => {
    const member = memberOf(element);
    const entry = latest.current[block.block_id]?.[element.action_id] ?? kept[block.block_id]?.[element.action_id];
    return entry && member in entry ? entry[member] : initialOf(element);
  };
  const agreed = async (element, choice) => !element.confirm || (await confirm(element.confirm)) || (choice, false);
  const send = async (block, element, choice) => {
    setBusy(`${block.block_id}/${element.action_id}`);
    const answer = await post("/ui/action", { user, ...place, action_id: element.action_id, block_id: block.block_id, choice, state: latest.current });
    setBusy("");
    if (!answer.ok) tell(failure(answer.error), "error");
  };
  return {
    chosen,
    busy,
    errors,
    disabled,
    value,
    choose: async (block, element, choice) => {
      const typed = memberOf(element) === "value";
      const acts = block.type !== "input" || block.dispatch_action;
      if (acts && !typed && !(await agreed(element, choice))) return;
      set(block, element, choice);
      if (acts && !typed) await send(block, element, choice);
    },
    act: async (block, element, choice) => {
      if (!(await agreed(element, choice))) return;
      await send(block, element, choice);
    },
    options: (block, element, query) =>
      post("/ui/options", { user, ...place, action_id: element.action_id, block_id: block.block_id, value: query, state: latest.current }),
  };
}

// A native dialog: it keeps the focus inside and closes on Escape.
export function Dialog({ label, role = "dialog", onClose, children, className = "" }) {
  const box = useRef(null);
  useEffect(() => {
    const dialog = box.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={box}
      role={role}
      aria-label={label}
      className={className}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      {children}
    </dialog>
  );
}

export function useConfirm() {
  const [asked, setAsked] = useState(null);
  const confirm = useCallback((what) => new Promise((resolve) => setAsked({ what, resolve })), []);
  const answer = (yes) => {
    asked.resolve(yes);
    setAsked(null);
  };
  const dialog = asked && (
    <Dialog label={plain(asked.what.title)} role="alertdialog" className="confirm" onClose={() => answer(false)}>
      <h2>{plain(asked.what.title)}</h2>
      <p>
        <Text of={asked.what.text} />
      </p>
      <footer>
        <button type="button" className="button" onClick={() => answer(false)}>
          {plain(asked.what.deny)}
        </button>
        <button type="button" className={`button filled ${asked.what.style ?? "primary"}`} autoFocus onClick={() => answer(true)}>
          {plain(asked.what.confirm)}
        </button>
      </footer>
    </Dialog>
  );
  return { confirm, dialog };
}
