// The CI systems' side: push commits, decide how builds end, answer approvals, move the clock, simulate faults.
import { cloneElement, useId, useState } from "react";
import { post, request, useSystems } from "./api.js";
import { Menu } from "./controls.jsx";
import { COPY, Icon } from "./icons.jsx";
import { dateText } from "./text.jsx";

const OUTCOMES = { pass: "Pass", fail: "Fail", test_failure: "Fail a test", warnings: "Pass with warnings", error: "Error", timeout: "Time out" };
const named = (outcome) => OUTCOMES[outcome] ?? outcome;
const FAULTS = { off: "None", 429: "429 Too many requests", 401: "401 Unauthorized", 500: "500 Server error", slow: "Slow answers", malformed: "Broken JSON", drop: "Dropped connections" };
const SLACK_FAULTS = { 429: "429 with Retry-After", 500: "500 Server error", slow: "Slow answer", drop: "Dropped, not done", after: "Dropped, but done" };
const SPEEDS = [0, 1, 5, 20, 60];

function Field({ label, children: control, also }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {cloneElement(control, { id })}
      {also}
    </div>
  );
}

function Push({ system, systems, act }) {
  const [pipeline, setPipeline] = useState(system.pipelines[0]?.pipeline ?? "");
  const current = system.pipelines.find((it) => it.pipeline === pipeline) ?? system.pipelines[0];
  const [branch, setBranch] = useState("");
  const [message, setMessage] = useState("");
  const [author, setAuthor] = useState("");
  const [outcome, setOutcome] = useState("");
  const person = systems.authors?.find((it) => it.email === author);
  const push = (event) => {
    event.preventDefault();
    act("/control/push", {
      system: system.system,
      pipeline: current.pipeline,
      ...(branch ? { branch } : {}),
      ...(message ? { message } : {}),
      ...(person ? { author_name: person.name, author_email: person.email } : {}),
      ...(outcome ? { outcome } : {}),
    }, `Pushed to ${current.pipeline}`);
    setMessage("");
  };
  return (
    <form className="push" onSubmit={push}>
      <Field label="Pipeline">
        <select value={current?.pipeline} onChange={(event) => setPipeline(event.target.value)}>
          {system.pipelines.map((it) => <option key={it.pipeline}>{it.pipeline}</option>)}
        </select>
      </Field>
      <div className="two">
        <Field label="Branch" also={<datalist id="branches">{current?.branches?.map((it) => <option key={it} value={it} />)}</datalist>}>
          <input list="branches" placeholder={current?.default_branch} value={branch} onChange={(event) => setBranch(event.target.value)} />
        </Field>
        <Field label="It will">
          <select value={outcome} onChange={(event) => setOutcome(event.target.value)}>
            <option value="">Surprise me</option>
            {(systems.outcomes ?? []).map((it) => <option key={it} value={it}>{named(it)}</option>)}
          </select>
        </Field>
      </div>
      <Field label="Commit message"><input placeholder="Made up if left empty" value={message} onChange={(event) => setMessage(event.target.value)} /></Field>
      <div className="two">
        <Field label="Author">
          <select value={author} onChange={(event) => setAuthor(event.target.value)}>
            <option value="">Anyone</option>
            {(systems.authors ?? []).map((it) => <option key={it.email} value={it.email}>{it.name}</option>)}
          </select>
        </Field>
        <button type="submit" className="button filled primary">Push a commit</button>
      </div>
    </form>
  );
}

const WORDS = { queued: "Queued", running: "Running", waiting: "Waiting", passed: "Passed", failed: "Failed", canceled: "Cancelled", timeout: "Timed out" };
const SIGNS = { queued: "◌", running: "▶", waiting: "⏸", passed: "✓", failed: "✕", canceled: "⊘", timeout: "⏱" };

function Build({ build, system, systems, act }) {
  const word = build.state === "finished" ? (build.result ?? "finished") : build.state;
  const body = { system: system.system, build: build.id };
  return (
    <li className={`build ${word}`}>
      <span className="sign" aria-hidden="true">{SIGNS[word] ?? "·"}</span>
      <div>
        <a href={build.web_url} target="_blank" rel="noreferrer">#{build.number}</a> <span className="word">{WORDS[word] ?? word}</span> <span className="branch">{build.tag ?? build.branch}</span>
        <small title={build.message}>{build.message}</small>
        {build.state !== "finished" && (
          <small>
            Will {named(build.outcome).toLowerCase()}
            {build.ends_in !== null && build.ends_in !== undefined && ` in ${Math.max(0, Math.round(build.ends_in))} s`}
          </small>
        )}
        {build.approvals?.map((approval) => (
          <span className="approval" key={approval.id}>
            <button type="button" className="button primary" onClick={() => act("/control/approval", { ...body, approve: true }, `Approved ${approval.name}`)}>Approve</button>
            <button type="button" className="button danger" onClick={() => act("/control/approval", { ...body, approve: false }, `Rejected ${approval.name}`)}>Reject</button>
            <small>{approval.name}</small>
          </span>
        ))}
      </div>
      {build.state !== "finished" && (
        <Menu
          label={`Finish #${build.number}`}
          className="button"
          items={(systems.outcomes ?? []).map((it) => ({ key: it, label: `${named(it)} now`, onPick: () => act("/control/finish", { ...body, outcome: it }, `#${build.number} ended`) }))}
        >
          Finish ▾
        </Menu>
      )}
    </li>
  );
}

