// The words, in the language of the cookie that all pages share, else the browser's.
export const languages = { en: 'English', et: 'Eesti', lv: 'Latviešu', lt: 'Lietuvių' };

const cookie = 'tandem-lang';

function chosen() {
  const found = document.cookie.match(/(?:^|; )tandem-lang=([a-z]{2})/)?.[1];
  const wanted = [found, ...navigator.languages.map(l => l.slice(0, 2).toLowerCase())];
  return wanted.find(l => Object.hasOwn(languages, l)) ?? 'en';
}

export const language = chosen();
document.documentElement.lang = language;

const table = await (await fetch(`texts/${language}.json`)).json();

// t is a text; {0}, {1} in it are its arguments.
export function t(key, ...args) {
  const text = Object.hasOwn(table, key) ? table[key] : key;
  return text.replace(/\{(\d)\}/g, (_, i) => args[i]);
}

export const known = key => Object.hasOwn(table, key);

export function choose(code) {
  document.cookie = `${cookie}=${code}; path=/; max-age=31536000; samesite=lax${location.protocol === 'https:' ? '; secure' : ''}`;
  location.reload();
}

export const day = seconds => new Intl.DateTimeFormat(language, { dateStyle: 'medium' }).format(seconds * 1000);
export const moment = seconds => new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(seconds * 1000);
