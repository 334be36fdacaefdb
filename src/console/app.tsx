import { useEffect, useState } from 'preact/hooks';
import { hasToken, type SearchAnswer } from './api.ts';
import { Header } from './header.tsx';
import { ExplainPanel } from './panels/explain.tsx';
import { FrontierPanel } from './panels/frontier.tsx';
import { LeavesPanel } from './panels/leaves.tsx';
import { LivePanel } from './panels/live.tsx';
import { SearchPanel } from './panels/search.tsx';
import { NO_SETTINGS, type Settings } from './settings.ts';
import { SignIn } from './sign-in.tsx';
import { useLive } from './use-live.ts';

export function App() {
  const [isOn, setOn] = useState(true);
  const [signIns, setSignIns] = useState(0);
  const [settings, setSettings] = useState<Settings>(NO_SETTINGS);
  const [explanation, setExplanation] = useState<SearchAnswer['explanation']>();
  const live = useLive(isOn);
  const { stats, error } = live;

  // Without a token the server takes, there is no use in asking on.
  useEffect(() => {
    if (error?.status === 401) setOn(false);
  }, [error]);
  const signedIn = (): void => {
    setSignIns(signIns + 1);
    setOn(true);
  };

  return (
    <>
      <a class="skip" href="#search">
        Skip to the search
      </a>
      <Header stats={stats} hasToken={hasToken() && isOn} />
      {!isOn && <SignIn wasRefused={hasToken()} onToken={signedIn} />}
      {isOn && error !== undefined && (
        <p class="notice error" role="alert">
          <strong>{error.failure.code}</strong> {error.message}
        </p>
      )}
      <main class="panels">
        <div class="column">
          <SearchPanel stats={stats} settings={settings} onSettings={setSettings} onExplanation={setExplanation} />
          <ExplainPanel explanation={explanation} />
        </div>
        <div class="column">
          <LivePanel points={live.points} />
          <LeavesPanel key={`leaves ${signIns}`} isReady={stats !== undefined} />
          <FrontierPanel key={`frontier ${signIns}`} stats={stats} settings={settings} onSettings={setSettings} />
        </div>
      </main>
    </>
  );
}
