// Reads cards and events of docs/channels and the snapshots with the renderer and the schema in the folder given.
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

globalThis.self = globalThis.window = globalThis;
const require = createRequire(join(resolve(process.argv[2]), "x.js"));
const cards = require("./adaptivecards.cjs");
// The JSON schema of the specification, compiled.
const validEvent = require("./node_modules/cloudevents/dist/schema/v1.js");

const faults = [];

function checkCard(where, card) {
  const context = new cards.SerializationContext(cards.Versions.v1_4);
  const parsed = new cards.AdaptiveCard();
  parsed.parse(card, context);
  for (let at = 0; at < context.eventCount; at++) faults.push(`${where}: ${context.getEventAt(at).message}`);
  for (const failure of parsed.validateProperties().validationEvents) faults.push(`${where}: ${failure.message}`);
  if (parsed.getItemCount() !== card.body.length) faults.push(`${where}: a part of the card is lost`);
}

function checkEvent(where, event) {
  if (!validEvent(event)) faults.push(`${where}: ${JSON.stringify(validEvent.errors)}`);
}

// A card whose faults must be found, so that a check which finds nothing is no success.
checkCard("control", { type: "AdaptiveCard", version: "1.4", body: [{ type: "TextBlock", text: "x", weight: "Boolder" }] });
checkEvent("control", { specversion: "1.0", id: "", source: "x", type: "x" });
if (faults.length !== 2) throw new Error(`the checks find nothing: ${faults}`);
faults.length = 0;

let checked = { cards: 0, events: 0 };
function check(where, document) {
  for (const one of Array.isArray(document) ? document : [document]) {
    if (one.attachments) {
      checkCard(where, one.attachments[0].content);
      checked.cards++;
    } else if (one.specversion) {
      checkEvent(where, one);
      checked.events++;
    }
  }
}

const snapshots = "tests/it/channels/snapshots";
for (const name of readdirSync(snapshots)) {
  if (!/__(teams|webhook|eventGrid|command|file)__/.test(name)) continue;
  // What insta writes before the text, then one document after each line that names its type.
  const text = readFileSync(join(snapshots, name), "utf8").replace(/^---\n[\s\S]*?\n---\n/, "");
  for (const part of text.split(/^--- \S+\n/m).slice(1)) check(name, JSON.parse(part));
}
for (const name of readdirSync("docs/channels").filter((name) => /\.jsonl?$/.test(name))) {
  check(name, JSON.parse(readFileSync(join("docs/channels", name), "utf8")));
}
for (const fault of faults) console.error(fault);
console.log(`${checked.cards} cards and ${checked.events} events checked, ${faults.length} faults`);
process.exit(faults.length || !checked.cards || !checked.events ? 1 : 0);
