import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { App } from './app.tsx';
import { startTheme } from './theme.ts';

startTheme();
render(<App />, document.getElementById('console')!);
