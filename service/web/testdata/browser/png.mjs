// Reads a picture as Chromium takes it of a screen: PNG, 8 bits a channel, not interlaced.

import { inflateSync } from 'node:zlib';

export function pixels(png) {
  let at = 8, header;
  const packed = [];
  while (at < png.length) {
    const size = png.readUInt32BE(at), type = png.toString('latin1', at + 4, at + 8), body = png.subarray(at + 8, at + 8 + size);
    if (type === 'IHDR') header = body;
    if (type === 'IDAT') packed.push(body);
    at += size + 12;
  }
  const width = header.readUInt32BE(0), height = header.readUInt32BE(4), channels = { 2: 3, 6: 4 }[header[9]];
  if (header[8] !== 8 || !channels || header[12] !== 0) throw new Error('a picture of another kind');
  const raw = inflateSync(Buffer.concat(packed)), row = width * channels;
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  let before = Buffer.alloc(row);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (row + 1)], line = raw.subarray(y * (row + 1) + 1, (y + 1) * (row + 1));
    for (let x = 0; x < row; x++) {
      const a = x < channels ? 0 : line[x - channels], b = before[x], c = x < channels ? 0 : before[x - channels];
      line[x] += [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter];
    }
    for (let x = 0; x < width; x++) for (let i = 0; i < channels; i++) data[(y * width + x) * 4 + i] = line[x * channels + i];
    before = line;
  }
  return { width, height, data };
}

// paeth is the predictor of ISO/IEC 15948, 9.4.
function paeth(a, b, c) {
  const p = a + b - c, [pa, pb, pc] = [a, b, c].map(v => Math.abs(p - v));
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}
