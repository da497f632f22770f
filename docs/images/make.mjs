// Takes the screenshots of this folder from a running demo; `docs/images/make` starts one and calls this.
// Arguments: the demo's log, the address of the demo, the folder to write to.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [, , log, base, out] = process.argv;
const said = readFileSync(log, 'utf8');
const link = said.match(/http\S+consent\/start\?invite=\S+/)[0];
const person = said.match(/sign in as (\S+)\)/)[1];
const known = 'olivia.owner@contoso.example';

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });

/** A browser of this width, in the light or in the dark, that keeps what it shows under the names it is given. */
async function visitor(name, viewport, colorScheme = 'light') {
  const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB', deviceScaleFactor: 1 });
  const page = await context.newPage();
  const keep = (step) => page.screenshot({ path: `${out}/${step}-${name}.png`, fullPage: true });
  return { page, keep, end: () => context.close() };
}

/** The sandbox's sign-in page, which stands for Microsoft's own. */
async function signIn(page, who) {
  await page.check(`input[name=user][value="${who}"]`);
  await page.click('button[value=accept]');
}

async function tenant() {
  const answer = await (await fetch(`${base}/api/v1/customers`)).json();
  return answer.value.find((customer) => customer.displayName === 'Contoso').tenantId;
}

/** As far as the choice, so that the invite stays open. */
async function looks(name, viewport, colorScheme, who, step) {
  const { page, keep, end } = await visitor(name, viewport, colorScheme);
  await page.goto(link);
  await signIn(page, who);
  await keep(step);
  await end();
}

/** The whole way, and what a customer sees later. */
async function comesIn(name, viewport) {
  const { page, keep, end } = await visitor(name, viewport);
  await page.goto(link);
  await signIn(page, person);
  await page.locator('input[name=subscription]').first().waitFor();
  for (const box of await page.locator('input[name=subscription]').all()) await box.check();
  await keep('choose');
  await page.click('button[value=grant]');
  await page.getByText('Done:').first().waitFor();
  await keep('done');
  for (const purpose of ['receipt', 'leave']) {
    await page.goto(`${base}/api/consent/start?purpose=${purpose}&tenant=${await tenant()}`);
    await signIn(page, known);
    await keep(purpose);
  }
  await end();
}

const phone = { width: 390, height: 760 };
const desktop = { width: 900, height: 600 };
await looks('phone', phone, 'light', person, 'choose');
await looks('phone-dark', phone, 'dark', person, 'choose');
await looks('desktop', desktop, 'light', person.replace('olivia.owner', 'rita.reader'), 'no-rights');
await comesIn('desktop', desktop);

// What the demo says, as a terminal shows it.
const escaped = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
// Where this machine keeps its files is nobody's business.
const told = said.replace(/ \/\S*state\/demo/g, ' state/demo');
const happened = told.split('\n').filter((line) => !/known before you came/.test(line)).slice(0, 46).join('\n');
const { page, end } = await visitor('terminal', { width: 1180, height: 600 });
await page.setContent(`<style>body{margin:0;background:#0d1117}pre{margin:0;padding:18px 20px;color:#d7dee6;
  font:13px/1.45 "DejaVu Sans Mono",monospace;display:inline-block;max-width:1140px;white-space:pre-wrap}b{color:#7ee787;font-weight:400}</style>
  <pre><b>$ cargo run -- demo</b>\n${escaped(happened)}</pre>`);
await page.locator('pre').screenshot({ path: `${out}/demo.png` });
await end();
await browser.close();
