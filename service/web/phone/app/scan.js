// QR codes: read by the camera, and drawn.
import decodeQR from './vendor/qr/decode.js';
import encodeQR from './vendor/qr/index.js';
import { onleave } from './dom.js';

const size = 640;

// scan shows the camera in a video element, and resolves to what a QR code says; to null once the
// screen is left. It throws where there is no camera, or the person does not allow it.
export async function scan(video) {
  let left = false, stop = () => {};
  onleave(() => { left = true; stop(); });
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: size } }, audio: false });
  stop = () => stream.getTracks().forEach(track => track.stop());
  if (left) { stop(); return null; }
  video.srcObject = stream;
  await video.play();
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  while (!left) {
    const scale = size / Math.max(video.videoWidth, video.videoHeight, 1);
    canvas.width = Math.round(video.videoWidth * scale) || 1;
    canvas.height = Math.round(video.videoHeight * scale) || 1;
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    try {
      const text = decodeQR(context.getImageData(0, 0, canvas.width, canvas.height));
      stop();
      return text;
    } catch {
      // no code in this frame
    }
    await new Promise(next => video.requestVideoFrameCallback ? video.requestVideoFrameCallback(next) : setTimeout(next, 100));
  }
  return null;
}

// draw returns a QR code as SVG.
export function draw(text, label) {
  const rows = encodeQR(text, 'raw', { border: 4 });
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('viewBox', `0 0 ${rows.length} ${rows.length}`);
  svg.setAttribute('class', 'qr');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  const path = document.createElementNS(ns, 'path');
  path.setAttribute('d', rows.map((row, y) => row.map((dark, x) => dark ? `M${x} ${y}h1v1h-1z` : '').join('')).join(''));
  svg.append(path);
  return svg;
}
