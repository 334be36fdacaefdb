import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parser } from '@prometheus-io/lezer-promql';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Index } from '../../src/index.ts';
import { createServer } from '../../src/server/index.ts';

interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly datasource: { type: string; uid: string };
}
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { type: string; uid: string };
  readonly gridPos: { h: number; w: number; x: number; y: number };
  readonly targets?: Target[];
}
interface Variable {
  readonly name: string;
  readonly type: string;
  readonly definition?: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const text = (path: string): string => readFileSync(join(root, 'container', path), 'utf8');
const dashboard = JSON.parse(text('grafana/dashboards/scannery.json'));
const panels = dashboard.panels as Panel[];
const variables = dashboard.templating.list as Variable[];
const alerts = parse(text('alerts.yml')).groups.flatMap((group: { rules: Alert[] }) => group.rules) as Alert[];
const prometheus = parse(text('prometheus.yml'));

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { severity: string };
  readonly annotations: { summary: string; description: string };
}

/** An expression as Prometheus gets it: Grafana fills its variables in. */
const filled = (expr: string): string =>
  expr.replaceAll('[$__rate_interval]', '[1m]').replaceAll(/\$(job|instance|route)\b/g, 'x');

/** Names of the series that an expression reads. */
function metricsOf(expr: string): string[] {
  const found: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) throw new Error(`not PromQL at ${from}: ${expr}`);
      if (type.name === 'Identifier' && node.parent?.name === 'VectorSelector') found.push(expr.slice(from, to));
    },
  });
  return found;
}

const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr: filled(expr) })));

let exported: Set<string>;

beforeAll(async () => {
  const vectors = Array.from({ length: 20 }, (_, i) => [Math.cos(i), Math.sin(i)]);
  const index = await Index.build({ vectors }, { threads: 1 });
  const server = await createServer(index);
  try {
    const { body } = await server.app.inject('/metrics');
    // What Prometheus itself adds to each scrape.
    exported = new Set(['up']);
    for (const [, name, type] of body.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      for (const part of type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) exported.add(`${name}${part}`);
    }
  } finally {
    await server.close();
    await index.close();
  }
});

const unknown = (expr: string): string[] => metricsOf(expr).filter((name) => !exported.has(name));

describe('the dashboard', () => {
  it('is one that Grafana 11 and later can provision', () => {
    expect(dashboard).toMatchObject({ uid: 'scannery', title: 'scannery' });
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39);
    expect(dashboard.id).toBeUndefined();
  });

  it('has panels with ids, titles and descriptions of their own', () => {
    expect(panels.length).toBeGreaterThan(20);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const shown = panels.filter(({ type }) => type !== 'row');
    expect(shown.filter(({ title, description }) => !title || !description)).toEqual([]);
  });

  it('has targets in every panel, from the data source that is chosen above', () => {
    const source = { type: 'prometheus', uid: '$' + '{datasource}' };
    for (const { datasource, targets } of panels.filter(({ type }) => type !== 'row')) {
      expect(datasource).toEqual(source);
      expect(targets!.length).toBeGreaterThan(0);
      for (const target of targets!) expect(target.datasource).toEqual(source);
      expect(new Set(targets!.map(({ refId }) => refId)).size).toBe(targets!.length);
    }
    expect(variables[0]).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' });
  });

  it('has panels that do not overlap', () => {
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });

  it('declares the variables that it uses', () => {
    const used = new Set(JSON.stringify(panels).match(/(?<=\$\{?)(?!__)[a-z]+/g));
    expect([...used].sort()).toEqual(variables.map(({ name }) => name).sort());
  });

  it.each(queries)('$title: $expr reads what the server exports', ({ expr }) => {
    expect(metricsOf(expr).length).toBeGreaterThan(0);
    expect(unknown(expr)).toEqual([]);
  });

  it('takes the values of its variables from what the server exports', () => {
    const definitions = variables.flatMap(({ definition }) => definition ?? []);
    const selectors = definitions.map((definition) => /^label_values\((.*), \w+\)$/.exec(definition)![1]!);
    expect(selectors.length).toBe(3);
    expect(selectors.flatMap((selector) => unknown(filled(selector)))).toEqual([]);
  });
});

describe('the alerts', () => {
  it('are these', () => {
    expect(alerts.map(({ alert }) => alert)).toEqual([
      'ScanneryDown',
      'ScanneryLatencyHigh',
      'ScanneryRecallLow',
      'ScanneryOverloaded',
      'ScanneryWorkerRestarts',
    ]);
  });

  it.each(alerts)('$alert reads what the server exports, and says what is wrong', ({ expr, labels, annotations }) => {
    expect(metricsOf(expr).length).toBeGreaterThan(0);
    expect(unknown(expr)).toEqual([]);
    expect(['critical', 'warning']).toContain(labels.severity);
    expect(annotations.summary).toContain('$labels.instance');
    expect(annotations.description.length).toBeGreaterThan(20);
  });

  it('are about the job that Prometheus scrapes', () => {
    const jobs = alerts.flatMap(({ expr }) => [...expr.matchAll(/job="(\w+)"/g)].map((match) => match[1]));
    expect(new Set(jobs)).toEqual(new Set(prometheus.scrape_configs.map((job: { job_name: string }) => job.job_name)));
  });
});

describe('the parts', () => {
  it('name each other as compose.yaml does', () => {
    const { services } = parse(readFileSync(join(root, 'compose.yaml'), 'utf8'));
    const targets = prometheus.scrape_configs.flatMap((job: { static_configs: { targets: string[] }[] }) =>
      job.static_configs.flatMap((config) => config.targets),
    );
    const [source] = parse(text('grafana/provisioning/datasources/prometheus.yml')).datasources;
    for (const host of [...targets, new URL(source.url).host]) expect(services).toHaveProperty(host.split(':')[0]);
    expect(source.jsonData.timeInterval).toBe(prometheus.global.scrape_interval);
  });

  it('are where Prometheus and Grafana look for them', () => {
    const { services } = parse(readFileSync(join(root, 'compose.yaml'), 'utf8'));
    const [provider] = parse(text('grafana/provisioning/dashboards/scannery.yml')).providers;
    expect(services.grafana.volumes).toContain(`./container/grafana/dashboards:${provider.options.path}:ro`);
    expect(prometheus.rule_files).toEqual(['alerts.yml']);
    expect(services.prometheus.volumes).toContain('./container/alerts.yml:/etc/prometheus/alerts.yml:ro');
  });
});
