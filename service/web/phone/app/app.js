// The screens of the phone. Each is a function that shows itself; what the phone says is in
// outcomes, which service/mobile lists. The page itself knows nothing that has to be kept.
import { Phone, pin } from './phone.js';
import { h, show, onleave, button, countdown, clock } from './dom.js';
import { pad } from './pad.js';
import { scan, draw } from './scan.js';
import { Stream, Push } from './wake.js';
import { t, known, language, languages, choose, day, moment } from './texts.js';

const config = await (await fetch('phone.json', { cache: 'no-cache' })).text();
const phone = new Phone({ name: 'phone', config });

// call calls an operation. What the browser or the program fails at is the outcome "failed".
async function call(op, args) {
  try {
    return await phone.call(op, args);
  } catch (e) {
    console.error(op, e);
    return { outcome: 'failed', result: { detail: e.message } };
  }
}

const stream = new Stream(phone, call);
const push = new Push(call, JSON.parse(config).push_key);

// forget leaves the phone fresh.
async function forget() {
  await push.end().catch(e => console.warn('push', e));
  await call('forget');
  await begin();
}

// say is an outcome in words.
function say(outcome, result = {}) {
  if (result.lockedSeconds) return t('out.locked', which(result.key), clock(result.lockedSeconds));
  const key = 'out.' + outcome;
  return known(key) ? t(key, result.remaining ?? 0, result.retrySeconds ?? 0) : t('out.failed');
}

const which = key => (key === 'signature' ? 'PIN2' : key === 'authentication' ? 'PIN1' : 'PIN');
const note = (text, kind = 'note') => text && h('p', { class: kind, role: 'status' }, text);
const wait = text => show(text, h('p', { class: 'waiting' }, t('wait')));
const back = () => button(t('back'), home, 'plain big');

// begin shows what an app that starts has to show.
async function begin() {
  const { outcome, result } = await call('status');
  const now = result.now;
  if (outcome === 'damaged' || outcome === 'copied') return dead(outcome, result);
  if (!now) return failure(outcome, result, begin);
  switch (now.phase) {
    case 'fresh': return welcome();
    case 'enrolling': return enrolling();
    case 'dead': return dead('destroyed', result);
  }
  if (now.pending) return resume();
  if (now.shown) return transaction(now.shown);
  const link = takeLink();
  return link ? openLink(link) : home();
}

// takeLink is the device link that led here, once.
function takeLink() {
  const link = location.hash.slice(1);
  if (link) history.replaceState(null, '', location.pathname);
  return link;
}

function failure(outcome, result, again) {
  show(t('failure.title'), note(say(outcome, result), 'error'), button(t('again'), again, 'big'));
}

// ended leaves for what ends an account or key; it is false for any other outcome.
function ended(outcome, result) {
  if (['destroyed', 'copied', 'damaged', 'account_ended', 'unauthorized'].includes(outcome)) {
    dead(outcome, result);
    return true;
  }
  return false;
}

function dead(outcome, result) {
  show(t('dead.title'), note(say(outcome, result), 'error'), h('p', {}, t('dead.about')),
    button(t('dead.forget'), forget, 'big'));
}

// ---- an account begins

function welcome() {
  show(t('welcome.title'), h('p', {}, t('welcome.about')),
    location.hash.length > 1 && note(t('welcome.link')),
    button(t('welcome.code'), enrolForm, 'big'), button(t('welcome.move'), askForm, 'plain big'));
}

const labelField = () => h('input', { name: 'label', maxlength: 60, required: true, value: guessLabel(), autocomplete: 'off' });

