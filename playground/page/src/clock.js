// The playground's clock, which the panel can move ahead: the browser's own is off by as much.
let ahead = 0;

// Take over the server's time, in seconds since 1970.
export const setClock = (seconds) => {
  ahead = seconds * 1000 - Date.now();
};

// Milliseconds since 1970, like Date.now().
export const now = () => Date.now() + ahead;
