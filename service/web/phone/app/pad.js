// The PIN pad: digits, Cancel at the bottom left, and a keyboard that works as well.
import { h } from './dom.js';

const least = 4, most = 12;

// The pad that is shown gets the keys. Nothing but its element keeps it, or what was typed.
addEventListener('keydown', event => document.querySelector('main .pad')?.typed(event));

// pad returns the pad's nodes. enter(digits) is called with 4 to 12 digits; the pad is empty again
// then, and takes nothing until the promise is settled.
export function pad(t, { enter, cancel, note }) {
  let digits = [], busy = false;
  const dots = h('div', { class: 'dots', role: 'img' });
  const message = h('p', { class: note ? 'error' : 'hidden', role: 'alert' }, note);
  const ok = h('button', { type: 'button', class: 'ok', onclick: () => done() }, t('pad.ok'));
  const draw = () => {
    dots.replaceChildren(...Array.from({ length: Math.max(least, digits.length) }, (_, i) => h('span', { class: i < digits.length && 'full' })));
    dots.setAttribute('aria-label', t('pad.typed', digits.length));
    ok.disabled = busy || digits.length < least;
  };
  const add = d => { if (!busy && digits.length < most) { digits.push(d); draw(); } };
  const back = () => { if (!busy) { digits.pop(); draw(); } };
  const done = async () => {
    if (busy || digits.length < least) return;
    busy = true;
    const typed = digits.join('');
    digits = [];
    draw();
    try { await enter(typed); } finally { busy = false; draw(); }
  };
  const key = d => h('button', { type: 'button', onclick: () => add(d) }, d);
  const keys = h('div', { class: 'pad', role: 'group', 'aria-label': t('pad.label') },
    ...'123456789'.split('').map(key),
    h('button', { type: 'button', class: 'word plain', onclick: () => { if (!busy) cancel(); } }, t('cancel')),
    key('0'),
    h('button', { type: 'button', class: 'word', 'aria-label': t('pad.back'), onclick: back }, '⌫'),
    ok);
  keys.typed = event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (/^[0-9]$/.test(event.key)) add(event.key);
    else if (event.key === 'Backspace') back();
    else if (event.key === 'Escape') { if (!busy) cancel(); }
    else if (event.key === 'Enter' && event.target.tagName !== 'BUTTON') done();
    else return;
    event.preventDefault();
  };
  draw();
  return [message, dots, keys];
}
