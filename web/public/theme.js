// Sets the chosen theme before the first paint. A file of its own, because the content security policy allows no inline script.
// The key and the values are those of src/lib/ui-store.ts.
try {
  var theme = JSON.parse(localStorage.getItem('andon-ui') || '{}').state?.theme;
  if (theme === 'day' || theme === 'night') document.documentElement.dataset.theme = theme;
} catch {
  // No storage, or nothing readable in it: the system's preference decides.
}
