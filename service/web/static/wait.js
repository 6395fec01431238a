// A page that waits for a phone. It asks the address in data-poll how things are, again
// and again: the answer says where to go ("to"), or has the QR code as it is now ("qr":
// path and size) and how long to wait until the next question ("pause", milliseconds).
//
// A QR code that is older than three seconds is not shown: somebody else's phone may have
// it from a photograph.

const box = document.querySelector('[data-poll]');
const image = box.querySelector('[data-qr]');
const stale = 3000, retry = 2000;

const sleep = ms => new Promise(done => setTimeout(done, ms));
let fading;

function show(qr) {
  image.setAttribute('viewBox', `0 0 ${qr.size} ${qr.size}`);
  image.querySelector('path').setAttribute('d', qr.path);
  fresh();
}

function fresh() {
  image.classList.remove('stale');
  clearTimeout(fading);
  fading = setTimeout(() => image.classList.add('stale'), stale);
}

async function ask() {
  const answer = await fetch(box.dataset.poll, { headers: { Accept: 'application/json' }, cache: 'no-store', credentials: 'same-origin' });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

async function wait() {
  for (let failures = 0; ;) {
    let state;
    try {
      state = await ask();
      failures = 0;
    } catch {
      // The service says more to whoever asks for the page.
      if (++failures > 5) return location.reload();
      await sleep(retry);
      continue;
    }
    if (state.to) return location.assign(state.to);
    if (state.qr && image) show(state.qr);
    await sleep(state.pause);
  }
}

if (image) fresh();
wait();
