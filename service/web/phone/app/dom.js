// Elements and screens. No text becomes HTML: whatever a relying party sends stays text.

// h makes an element: attributes, listeners ("onclick") and children, which are nodes, texts or
// lists; what is false or null is left out.
export function h(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? '' : value);
  }
  e.append(...children.flat().filter(c => c != null && c !== false && c !== ''));
  return e;
}

let leave = () => {};

// show replaces the screen. What the old one has left (a camera, a countdown) it gave to onleave.
export function show(title, ...nodes) {
  leave();
  leave = () => {};
  document.title = `${title} – Tandem`;
  const heading = h('h1', { tabindex: '-1' }, title);
  document.getElementById('main').replaceChildren(heading, ...nodes.flat().filter(Boolean));
  heading.focus({ preventScroll: true });
  scrollTo(0, 0);
}

export function onleave(f) {
  const before = leave;
  leave = () => { before(); f(); };
}

// button calls f once at a time.
export function button(text, f, kind = '') {
  const b = h('button', { type: 'button', class: kind }, text);
  b.addEventListener('click', async () => {
    b.disabled = true;
    try { await f(); } finally { b.disabled = false; }
  });
  return b;
}

// countdown writes how long there is until a moment of Date.now, and calls over at its end.
export function countdown(until, write, over = () => {}) {
  const tick = () => {
    const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    write(clock(left));
    if (left === 0) { clearInterval(timer); over(); }
  };
  const timer = setInterval(tick, 1000);
  onleave(() => clearInterval(timer));
  tick();
}

// clock is 3:07, or 2:03:07.
export function clock(seconds) {
  const two = n => String(n).padStart(2, '0');
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
