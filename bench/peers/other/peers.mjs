// What crypto.sign of Node takes, for bench/peers: see peers.c, whose commands it has.
//
//   info                        ok VERSIONS
//   load SLOT sign KEY MESSAGE  ok SIGNATURE
//   run SLOT COUNT              ok NANOSECONDS
//
// The time is the processor time of the whole process, its other threads included.

import { createPrivateKey, sign } from 'node:crypto';
import { createInterface } from 'node:readline';

const jobs = new Map();

function answer(word) {
  if (word[0] === 'info' && word.length === 1) return `Node ${process.versions.node} with OpenSSL ${process.versions.openssl}`;
  if (word[0] === 'load' && word.length === 5 && word[2] === 'sign') {
    const key = createPrivateKey({ key: Buffer.from(word[3], 'hex'), format: 'der', type: 'pkcs8' });
    const message = Buffer.from(word[4], 'hex'), job = () => sign('sha256', message, key);
    jobs.set(word[1], job);
    return job().toString('hex');
  }
  const job = jobs.get(word[1]), count = Number(word[2]);
  if (word[0] === 'run' && word.length === 3 && job && count >= 1) {
    const began = process.cpuUsage();
    for (let i = 0; i < count; i++) job();
    const { user, system } = process.cpuUsage(began);
    return String((user + system) * 1000);
  }
  throw Error('unknown command');
}

for await (const line of createInterface({ input: process.stdin })) {
  let out;
  try { out = 'ok ' + answer(line.trim().split(/ +/)); } catch (e) { out = 'error ' + String(e.message).replaceAll('\n', ' '); }
  console.log(out);
}
