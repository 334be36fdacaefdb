import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

interface DrawingProps {
  height: number;
  label: string;
  /** Whether it has parts that can be used, rather than being one picture. */
  hasParts?: boolean;
  /** Draws for a width in pixels, so that text is as large on every screen. */
  children: (width: number) => ComponentChildren;
}

/** A drawing as wide as its place. */
export function Drawing({ height, label, hasParts = false, children }: DrawingProps) {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);
  return (
    <div ref={place} class="drawing">
      {width > 0 && (
        <svg width={width} height={height} role={hasParts ? 'group' : 'img'} aria-label={label}>
          {children(width)}
        </svg>
      )}
    </div>
  );
}
