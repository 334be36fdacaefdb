import type { FrontierPoint } from '../../coordinator/types.ts';
import { integer, percent, short } from '../format.ts';
import { ticks } from '../timeline.ts';

interface FrontierChartProps {
  points: readonly FrontierPoint[];
  /** The one that tuning chose. */
  best: FrontierPoint;
  isChosen: (point: FrontierPoint) => boolean;
  onChoose: (point: FrontierPoint) => void;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, EDGE] = [640, 220, 52, 36, 16];

const speed = ({ microsecondsPerQuery }: FrontierPoint): number => 1e6 / microsecondsPerQuery;

/** Speed over recall. Every point is a button. */
export function FrontierChart({ points, best, isChosen, onChoose }: FrontierChartProps) {
  const recalls = points.map(({ recall }) => recall);
  const [least, most] = [Math.min(...recalls), Math.max(...recalls)];
  const spread = Math.max(most - least, 0.001);
  const fastest = Math.max(...points.map(speed));
  const x = (recall: number): number => LEFT + EDGE + ((WIDTH - LEFT - 2 * EDGE) * (recall - least)) / spread;
  const y = (qps: number): number => EDGE + (HEIGHT - BOTTOM - EDGE) * (1 - qps / (fastest * 1.05));
  return (
    // biome-ignore lint/a11y/useSemanticElements: a drawing is no fieldset
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="group" aria-label="Frontier: a button for each setting">
      {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: nothing in it takes the focus; each button tells its numbers */}
      <g aria-hidden="true">
        {ticks(fastest, 4).map((qps) => (
          <g key={qps}>
            <line class="grid" x1={LEFT} x2={WIDTH - 8} y1={y(qps)} y2={y(qps)} />
            <text class="mark" x={LEFT - 6} y={y(qps) + 4} text-anchor="end">
              {short(qps)}
            </text>
          </g>
        ))}
        {recallMarks(least, least + spread).map((recall) => (
          <text key={recall} class="mark" x={x(recall)} y={HEIGHT - BOTTOM + 15} text-anchor="middle">
            {percent(recall)}
          </text>
        ))}
        <text class="mark" x={(LEFT + WIDTH) / 2} y={HEIGHT - 5} text-anchor="middle">
          recall
        </text>
      </g>
      <polyline class="line" points={points.map((point) => `${x(point.recall)},${y(speed(point))}`).join(' ')} />
      {points.map((point) => (
        <Point
          key={`${point.numLeavesToSearch} ${point.numReorderingCandidates}`}
          point={point}
          x={x(point.recall)}
          y={y(speed(point))}
          isBest={isSame(point, best)}
          isChosen={isChosen(point)}
          onChoose={onChoose}
        />
      ))}
    </svg>
  );
}

const isSame = (a: FrontierPoint, b: FrontierPoint): boolean =>
  a.numLeavesToSearch === b.numLeavesToSearch && a.numReorderingCandidates === b.numReorderingCandidates;

const recallMarks = (least: number, most: number): number[] =>
  ticks(most - least, 4).map((distance) => least + distance);

interface PointProps {
  point: FrontierPoint;
  x: number;
  y: number;
  isBest: boolean;
  isChosen: boolean;
  onChoose: (point: FrontierPoint) => void;
}

function Point({ point, x, y, isBest, isChosen, onChoose }: PointProps) {
  const label =
    `${integer(point.numLeavesToSearch)} leaves, ${integer(point.numReorderingCandidates)} candidates: ` +
    `recall ${percent(point.recall)}, ${integer(speed(point))} queries per second${isBest ? ', the default' : ''}`;
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onChoose(point);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: HTML's button cannot be part of a drawing
    <g
      class={`point${isBest ? ' best' : ''}`}
      role="button"
      tabIndex={0}
      aria-label={label}
      aria-pressed={isChosen}
      onClick={() => onChoose(point)}
      onKeyDown={onKeyDown}
    >
      <circle class="target" cx={x} cy={y} r={12} />
      <circle class="dot" cx={x} cy={y} r={5} />
      <title>{label}</title>
    </g>
  );
}
