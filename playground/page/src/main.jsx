import { createRoot } from "react-dom/client";
import "slack-blocks-to-jsx/dist/style.css";
import { App } from "./app.jsx";
import "./style.css";

createRoot(document.getElementById("root")).render(<App />);
