// The data_visualization block: bar, line, area and pie charts as SVG.
const COLORS = ["#1d6fe0", "#17a06b", "#d98b06", "#8d5bd1", "#d0456b", "#3aa7b8"];
const WIDTH = 560;
const HEIGHT = 240;
const EDGE = { left: 46, right: 12, top: 12, bottom: 42 };

// Round steps between the smallest and the largest value, zero among them.
function ticks(values) {
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const rough = (high - low || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= rough);
  const first = Math.floor(low / step);
  const count = Math.max(1, Math.ceil(high / step) - first);
  return Array.from({ length: count + 1 }, (_, number) => Number(((first + number) * step).toPrecision(12)));
}

const number = (value) => value.toLocaleString(undefined, { maximumFractionDigits: 2 });

function Legend({ names }) {
  return (
    <ul className="legend">
      {names.map((name, at) => <li key={name}><i style={{ background: COLORS[at % COLORS.length] }} />{name}</li>)}
    </ul>
  );
}

function Axes({ chart }) {
  const { categories, x_label: xLabel, y_label: yLabel } = chart.axis_config;
  const valueOf = (series, category) => series.data.find((it) => it.label === category)?.value ?? null;
  const steps = ticks(chart.series.flatMap((series) => series.data.map((it) => it.value)));
  const [low, high] = [steps[0], steps.at(-1)];
  const inner = { width: WIDTH - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const band = inner.width / categories.length;
  const x = (at) => EDGE.left + band * (at + 0.5);
  const y = (value) => EDGE.top + inner.height * (1 - (value - low) / (high - low));
  const wide = categories.length > 10 ? Math.ceil(categories.length / 10) : 1;
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      {steps.map((step) => (
        <g key={step}>
          <line className="grid" x1={EDGE.left} x2={WIDTH - EDGE.right} y1={y(step)} y2={y(step)} />
          <text x={EDGE.left - 6} y={y(step) + 4} textAnchor="end">{number(step)}</text>
        </g>
      ))}
      {categories.map((category, at) => at % wide === 0 && <text key={category} x={x(at)} y={HEIGHT - EDGE.bottom + 16} textAnchor="middle">{category}</text>)}
      {xLabel && <text className="axis" x={EDGE.left + inner.width / 2} y={HEIGHT - 6} textAnchor="middle">{xLabel}</text>}
      {yLabel && <text className="axis" transform={`translate(11 ${EDGE.top + inner.height / 2}) rotate(-90)`} textAnchor="middle">{yLabel}</text>}
      {chart.series.map((series, which) => {
        const color = COLORS[which % COLORS.length];
        const points = categories.map((category, at) => ({ at, value: valueOf(series, category) })).filter((it) => it.value !== null);
        if (chart.type === "bar") {
          const width = (band * 0.7) / chart.series.length;
          return points.map(({ at, value }) => (
            <rect key={`${which}-${at}`} fill={color} rx="2" x={x(at) - band * 0.35 + which * width} width={Math.max(1, width - 2)} y={Math.min(y(value), y(0))} height={Math.max(1, Math.abs(y(value) - y(0)))}>
              <title>{`${series.name}, ${categories[at]}: ${number(value)}`}</title>
            </rect>
          ));
        }
        const path = points.map(({ at, value }) => `${x(at)},${y(value)}`).join(" ");
        return (
          <g key={series.name}>
            {chart.type === "area" && points.length > 0 && <polygon fill={color} opacity="0.18" points={`${x(points[0].at)},${y(0)} ${path} ${x(points.at(-1).at)},${y(0)}`} />}
            <polyline fill="none" stroke={color} strokeWidth="2.2" strokeLinejoin="round" points={path} />
            {points.map(({ at, value }) => (
              <circle key={at} cx={x(at)} cy={y(value)} r="3.2" fill={color}><title>{`${series.name}, ${categories[at]}: ${number(value)}`}</title></circle>
            ))}
          </g>
        );
      })}
    </svg>
  );
}

function Pie({ segments }) {
  const total = segments.reduce((sum, it) => sum + it.value, 0);
  const round = 2 * Math.PI * 40;
  let before = 0;
  return (
    <svg className="pie" viewBox="0 0 160 160" aria-hidden="true">
      {segments.map((segment, at) => {
        const share = segment.value / total;
        const turn = before * 360 - 90;
        before += share;
        return (
          <circle key={segment.label} cx="80" cy="80" r="40" fill="none" stroke={COLORS[at % COLORS.length]} strokeWidth="76" strokeDasharray={`${share * round} ${round}`} transform={`rotate(${turn} 80 80)`}>
            <title>{`${segment.label}: ${number(segment.value)}`}</title>
          </circle>
        );
      })}
    </svg>
  );
}

const spoken = (chart) =>
  chart.type === "pie"
    ? chart.segments.map((it) => `${it.label} ${number(it.value)}`).join(", ")
    : chart.series.map((series) => `${series.name}: ${series.data.map((it) => `${it.label} ${number(it.value)}`).join(", ")}`).join("; ");

export function Chart({ block }) {
  const { chart } = block;
  const names = chart.type === "pie" ? chart.segments.map((it) => `${it.label} · ${number(it.value)}`) : chart.series.map((it) => it.name);
  return (
    <figure className={`chart ${chart.type}`} role="img" aria-label={`${block.title}. ${spoken(chart)}`}>
      <figcaption>{block.title}</figcaption>
      {chart.type === "pie" ? <Pie segments={chart.segments} /> : <Axes chart={chart} />}
      {(chart.type === "pie" || names.length > 1) && <Legend names={names} />}
    </figure>
  );
}
