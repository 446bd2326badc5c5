// The playground's clock, which the panel can move ahead: the browser's own is off by as much.
import { useSyncExternalStore } from "react";

const MINUTE = 60000;
let ahead = 0;
const waiting = new Set();

// Milliseconds since 1970, like Date.now().
export const now = () => Date.now() + ahead;

// Take over the server's time, in seconds since 1970.
export const setClock = (seconds) => {
  const moved = seconds * 1000 - Date.now();
  const jumped = Math.abs(moved - ahead) > 1000;
  ahead = moved;
  if (jumped) waiting.forEach((wake) => wake());
};

const subscribe = (wake) => {
  waiting.add(wake);
  const timer = setInterval(wake, MINUTE / 4);
  return () => {
    waiting.delete(wake);
    clearInterval(timer);
  };
};

// Draw again whenever another minute has begun, or the clock has been moved.
export const useMinute = () => useSyncExternalStore(subscribe, () => Math.floor(now() / MINUTE));