// guessLabel is a name to begin with, such as "Android, Chrome".
function guessLabel() {
  const first = words => words.find(w => navigator.userAgent.includes(w));
  return [first(['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'Linux']), first(['Firefox', 'Edg', 'Chrome', 'Safari'])].filter(Boolean).join(', ').replace('Edg', 'Edge');
}

function enrolForm(message) {
  const form = h('form', {
    onsubmit: event => {
      event.preventDefault();
      const data = new FormData(form);
      choosePINs((pin1, pin2) => enrol('enrol', { code: data.get('code').trim(), label: data.get('label').trim() }, pin1, pin2));
    },
  },
  h('label', {}, t('enrol.code'), h('input', { name: 'code', required: true, maxlength: 64, autocomplete: 'off', autocapitalize: 'characters', spellcheck: 'false' })),
  h('label', {}, t('enrol.label'), labelField()),
  h('button', { class: 'big' }, t('continue')));
  show(t('enrol.title'), note(typeof message === 'string' ? message : '', 'error'), h('p', {}, t('enrol.about')), form, button(t('cancel'), begin, 'plain big'));
}

// choosePINs lets the person choose two PINs, each typed twice.
function choosePINs(chosen) {
  choosePIN('PIN1', '', pin1 => choosePIN('PIN2', pin1, pin2 => chosen(pin1, pin2), begin), begin);
}

function choosePIN(name, other, chosen, cancel, message) {
  show(t('choose.title', name), h('p', {}, t(name === 'PIN1' ? 'choose.pin1' : 'choose.pin2')), h('p', { class: 'hint' }, t('choose.rules')),
    pad(t, {
      note: message, cancel,
      enter: async digits => {
        const { outcome, result } = await call('checkPIN', { pin: pin(digits), other: pin(other) });
        if (outcome !== 'ok') return choosePIN(name, other, chosen, cancel, say(outcome, result));
        repeatPIN(name, digits, other, chosen, cancel);
      },
    }));
}

function repeatPIN(name, digits, other, chosen, cancel) {
  show(t('repeat.title', name), h('p', {}, t('repeat.about')),
    pad(t, {
      cancel,
      enter: async again => (again === digits ? chosen(digits) : choosePIN(name, other, chosen, cancel, t('repeat.differ'))),
    }));
}

async function enrol(op, args, pin1, pin2) {
  wait(t('enrol.working'));
  const { outcome, result } = await call(op, { ...args, pin1: pin(pin1), pin2: pin(pin2) });
  if (outcome === 'ok') return revocation(result.revocationCode);
  if (ended(outcome, result)) return undefined;
  if (outcome === 'not_approved') return askShown(args.request, say(outcome));
  if (op === 'enrol' && ['no_such_code', 'invalid'].includes(outcome)) return enrolForm(say(outcome, result));
  return enrolling(say(outcome, result));
}

function revocation(code) {
  if (!code) return home(t('enrol.done'));
  show(t('revocation.title'), note(t('enrol.done'), 'done'), h('p', {}, t('revocation.about')), h('p', { class: 'secret number' }, code),
    button(t('revocation.noted'), () => home(), 'big'));
}

// enrolling is for an enrolment that was cut off, or that an old phone approves.
function enrolling(message) {
  show(t('enrolling.title'), note(typeof message === 'string' ? message : '', 'error'), h('p', {}, t('enrolling.about')),
    button(t('enrolling.go'), () => choosePINs((pin1, pin2) => enrol('resumeEnrolment', {}, pin1, pin2)), 'big'),
    button(t('enrolling.anew'), async () => { await call('giveUp', { key: '' }); await forget(); }, 'plain big'));
}

// ---- in place of an old phone

function askForm(message) {
  const form = h('form', {
    onsubmit: async event => {
      event.preventDefault();
      const label = new FormData(form).get('label').trim();
      wait(t('ask.title'));
      const { outcome, result } = await call('ask', { label });
      if (outcome !== 'ok') return askForm(say(outcome, result));
      askShown(result.request);
    },
  }, h('label', {}, t('enrol.label'), labelField()), h('button', { class: 'big' }, t('continue')));
  show(t('ask.title'), note(typeof message === 'string' ? message : '', 'error'), h('p', {}, t('ask.about')), form, button(t('cancel'), begin, 'plain big'));
}

function askShown(request, message) {
  if (!request) return enrolling(message);
  show(t('ask.title'), note(message), h('p', {}, t('ask.scan')), draw(request, t('ask.qr')),
    h('details', {}, h('summary', {}, t('ask.text')), h('p', { class: 'secret number' }, request)),
    button(t('ask.approved'), () => choosePINs((pin1, pin2) => enrol('resumeEnrolment', { request }, pin1, pin2)), 'big'),
    button(t('cancel'), forget, 'plain big'));
}

// newPhone is the old phone's side.
function newPhone(message) {
  pointCamera(t('newphone.title'), t('newphone.about'), t('newphone.text'), typeof message === 'string' ? message : '', async request => {
    wait(t('newphone.title'));
    const { outcome, result } = await call('scan', { request });
    if (ended(outcome, result)) return;
    if (outcome !== 'ok') return newPhone(say(outcome, result));
    approve(request, result.newDevice);
  });
}

function approve(request, device, message) {
  show(t('approve.title'), h('p', { class: 'party' }, device), h('p', {}, t('approve.about')), h('p', {}, t('pin.enter', 'PIN2')),
    pad(t, {
      note: message, cancel: () => home(),
      enter: async digits => {
        wait(t('approve.title'));
        const { outcome, result } = await call('approve', { request, device, pin: pin(digits) });
        if (outcome === 'ok') return show(t('approve.done'), h('p', {}, t('approve.next')), button(t('continue'), begin, 'big'));
        if (ended(outcome, result)) return undefined;
        if (outcome === 'wrong_pin' && !result.lockedSeconds) return approve(request, device, say(outcome, result));
        if (outcome === 'unanswered') return resume();
        return home(say(outcome, result), 'error');
      },
    }));
}

// ---- home

let watching = 0; // which watch goes on

async function home(message, kind = 'done') {
  const holder = h('section', { 'aria-busy': 'true' }, h('p', { class: 'waiting' }, t('wait')));
  const said = h('div', {}, typeof message === 'string' ? note(message, kind) : null);
  show(t('home.title'), said, holder,
    button(t('home.look'), async () => {
      said.replaceChildren();
      const { outcome, result } = await call('poll', { wait: 0, known: '' });
      if (outcome === 'ok' && result.found) return open(result.found.session);
      if (!ended(outcome, result)) said.replaceChildren(note(say(outcome, result), outcome === 'none' ? 'note' : 'error'));
      return undefined;
    }, 'big'),
    button(t('home.scan'), () => scanLink(), 'plain big'),
    push.may === 'default' && button(t('home.notify'), async () => home(t(await push.ask() ? 'notify.on' : 'notify.off'), 'note'), 'plain big'),
    h('div', { class: 'stack' },
      button(t('home.history'), () => readHistory(), 'plain'), button(t('home.pin'), () => changePIN(), 'plain'),
      button(t('home.newphone'), () => newPhone(), 'plain'), button(t('home.delete'), deleteAccount, 'plain')));
  watch();
  push.subscribe();
  const { outcome, result } = await call('home');
  if (!holder.isConnected || ended(outcome, result)) return;
  if (['deleted', 'expired'].includes(result.holder?.state)) return dead('account_ended', result);
  holder.removeAttribute('aria-busy');
  holder.replaceChildren(...(result.holder ? card(result.holder) : [note(say(outcome, result), 'error')]));
}

function card(a) {
  const lock = (name, key) => {
    if (!key) return null;
    if (key.destroyed) return h('p', { class: 'error' }, t('lock.destroyed', name));
    if (!key.lockedSeconds) return key.remaining && key.remaining < 3 ? h('p', { class: 'note' }, t('lock.left', name, key.remaining)) : null;
    const line = h('p', { class: 'note' });
    countdown(Date.now() + key.lockedSeconds * 1000, left => { line.textContent = t('lock.until', name, left); }, () => home());
    return line;
  };
  return [
    h('p', { class: 'who' }, `${a.given ?? ''} ${a.surname ?? ''}`.trim()),
    h('dl', { class: 'facts' },
      h('dt', {}, t('card.document')), h('dd', { class: 'number' }, a.document),
      h('dt', {}, t('card.device')), h('dd', {}, a.device),
      h('dt', {}, t('card.expires')), h('dd', {}, day(a.expires))),
    a.state === 'suspended' && h('p', { class: 'error' }, t('card.suspended')), lock('PIN1', a.authentication), lock('PIN2', a.signature),
  ].filter(Boolean);
}

// watch opens what comes while home is shown and the page is seen. While there is no stream it asks
// each 20 seconds.
async function watch() {
  const mine = ++watching;
  onleave(() => { if (watching === mine) watching++; });
  stream.run();
  while (watching === mine) {
    if (document.hidden) {
      await new Promise(seen => document.addEventListener('visibilitychange', seen, { once: true }));
      continue;
    }
    const next = stream.next();
    const { outcome, result } = await call('poll', { wait: stream.open ? 0 : 20, known: '' });
    if (watching !== mine) return;
    if (outcome === 'ok' && result.found) return open(result.found.session);
    if (outcome !== 'none') await new Promise(later => setTimeout(later, 5000));
    else if (stream.open) await next;
  }
}

// ---- transactions

async function open(session) {
  wait(t('open.title'));
  const { outcome, result } = await call('open', { session });
  if (outcome === 'ok') return transaction(result.shown);
  return ended(outcome, result) ? undefined : home(say(outcome, result), outcome === 'gone' ? 'note' : 'error');
}

async function openLink(link) {
  wait(t('open.title'));
  const { outcome, result } = await call('openLink', { link });
  if (outcome === 'ok') return transaction(result.shown);
  return ended(outcome, result) ? undefined : home(say(outcome, result), 'error');
}

function scanLink(message) {
  pointCamera(t('scan.title'), t('scan.about'), t('scan.text'), message, openLink);
}

// pointCamera gives what a QR code says, or what was typed in its place.
function pointCamera(title, about, label, message, then) {
  const video = h('video', { muted: true, playsinline: true, 'aria-label': t('scan.camera') });
  const trouble = h('div', {}, note(message, 'error'));
  const form = h('form', { onsubmit: event => { event.preventDefault(); then(new FormData(form).get('text').trim()); } },
    h('label', {}, label, h('input', { name: 'text', required: true, autocomplete: 'off', spellcheck: 'false' })),
    h('button', { class: 'plain big' }, t('continue')));
  show(title, trouble, h('p', {}, about), video, form, back());
  scan(video).then(text => { if (text !== null) then(text); }, () => {
    video.remove();
    trouble.append(note(t('scan.nocamera')));
  });
}

// transaction shows what is to be answered, screen by screen. seen says which screens were.
function transaction(s, seen = {}) {
  if (s.kind === 'certificateChoice') return s.awaits ? awaiting(s) : certificate(s);
  if (s.several && !seen.account) return severalAccounts(s, () => transaction(s, { ...seen, account: true }));
  if (s.first && !s.code) return threeCodes(s);
  if (s.interaction === 'confirmationMessage' && !seen.confirmed) return confirmation(s, () => transaction(s, { ...seen, confirmed: true }));
  return enterPIN(s);
}

const question = s => [h('p', { class: 'party' }, s.relyingParty), s.text && h('p', { class: 'asks', dir: 'auto' }, s.text)];

// left counts down, and goes home at the end.
function left(s) {
  const line = h('p', { class: 'left' });
  s.until ??= Date.now() + (s.seconds ?? 0) * 1000;
  queueMicrotask(() => countdown(s.until, clock => { line.textContent = t('left', clock); }, () => home(say('gone'), 'note')));
  return line;
}

const compare = s => s.code && [h('p', {}, t('code.compare')), h('p', { class: 'code' }, s.code)];

function certificate(s) {
  show(t('certificate.title'), question(s), h('p', {}, t('certificate.about')), left(s),
    button(t('certificate.use'), async () => {
      const { outcome, result } = await call('useAccount', { session: s.session });
      if (ended(outcome, result)) return;
      if (outcome !== 'ok') return home(say(outcome, result), 'error');
      if (result.shown?.awaits) return awaiting(result.shown);
      finished(s, t('certificate.done'), result.callbackURL);
    }, 'big'),
    button(t('cancel'), () => refuse(s, 'account'), 'plain big'));
}

// awaiting is for the signature that follows a choice of a certificate.
async function awaiting(s) {
  show(t('awaiting.title'), question(s), h('p', { class: 'waiting' }, t('awaiting.about')), left(s), button(t('cancel'), () => refuse(s, 'account'), 'plain big'));
  watch();
}

function severalAccounts(s, use) {
  show(t('several.title'), question(s), h('p', {}, t('several.about')), left(s),
    button(t('several.use'), use, 'big'), button(t('cancel'), () => refuse(s, 'account'), 'plain big'));
}

function threeCodes(s) {
  const pick = code => button(code, async () => {
    const { outcome, result } = await call('choose', { session: s.session, code });
    if (outcome === 'ok') return transaction(Object.assign(result.shown, { until: s.until }));
    return ended(outcome, result) ? undefined : home(say(outcome, result), 'error');
  }, 'plain');
  show(t('codes.title'), question(s), h('p', {}, t('codes.about')), h('div', { class: 'codes' }, [s.first, s.second, s.third].map(pick)), left(s),
    button(t('cancel'), () => refuse(s, 'codes'), 'plain big'));
}

function confirmation(s, confirm) {
  show(t(s.kind === 'signature' ? 'confirm.sign' : 'confirm.login'), question(s), compare(s), left(s),
    button(t('confirm.go'), confirm, 'big'), button(t('cancel'), () => refuse(s, 'confirmation'), 'plain big'));
}

function enterPIN(s, message) {
  const name = which(s.key);
  show(t(s.kind === 'signature' ? 'confirm.sign' : 'confirm.login'), question(s), compare(s), h('p', {}, t('pin.enter', name)),
    pad(t, { note: message, cancel: () => refuse(s, 'pin'), enter: digits => sign(s, digits) }), left(s));
}

async function sign(s, digits) {
  wait(t('sign.working'));
  const { outcome, result } = await call('sign', { session: s.session, pin: pin(digits) });
  switch (outcome) {
    case 'ok': return finished(s, t(s.kind === 'signature' ? 'sign.done' : 'login.done'), result.callbackURL);
    case 'wrong_pin': case 'pin_format':
      return result.lockedSeconds ? locked(s, result) : enterPIN(s, say(outcome, result));
    case 'locked': return locked(s, result);
    case 'unanswered': case 'pending': return resume();
  }
  return ended(outcome, result) ? undefined : home(say(outcome, result), 'error');
}

function locked(s, result) {
  const line = h('p', { class: 'error', role: 'alert' });
  show(t('locked.title', which(result.key)), line, h('p', {}, t('locked.about')), button(t('ok'), () => refuse(s, 'pin'), 'big'));
  countdown(Date.now() + result.lockedSeconds * 1000, left => { line.textContent = t('lock.until', which(result.key), left); });
}

async function refuse(s, screen) {
  wait(t('refuse.working'));
  const { outcome, result } = await call('refuse', { session: s.session, screen });
  if (outcome === 'ok' && result.callbackURL) return finished(s, t('refuse.done'), result.callbackURL, 'note');
  return ended(outcome, result) ? undefined : home(outcome === 'ok' ? t('refuse.done') : say(outcome, result), 'note');
}

// finished leads back to the e-service, if the person came from there on this device.
function finished(s, message, callbackURL, kind = 'done') {
  if (!callbackURL) return home(message, kind);
  show(t('finished.title'), note(message, kind), h('a', { class: 'button big', href: callbackURL }, t('finished.back', s.relyingParty ?? '')), back());
}

// resume finds out what became of what was not answered.
async function resume() {
  wait(t('resume.title'));
  const { outcome, result } = await call('resume');
  switch (outcome) {
    case 'ok': return finished(result.shown ?? {}, t('resume.done'), result.callbackURL);
    case 'none': return home(t('resume.none'), 'note');
    case 'unanswered': case 'offline': case 'pending': case 'later':
      return show(t('resume.title'), note(say(outcome, result), 'error'), h('p', {}, t('resume.about')), button(t('again'), resume, 'big'),
        button(t('resume.giveup'), async () => {
          const given = await call('giveUp', { key: result.key ?? '' });
          return given.outcome === 'ok' ? home(t('refuse.done'), 'note') : resume();
        }, 'plain big'));
    case 'wrong_pin':
      if (result.shown && !result.lockedSeconds) return enterPIN(result.shown, say(outcome, result));
  }
  return ended(outcome, result) ? undefined : home(say(outcome, result), 'error');
}

// ---- what else there is

async function readHistory(before = '', list = h('ul', { class: 'lines' })) {
  if (!before) show(t('home.history'), list, h('p', { class: 'waiting' }, t('wait')));
  const { outcome, result } = await call('readHistory', { before });
  if (ended(outcome, result)) return;
  if (outcome !== 'ok') return home(say(outcome, result), 'error');
  const lines = result.lines ?? [];
  // Of PINs the text is which.
  const text = line => (!line.relyingParty && { authentication: 'PIN1', signature: 'PIN2' }[line.text]) || line.text;
  list.append(...lines.map(line => h('li', {},
    h('strong', {}, known('kind.' + line.kind) ? t('kind.' + line.kind) : line.kind, line.relyingParty ? ` – ${line.relyingParty}` : ''),
    line.text && [h('span', { dir: 'auto' }, text(line)), h('br')],
    h('small', {}, `${moment(line.at)}${line.result ? ` · ${known('result.' + line.result) ? t('result.' + line.result) : line.result}` : ''}`))));
  show(t('home.history'), list.childElementCount ? list : h('p', {}, t('history.none')),
    lines.length > 0 && button(t('history.more'), () => readHistory(lines.at(-1).id, list), 'plain big'), back());
}

function changePIN() {
  show(t('home.pin'), h('p', {}, t('change.about')), button(t('change.pin', 'PIN1'), () => oldPIN('authentication'), 'big'),
    button(t('change.pin', 'PIN2'), () => oldPIN('signature'), 'big'), back());
}

function oldPIN(key, message) {
  show(t('change.pin', which(key)), h('p', {}, t('change.old', which(key))), pad(t, {
    note: message, cancel: () => home(),
    enter: async old => choosePIN(which(key), old, fresh => change(key, old, fresh), () => home()),
  }));
}

async function change(key, old, fresh) {
  wait(t('change.pin', which(key)));
  const { outcome, result } = await call('changePIN', { key, oldPIN: pin(old), newPIN: pin(fresh) });
  if (outcome === 'ok') return home(t('change.done', which(key)));
  if (ended(outcome, result)) return undefined;
  if (outcome === 'wrong_pin' && !result.lockedSeconds) return oldPIN(key, say(outcome, result));
  if (outcome === 'unanswered' || outcome === 'pending') return resume();
  return home(say(outcome, { ...result, key }), 'error');
}

function deleteAccount() {
  show(t('home.delete'), h('p', {}, t('delete.about')),
    button(t('delete.go'), async () => {
      wait(t('home.delete'));
      const { outcome, result } = await call('delete');
      if (outcome !== 'ok' && !['account_ended', 'unauthorized', 'destroyed'].includes(outcome)) return home(say(outcome, result), 'error');
      await forget();
    }, 'danger big'), back());
}

// ---- the frame

document.getElementById('languages').setAttribute('aria-label', t('language'));
document.getElementById('languages').append(...Object.entries(languages).map(([code, own]) =>
  h('button', { type: 'button', class: 'plain', lang: code, 'aria-pressed': String(code === language), onclick: () => choose(code) }, code.toUpperCase(), h('span', { class: 'hidden' }, ` ${own}`))));
document.getElementById('homebutton').addEventListener('click', () => begin());
addEventListener('hashchange', () => begin());
if ('serviceWorker' in navigator) navigator.serviceWorker.register('sw.js').catch(e => console.error('offline use', e));

await begin();