export function Systems({ state, tell }) {
  const { systems, refresh } = useSystems(true);
  const [picked, setPicked] = useState("");
  const act = async (path, body, said) => {
    const answer = await post(path, body);
    if (answer.status >= 400 || answer.error) tell(answer.error ?? "That did not work", "error");
    else if (said) tell(said);
    refresh();
  };
  const system = systems && (systems.systems.find((it) => it.system === picked) ?? systems.systems[0]);
  return (
    <div className="systems">
      {systems === null && <p className="empty">Looking for the CI systems…</p>}
      {systems === false && <p className="empty">No CI systems run in this playground. Buildbell can be tried all the same.</p>}
      {systems && (
        <>
          <div className="row wrap" role="group" aria-label="Clock">
            <span>Clock <strong>{dateText("{time_secs}", new Date(systems.now).getTime() / 1000, systems.now)}</strong></span>
            <span className="grow" />
            {[[60, "+1 min"], [600, "+10 min"], [3600, "+1 h"]].map(([seconds, label]) => (
              <button type="button" className="button" key={seconds} onClick={() => act("/control/advance", { seconds }, `The clock of the CI systems, Slack and the bot moved ${label}`)}>{label}</button>
            ))}
          </div>
          <div className="row">
            <Field label="Speed">
              <select value={systems.speed} onChange={(event) => act("/control/speed", { factor: Number(event.target.value) })}>
                {[...new Set([...SPEEDS, systems.speed])].sort((a, b) => a - b).map((it) => <option key={it} value={it}>{it === 0 ? "Paused" : `${it}×`}</option>)}
              </select>
            </Field>
            <label className="check">
              <input type="checkbox" checked={Boolean(systems.webhooks?.on)} onChange={(event) => act("/control/webhooks", { on: event.target.checked, bot_url: state.bot_url })} />
              Send webhooks
            </label>
          </div>
          <Field label="CI system">
            <select value={system.system} onChange={(event) => setPicked(event.target.value)}>
              {systems.systems.map((it) => <option key={it.system} value={it.system}>{it.label}</option>)}
            </select>
          </Field>
          {system.pipelines.length > 0
            ? <Push key={system.system} system={system} systems={systems} act={act} />
            : <p className="hint">It has no builds of its own: it hands out those of the other systems.</p>}
          {system.pipelines.map((pipeline) => (
            <section key={pipeline.pipeline} aria-label={pipeline.pipeline}>
              <h3>
                <a href={pipeline.web_url} target="_blank" rel="noreferrer">{pipeline.pipeline}</a>
                <button type="button" className="icon" aria-label={`Copy the address of ${pipeline.pipeline}`} title="Copy its address, to paste after /build link" onClick={() => navigator.clipboard?.writeText(pipeline.web_url).then(() => tell("Address copied"))}><Icon path={COPY} /></button>
              </h3>
              {pipeline.builds.length === 0 && <p className="empty">No builds yet</p>}
              <ul className="builds">
                {pipeline.builds.slice(0, 4).map((build) => <Build key={build.id} build={build} system={system} systems={systems} act={act} />)}
              </ul>
            </section>
          ))}
          <details>
            <summary>Faults</summary>
            <Field label={`Answers of ${system.label}`}>
              <select value={system.fault?.kind ?? "off"} onChange={(event) => act("/control/fault", { system: system.system, kind: event.target.value })}>
                {Object.entries(FAULTS).map(([kind, label]) => <option key={kind} value={kind}>{label}</option>)}
              </select>
            </Field>
          </details>
        </>
      )}
      <details>
        <summary>Faults of Slack</summary>
        <p className="hint">The next call of the bot gets it.</p>
        <div className="row wrap">
          {Object.entries(SLACK_FAULTS).map(([kind, label]) => (
            <button type="button" className="button" key={kind} onClick={() => act("/control/slack/fault", kind === "after" ? { kind: "drop", after: true } : { kind, retry_after: 5 }, `${label}: at the next call`)}>{label}</button>
          ))}
          {state.faults.length > 0 && <button type="button" className="button danger" onClick={() => request("/control/slack/faults", { method: "DELETE" })}>Clear {state.faults.length}</button>}
        </div>
      </details>
    </div>
  );
}

export function Wire({ version }) {
  const [found, setFound] = useState(null);
  const [seen, setSeen] = useState(-1);
  if (seen !== version) {
    setSeen(version);
    request("/ui/calls?last=60").then(setFound);
  }
  const shown = found?.calls ?? [];
  const received = found?.sent ?? [];
  return (
    <div className="wire">
      <h3>Calls of the bot</h3>
      {shown.length === 0 && <p className="empty">None yet</p>}
      {[...shown].reverse().map((call, number) => (
        <details key={shown.length - number}>
          <summary>
            <code>{call.method}</code> {call.error && <span className="refused">{call.error}</span>}
          </summary>
          <pre>{JSON.stringify(call.args, null, 2)}</pre>
        </details>
      ))}
      <h3>Sent to the bot</h3>
      {received.length === 0 && <p className="empty">Nothing yet</p>}
      {[...received].reverse().map((it, number) => (
        <details key={received.length - number}>
          <summary><code>{it.payload.event?.type ?? it.payload.type ?? it.payload.command}</code></summary>
          <pre>{JSON.stringify(it.payload, null, 2)}</pre>
        </details>
      ))}
    </div>
  );
}
