// Runs before the first paint, so that a dark page never flashes white. The same keys as in stores/preferences.ts.
(function () {
  var theme = null, language = null;
  try {
    theme = localStorage.getItem('switchyard.theme');
    language = localStorage.getItem('switchyard.language');
  } catch (_) { /* Storage is off: the defaults hold. */ }
  var dark = theme === 'dark' || (theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.classList.toggle('dark', dark);
  if (language) document.documentElement.lang = language;
})();
