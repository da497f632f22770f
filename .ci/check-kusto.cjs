// Has Microsoft's own language service read every query that the alerts ask and the documentation shows, against the columns that
// the two tables have: node .ci/check-kusto.cjs <directory with node_modules>
const { readFileSync } = require("fs");
const { resolve } = require("path");

const home = resolve(process.argv[2], "node_modules/@kusto/language-service-next");
require(`${home}/bridge.min.js`);
require(`${home}/Kusto.Language.Bridge.min.js`);
const { KustoCode, GlobalState, Symbols } = Kusto.Language;

// Those of https://learn.microsoft.com/azure/azure-monitor/reference/tables/apprequests and /apptraces that may be asked for.
const common = "TimeGenerated: datetime, OperationId: string, OperationName: string, AppRoleName: string, Properties: dynamic";
const tables = {
  AppRequests: `${common}, Name: string, Success: bool, ResultCode: string, DurationMs: real`,
  AppTraces: `${common}, Message: string, SeverityLevel: int`,
};
const symbols = Object.entries(tables).map(([name, columns]) => Symbols.TableSymbol.From(`(${columns})`).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("logs", symbols));

const queries = [];
for (const row of readFileSync("docs/azure-parameters.md", "utf8").split("\n")) {
  const query = row.match(/ \| `(App\w+ .*)` \|$/);
  if (query) queries.push([row.split("`")[1], query[1].replaceAll("\\|", "|")]);
}
for (const block of readFileSync("docs/deploy-azure.md", "utf8").matchAll(/```kusto\n([^`]*)```/g)) {
  queries.push(["docs/deploy-azure.md", block[1].replaceAll(/<[^>]*>/g, "x")]);
}
let faults = queries.length < 10 ? ["there are fewer queries than alerts"] : [];
for (const [place, query] of queries) {
  for (const found of Bridge.toArray(KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics())) {
    faults.push(`${place}: ${found.Message} In: ${query}`);
  }
}
for (const fault of faults) console.log(fault);
if (faults.length > 0) process.exit(1);
console.log(`${queries.length} queries: Kusto's language service has nothing to say`);
