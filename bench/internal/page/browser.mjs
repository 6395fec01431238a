// Loads bench/report/report.html in headless Chromium: its contents lead to every part, it has a dark
// mode, pictures included, and its tables fit a phone.
//
//   node bench/internal/page/browser.mjs [folder of the report]

import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { run, open, look, background, check, phone, desktop } from '../../../vectors/internal/page/chromium.mjs';

const here = dirname(fileURLToPath(import.meta.url)), report = resolve(process.argv[2] ?? join(here, '../../report'));

async function contents(page) {
  const links = await page.$$eval('nav a', all => all.map(a => a.getAttribute('href'))), headings = await page.$$eval('h2, h3', all => all.map(h => '#' + h.id));
  check('every part is in the contents, in order', headings.length > 5 && links.join() === headings.join());
  check('no two parts have one name', new Set(links).size === links.length);
  await page.click(`nav a[href="${links.at(-1)}"]`);
  check('a link leads to its part', await page.locator(links.at(-1)).evaluate(h => h.getBoundingClientRect().top >= 0 && h.getBoundingClientRect().top < innerHeight));
}

async function dark(page) {
  check('dark mode', await background(page, 'light') > 200 && await background(page, 'dark') < 60);
  const paper = () => page.$$eval('svg', all => all.map(svg => [getComputedStyle(svg.querySelector('.paper')).fill, getComputedStyle(svg.querySelector('.ink')).fill].join()));
  await page.emulateMedia({ colorScheme: 'light' });
  const day = await paper();
  await page.emulateMedia({ colorScheme: 'dark' });
  const night = await paper();
  check('the pictures are dark, too', day.length > 0 && day.every((p, i) => p !== night[i]));
}

// tables: on a phone each row is a block, and each of its values has the column's name beside it.
async function tables(page) {
  await page.setViewportSize(phone);
  const cells = await page.$$eval('tbody td:not(:empty)', all => all.map(td => {
    const { left, right } = td.getBoundingClientRect();
    return { left, right, first: td.cellIndex === 0, named: getComputedStyle(td, '::before').content.length > 4, header: td.closest('table').tHead.rows[0].cells[td.cellIndex].textContent, text: td.textContent };
  }));
  check('there are cells', cells.length > 100);
  for (const c of cells) {
    check(`"${c.text}" is out of the window`, c.left >= 0 && c.right <= phone.width);
    check(`"${c.text}" has no name`, c.first || c.header === '' || c.named);
  }
  check('a table says what is in it', await page.$$eval('thead', all => all.every(h => h.rows[0].cells[0].textContent === '' || h.rows[0].cells[0].getBoundingClientRect().height > 0)));
  await page.setViewportSize(desktop);
  check('on a desktop a row is a row', await page.$eval('tbody tr', tr => new Set([...tr.cells].map(td => td.getBoundingClientRect().top)).size === 1));
}

await run('report.html', async browser => {
  const page = await open(browser, pathToFileURL(join(report, 'report.html')).href);
  for (const part of [contents, dark, tables]) await part(page);
  await look(page, join(here, 'shots'), 'report');
  return `${await page.locator('nav a').count()} parts, ${await page.locator('table').count()} tables`;
});
