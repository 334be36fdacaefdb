import type { FrontierPoint } from '../../coordinator/types.ts';
import { Drawing } from '../drawing.tsx';
import { integer, percent, short } from '../format.ts';
import { ticks } from '../timeline.ts';

interface FrontierChartProps {
  points: readonly FrontierPoint[];
  /** The one that tuning chose. */
  best: FrontierPoint;
  isChosen: (point: FrontierPoint) => boolean;
  onChoose: (point: FrontierPoint) => void;
}

const [HEIGHT, LEFT, BOTTOM, EDGE] = [220, 52, 36, 16];

const speed = ({ microsecondsPerQuery }: FrontierPoint): number => 1e6 / microsecondsPerQuery;

/** Speed over recall. Every point is a button. */
export function FrontierChart({ points: frontier, best, isChosen, onChoose }: FrontierChartProps) {
  // What was chosen need not be one of them: of two settings it is the leaner one, even where the clock of a busy machine says otherwise.
  const chosen = frontier.some((point) => isSame(point, best)) ? [] : [best];
  const points = [...frontier, ...chosen].sort((a, b) => a.recall - b.recall);
  const recalls = points.map(({ recall }) => recall);
  const [least, most] = [Math.min(...recalls), Math.max(...recalls)];
  const spread = Math.max(most - least, 0.001);
  const fastest = Math.max(...points.map(speed));
  const y = (qps: number): number => EDGE + (HEIGHT - BOTTOM - EDGE) * (1 - qps / (fastest * 1.05));
  return (
    <Drawing height={HEIGHT} label="Frontier: a button for each setting" hasParts>
      {(width) => {
        const x = (recall: number): number => LEFT + EDGE + ((width - LEFT - 2 * EDGE) * (recall - least)) / spread;
        // Points lie upon each other: a pointer means the one that it is nearest to.
        const nearest = ({ offsetX, offsetY }: MouseEvent): FrontierPoint => {
          const away = (point: FrontierPoint): number =>
            Math.hypot(x(point.recall) - offsetX, y(speed(point)) - offsetY);
          return points.reduce((best, point) => (away(point) < away(best) ? point : best));
        };
        return (
          <>
            {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: nothing in it takes the focus; each button has its numbers */}
            <g aria-hidden="true">
              {ticks(0, fastest, 4).map((qps) => (
                <g key={qps}>
                  <line class="grid" x1={LEFT} x2={width - 4} y1={y(qps)} y2={y(qps)} />
                  <text class="mark" x={LEFT - 6} y={y(qps) + 4} text-anchor="end">
                    {short(qps)}
                  </text>
                </g>
              ))}
              {ticks(least, least + spread, width > 450 ? 7 : 4).map((recall) => (
                <text key={recall} class="mark" x={x(recall)} y={HEIGHT - BOTTOM + 15} text-anchor="middle">
                  {percent(recall)}
                </text>
              ))}
              <text class="mark" x={(LEFT + width) / 2} y={HEIGHT - 4} text-anchor="middle">
                recall; height: queries per second
              </text>
              <polyline class="line" points={frontier.map((one) => `${x(one.recall)},${y(speed(one))}`).join(' ')} />
            </g>
            {points.map((point) => (
              <Point
                key={`${point.numLeavesToSearch} ${point.numReorderingCandidates}`}
                point={point}
                x={x(point.recall)}
                y={y(speed(point))}
                isBest={isSame(point, best)}
                isChosen={isChosen(point)}
                onChoose={onChoose}
                onClick={(event) => onChoose(event.detail === 0 ? point : nearest(event))}
              />
            ))}
          </>
        );
      }}
    </Drawing>
  );
}

const isSame = (a: FrontierPoint, b: FrontierPoint): boolean =>
  a.numLeavesToSearch === b.numLeavesToSearch && a.numReorderingCandidates === b.numReorderingCandidates;

interface PointProps {
  point: FrontierPoint;
  x: number;
  y: number;
  isBest: boolean;
  isChosen: boolean;
  onChoose: (point: FrontierPoint) => void;
  onClick: (event: MouseEvent) => void;
}

function Point({ point, x, y, isBest, isChosen, onChoose, onClick }: PointProps) {
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
      tabindex={0}
      aria-label={label}
      aria-pressed={isChosen}
      onClick={onClick}
      onKeyDown={onKeyDown}
    >
      <circle class="target" cx={x} cy={y} r={12} />
      <circle class="dot" cx={x} cy={y} r={5} />
      <title>{label}</title>
    </g>
  );
}
