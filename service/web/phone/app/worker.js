// The phone, in a web worker. Pages do not talk to it: they use phone.js, which starts workers
// and queues calls. This is what goes between the two.
//
// A message is {id, op, args}, its answer {id, ok: true, outcome, result} or, where the phone has
// a defect or the browser fails, {id, ok: false, error: "..."}.
//
// The first message is start, once, and has the compiled program, too: {..., module}. The others are the methods of mobile.Phone: what each does,
// and what outcome an app acts on how, says service/mobile (outcome.go, enrol.go, session.go).
// PINs are Uint8Arrays with the digits in ASCII, which a page gives away (transfer).
//
//   op               args                      result, besides what an outcome says
//   start            name, config, passes?,    -
//                    memoryKiB?, lanes?        name of the account in this browser; config is the
//                                              text of phone.json
//   status           -                         now {phase, pending, shown}
//   home             -                         holder {document, level, state, device, given,
//                                              surname, created, expires, authentication, signature
//                                              {certificate, destroyed, lockedSeconds, remaining,
//                                              remainingTotal}}
//   checkPIN         pin, other                -
//   enrol            code, label, pin1, pin2   holder, revocationCode
//   resumeEnrolment  pin1, pin2                holder, revocationCode
//   ask              label                     request (for a QR code)
//   scan             request                   newDevice
//   approve          request, device, pin      newDevice
//   poll             wait (seconds), known     found {session, kind, relyingParty}
//   listen           -                         until hush; a message {look: true} whenever there
//                                              may be something to poll for
//   hush             -                         ends listen
//   subscribe        kind, address             - ; without an address it is not woken any more
//   open             session                   shown
//   openLink         link                      shown
//   choose           session, code             shown
//   useAccount       session                   shown? (awaits), callbackURL?
//   sign             session, pin              shown, callbackURL?
//   refuse           session, screen           callbackURL?
//   resume           -                         shown?, callbackURL?
//   giveUp           key                       -
//   changePIN        key, oldPIN, newPIN       -
//   readHistory      before                    lines [{id, at, kind, document, relyingParty, text,
//                                              result, device, flow, address}]
//   delete, forget   -                         -
//   cancel           -                         ends the calls that run
//
// shown is {session, kind, relyingParty, several, interaction, text, code, first, second, third, key,
// seconds, awaits}. A result also has detail, key, remaining, remainingTotal, lockedSeconds, retrySeconds.
// What is empty, zero or false is not there. Bytes are base64, times seconds since 1970.
//
// One tab, and one call, changes the phone at a time; the others wait for a Web Lock. poll, listen,
// hush, subscribe, home and readHistory do not wait.
'use strict';

importScripts('wasm_exec.js', 'store.js');

self.tandemLook = () => postMessage({ look: true });

let dead = '';
let started;

async function start(args, module) {
  const ready = new Promise(resolve => { self.tandemReady = resolve; });
  const go = new Go();
  const instance = await WebAssembly.instantiate(module, go.importObject);
  go.run(instance).then(() => { dead = 'the program has ended'; }, e => { dead = String(e); });
  await ready;
  await self.tandemHost.start(args.name);
  return self.tandemCall('start', args);
}

async function call({ id, op, args, module }) {
  try {
    if (op === 'start') started = start(args, module);
    const first = await started;
    if (dead) throw Error(dead);
    const { outcome, result } = op === 'start' ? first : await self.tandemCall(op, args ?? {});
    postMessage({ id, ok: true, outcome, result });
  } catch (e) {
    postMessage({ id, ok: false, error: e?.message ?? String(e) });
  }
}

self.onmessage = event => { call(event.data); };
