// The table block, and the data_table block that can be sorted and leafed through.
import { useState } from "react";
import { withSigns } from "./emoji.jsx";
import { RichText } from "./rich_text.jsx";

const PAGE_SIZE = 5;

function Cell({ cell }) {
  if (cell.type === "rich_text") return <RichText block={cell} />;
  if (cell.type === "raw_number") return cell.text ?? String(cell.value);
  return withSigns(cell.text ?? "");
}

const plainOf = (cell) => cell.text ?? (cell.elements ?? []).flatMap((part) => (part.elements ?? []).map((it) => it.text ?? "")).join("");

function compare(one, other) {
  if (one.type === "raw_number" && other.type === "raw_number") return one.value - other.value;
  return plainOf(one).localeCompare(plainOf(other), undefined, { numeric: true });
}

const aligned = (settings, cell) => ({ textAlign: settings?.align ?? (cell.type === "raw_number" ? "right" : undefined), whiteSpace: settings?.is_wrapped === false ? "nowrap" : undefined });

export function Table({ block }) {
  const settings = block.column_settings ?? [];
  return (
    <div className="table">
      <table>
        <tbody>
          {block.rows.map((row, number) => (
            <tr key={number} className={number === 0 ? "head" : ""}>
              {row.map((cell, column) => <td key={column} style={aligned(settings[column], cell)}><Cell cell={cell} /></td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function DataTable({ block }) {
  const [head, ...body] = block.rows;
  const [sort, setSort] = useState({ column: -1, down: false });
  const [page, setPage] = useState(0);
  const size = block.page_size ?? PAGE_SIZE;
  const rows = sort.column < 0 ? body : body.toSorted((one, other) => compare(one[sort.column], other[sort.column]) * (sort.down ? -1 : 1));
  const shown = rows.slice(page * size, page * size + size);
  const order = (column) => {
    setSort((before) => ({ column, down: before.column === column && !before.down }));
    setPage(0);
  };
  return (
    <div className="table">
      <table>
        <caption>{block.caption}</caption>
        <thead>
          <tr>
            {head.map((cell, column) => (
              <th key={column} scope="col" aria-sort={sort.column !== column ? "none" : sort.down ? "descending" : "ascending"}>
                <button type="button" onClick={() => order(column)}>
                  <Cell cell={cell} /> <span aria-hidden="true">{sort.column !== column ? "↕" : sort.down ? "↓" : "↑"}</span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, number) => (
            <tr key={number}>
              {row.map((cell, column) => {
                const Tag = column === block.row_header_column_index ? "th" : "td";
                return <Tag key={column} scope={Tag === "th" ? "row" : undefined} style={aligned(undefined, cell)}><Cell cell={cell} /></Tag>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {body.length > size && (
        <div className="pager">
          <span>{page * size + 1}–{Math.min(body.length, page * size + size)} of {body.length}</span>
          <button type="button" className="icon" aria-label="Previous rows" disabled={page === 0} onClick={() => setPage(page - 1)}>‹</button>
          <button type="button" className="icon" aria-label="Next rows" disabled={(page + 1) * size >= body.length} onClick={() => setPage(page + 1)}>›</button>
        </div>
      )}
    </div>
  );
}
