import { create } from 'zustand';
import { persist } from 'zustand/middleware';

export type Theme = 'system' | 'day' | 'night';

interface UiState {
  /** `system` follows the device. Kept on this device; public/theme.js reads it before the first paint. */
  theme: Theme;
  /** The live tail stands still because a person said so. */
  livePaused: boolean;
  setTheme: (theme: Theme) => void;
  setLivePaused: (paused: boolean) => void;
}

/** What belongs to this person at this screen. Server data is in Apollo's cache, filters are in the URL. */
export const useUiStore = create<UiState>()(
  persist(
    (set) => ({
      theme: 'system',
      livePaused: false,
      setTheme: (theme) => {
        set({ theme });
      },
      setLivePaused: (livePaused) => {
        set({ livePaused });
      },
    }),
    { name: 'andon-ui', partialize: ({ theme }) => ({ theme }) },
  ),
);

/** Puts the chosen theme on the document, now and whenever it changes. Returns how to stop. */
export function followTheme(root: HTMLElement = document.documentElement): () => void {
  const apply = ({ theme }: UiState) => {
    if (theme === 'system') delete root.dataset['theme'];
    else root.dataset['theme'] = theme;
  };
  apply(useUiStore.getState());
  return useUiStore.subscribe(apply);
}
