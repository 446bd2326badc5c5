// What the page asks of the local Slack and of the CI systems' controls.
import { useCallback, useEffect, useRef, useState } from "react";
import { setClock } from "./clock.js";

export async function request(path, options = {}) {
  const response = await fetch(path, {
    ...options,
    headers: options.body ? { "Content-Type": "application/json" } : {},
  });
  const text = await response.text();
  try {
    return { status: response.status, ...JSON.parse(text) };
  } catch {
    return { status: response.status, ok: false, error: text || `status ${response.status}` };
  }
}

export const post = (path, body) => request(path, { method: "POST", body: JSON.stringify(body) });

const FAILURES = {
  operation_timeout: "Buildbell did not answer within three seconds (operation_timeout).",
  dispatch_failed: "Buildbell could not be reached or refused the request (dispatch_failed).",
};

export const failure = (error) => FAILURES[error] ?? error;

// Everything `user` sees, read again at each change that the stream reports.
export function useWorkspace(user) {
  const [state, setState] = useState(null);
  const [connected, setConnected] = useState(true);
  const asked = useRef(0);

  const refresh = useCallback(async () => {
    const turn = ++asked.current;
    const answer = await request(`/ui/state${user ? `?user=${user}` : ""}`).catch(() => null);
    if (!answer || turn !== asked.current) return;
    if (answer.now) setClock(answer.now);
    setState(answer);
  }, [user]);

  useEffect(() => {
    refresh();
    const stream = new EventSource("/ui/stream");
    stream.onmessage = refresh;
    stream.onopen = () => setConnected(true);
    stream.onerror = () => setConnected(false);
    return () => stream.close();
  }, [refresh]);

  return { state: state && (!user || state.me === user) ? state : null, refresh, connected };
}

// What the CI systems' side looks like; null while unknown, false where there is none.
export function useSystems(active) {
  const [systems, setSystems] = useState(null);
  const refresh = useCallback(async () => {
    const found = await request("/control/state").catch(() => ({ status: 0 }));
    setSystems(found.systems ? found : false);
    return Boolean(found.systems);
  }, []);
  useEffect(() => {
    if (!active) return undefined;
    let stopped = false;
    let timer;
    const turn = async () => {
      const there = await refresh();
      if (!stopped) timer = setTimeout(turn, there ? 1500 : 10000);
    };
    turn();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [active, refresh]);
  return { systems, refresh };
}
