// The top view of the stack of modals.
import { useEffect, useRef, useState } from "react";
import { failure, post } from "./api.js";
import { Blocks } from "./blocks.jsx";
import { Bell } from "./message.jsx";
import { Dialog, useSurface } from "./surface.jsx";
import { plain } from "./text.jsx";

export function Modal({ view, depth, me, tell, confirm }) {
  const [errors, setErrors] = useState({});
  const [failed, setFailed] = useState("");
  const [sending, setSending] = useState(false);
  const form = useRef(null);
  const ctx = useSurface({ user: me, place: { view_id: view.id }, kept: view.state.values, errors, tell, confirm, disabled: false });

  useEffect(() => {
    setErrors({});
    setFailed("");
  }, [view.hash]);
  useEffect(() => {
    if (Object.keys(errors).length) form.current?.querySelector("[aria-invalid=true]")?.focus();
  }, [errors]);

  const submit = async (event) => {
    event.preventDefault();
    setSending(true);
    setFailed("");
    const answer = await post("/ui/submit", { user: me, view_id: view.id, state: ctx.chosen });
    setSending(false);
    setErrors(answer.errors ?? {});
    if (!answer.ok && !answer.errors) setFailed(`We had some trouble connecting. Try again? ${failure(answer.error)}`);
  };
  const close = async (clear) => {
    const answer = await post("/ui/close", { user: me, view_id: view.id, clear });
    if (!answer.ok) tell(failure(answer.error), "error");
  };

  return (
    <Dialog label={plain(view.title)} className="modal" onClose={() => close(false)}>
      <form ref={form} onSubmit={submit} noValidate>
        <header>
          <span className="app" aria-hidden="true"><Bell /></span>
          <h2>{plain(view.title)}</h2>
          <button type="button" className="icon" aria-label="Close" onClick={() => close(true)}>×</button>
        </header>
        <div className="content">
          {failed && <p className="alert error" role="alert">{failed}</p>}
          <Blocks blocks={view.blocks} ctx={ctx} />
        </div>
        <footer>
          <button type="button" className="button" onClick={() => close(false)}>{view.close ? plain(view.close) : depth > 1 ? "Back" : "Cancel"}</button>
          {view.submit && <button type="submit" className="button filled primary" disabled={sending} aria-busy={sending}>{plain(view.submit)}</button>}
        </footer>
      </form>
    </Dialog>
  );
}
